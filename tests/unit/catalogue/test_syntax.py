"""Text that is neither YAML nor JSON, or not as Kubernetes reads it."""

from __future__ import annotations

import contextlib
import gc
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import bad_input
import pytest
import yaml
from bad_input import Bad

from sluice.catalogue import syntax
from sluice.catalogue.syntax import SyntaxFault

CASES = {
    "key twice": Bad(
        "clusterIP: 10.96.0.2",
        "clusterIP: 10.96.0.2\n  clusterIP: 10.96.0.3",
        "",
        "",
        "YAML syntax: the key 'clusterIP' is there twice",
        line="  clusterIP: 10.96.0.3",
    ),
    "YAML syntax": Bad(
        "  - port: 80\n", "  - port: [80\n", "", "", "YAML syntax: ", line="---\napiVersion: v1\nkind: Pod"
    ),
    "unknown tag": Bad("port: 80\n", "port: !!python/name:os.system 80\n", "", "", "YAML syntax: the tag "),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, tmp_path: Path) -> None:
    bad_input.check(CASES[name], tmp_path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("0o17", "0o17"),
        ("017", 15),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1:20", "1:20"),
        ("1e3", "1e3"),
        ("1.5", 1.5),
        (".inf", float("inf")),
        ("2024-01-01", "2024-01-01"),
        ("'80'", "80"),
        ("!!int x", "x"),
        ("!vault secret", "secret"),
        ("9" * (syntax.MAX_DIGITS + 1), "9" * (syntax.MAX_DIGITS + 1)),
    ],
)
def test_scalars_are_those_of_kubernetes(text: str, value: object) -> None:
    assert syntax.values(f"a: {text}\n") == [{"a": value}]
    assert type(syntax.values(f"a: {text}\n")[0]["a"]) is type(value)


def test_json_is_read_as_yaml_is() -> None:
    text = '{"a": [1, null, true, "x"]}'
    assert syntax.values(text) == syntax.values("a: [1, null, true, x]\n") == [{"a": [1, None, True, "x"]}]
    assert syntax.values("{a: 1}") == [{"a": 1}], "flow style begins alike"


def test_what_is_merged_gives_way_to_what_is_said() -> None:
    text = "base: &b {x: 1, y: 1}\nmore: &m {y: 2, z: 2}\nown:\n  <<: [*b, *m]\n  x: 3\n"
    assert syntax.values(text)[0]["own"] == {"x": 3, "y": 1, "z": 2}


def test_limits_are_what_is_said() -> None:
    assert syntax.values("[" * (syntax.MAX_DEPTH - 1) + "]" * (syntax.MAX_DEPTH - 1) + " # flow style")
    with pytest.raises(SyntaxFault, match=f"nested more than {syntax.MAX_DEPTH} deep"):
        syntax.values("[" * (syntax.MAX_DEPTH + 1) + "]" * (syntax.MAX_DEPTH + 1) + " # flow style")
    several = "a: &a [" + "1," * 1000 + "]\nb: [{}]\n"
    assert syntax.values(several.format(",".join(["*a"] * 100)))
    with pytest.raises(SyntaxFault, match=f"aliases repeat more than {syntax.MAX_ALIASED} values"):
        syntax.values(several.format(",".join(["*a"] * 101)))


LINED = "a:\n  b:\n  - c\n  - d: 1\n    e: 2\n"


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 0),
        (("a", "b"), 1),
        (("a", "b", 1), 3),
        (("a", "b", 1, "e"), 4),
        (("a", "b", 1, "missing"), 3),
        (("a", "b", 9), 1),
        (("a", "b", 0, "deeper"), 2),
    ],
)
def test_line_of_a_path_or_of_what_is_around_it(path: tuple[str | int, ...], line: int) -> None:
    assert syntax.line(LINED, path) == line


def test_line_of_what_is_no_yaml() -> None:
    assert syntax.line("a: [", ("a",)) == 0


def test_a_place_behind_an_alias() -> None:
    assert syntax.line("a: &a\n  b: 1\nc: *a\n", ("c", "b")) == 1
    assert syntax.line("a: &a [*a]\nb: 1\n", ("a", 0, 0)) == 0


def test_an_anchor_may_be_set_again() -> None:
    assert syntax.values("a: &x 1\nb: *x\nc: &x [2]\nd: *x\n") == [{"a": 1, "b": 1, "c": [2], "d": [2]}]


@pytest.mark.parametrize(
    "text", ["a: *hunter2\n", "a: !hunter2\n", "a: !hunter2 [x]\n", "a: !!hunter2 x\n", "a: '\\hunter2"]
)
def test_what_may_be_a_password_without_quotes_is_not_said(text: str) -> None:
    """A Secret that cannot be read is one line, too, and its kind is not known yet."""
    with pytest.raises(SyntaxFault) as caught:
        syntax.values(text)
    assert "hunter2" not in caught.value.reason
    assert caught.value.line <= 2


@contextlib.contextmanager
def peak_of(factor: int, text: str) -> Iterator[None]:
    """What happens within may take so many bytes for each character of ``text``, garbage of its own included."""
    gc.disable()
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < factor * len(text)
    finally:
        tracemalloc.stop()
        gc.enable()


@pytest.mark.parametrize(
    "entry", ["- {kind: List, items: []}\n", "- [[]]\n", "- a: 1\n", "- a\n", "---\na: 1\n", "---\n"]
)
def test_memory_follows_the_text(entry: str) -> None:
    """PyYAML's nodes took a hundred bytes a character."""
    text = entry * 5000
    with peak_of(40, text):
        assert syntax.values(text)
    with peak_of(80, text):
        syntax.line(text, ())


def test_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(yaml, "CSafeLoader")
    syntax._yaml.cache_clear()
    try:
        assert syntax.values("a: [1, *x]\nb: 2\n".replace("[1, *x]", "&x [1]\nc: *x")) == [{"a": [1], "c": [1], "b": 2}]
        assert syntax.values("a: 1\n---\nb: yes\n") == [{"a": 1}, {"b": True}]
        for text in ("a: [", "- " * 5000 + "a", "a: 1\na: 2", "\x00"):
            with pytest.raises(SyntaxFault):
                syntax.values(text)
    finally:
        syntax._yaml.cache_clear()
