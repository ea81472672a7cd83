"""Text that is neither YAML nor JSON, or not as Kubernetes reads it."""

from __future__ import annotations

import contextlib
import gc
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bad_input
import pytest
import yaml
from bad_input import Bad

from sluice.catalogue import syntax
from sluice.catalogue.syntax import SyntaxFault


def values(text: str) -> list[Any]:
    """The values of ``text``; raises its first fault."""
    parts, faults = syntax.read(text)
    for fault in faults:
        raise fault
    return [part.value for part in parts]


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
    assert values(f"a: {text}\n") == [{"a": value}]
    assert type(values(f"a: {text}\n")[0]["a"]) is type(value)


def test_json_is_read_as_yaml_is() -> None:
    text = '{"a": [1, null, true, "x"]}'
    assert values(text) == values("a: [1, null, true, x]\n") == [{"a": [1, None, True, "x"]}]
    assert values("{a: 1}") == [{"a": 1}], "flow style begins alike"


ONE, TWO = '{"a": 1}', '{\n  "b": [\n    2\n  ]\n}'


@pytest.mark.parametrize(
    "between", ["", " ", "\n", "\n\n", "\r\n", "\n # comment } {\n", " # comment\n", "\ufeff", "\t\n\t"]
)
def test_json_objects_one_after_another(between: str) -> None:
    """As in a file to which ``kubectl get -o json`` was appended, or what ``jq -c`` prints."""
    parts, faults = syntax.read(f"# head\n\n{ONE}{between}{TWO}{between}{ONE}{between}")
    lines = between.count("\n")
    assert not faults
    assert parts == [
        (2, ONE, {"a": 1}),
        (2 + lines, TWO, {"b": [2]}),
        (6 + 2 * lines, ONE, {"a": 1}),
    ]


def test_objects_one_after_another_need_no_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syntax, "_yaml", None)
    assert values(f"{ONE}\n{TWO} {TWO}[]") == [{"a": 1}, {"b": [2]}, {"b": [2]}, []]


def test_braces_in_text_are_no_objects() -> None:
    assert values('{"a": "}\\n{", "b": "}{"}\n{"c": "} {"}') == [{"a": "}\n{", "b": "}{"}, {"c": "} {"}]


@pytest.mark.parametrize(
    ("bad", "line", "reason"),
    [
        ('{"x": 1, "x": 2}', 2, "YAML syntax: the key 'x' is there twice"),
        ('{\n"x": 1,\n"x": 2}', 4, "YAML syntax: the key 'x' is there twice"),
        ('{"x": ]}', 2, "YAML syntax: did not find expected node content"),
        ('{"x": 1', 2, "YAML syntax: "),
        ('{"x": "1', 2, "YAML syntax: "),
        ('{"items": [\n{"x": 1},\n{"x" 2},\n{"x": 3}\n]}', 4, "YAML syntax: "),
    ],
)
def test_a_broken_object_hides_no_other(bad: str, line: int, reason: str) -> None:
    parts, faults = syntax.read(f"{ONE}\n{bad}\n{TWO}\n{ONE}")
    assert [part.value for part in parts] == [{"a": 1}, {"b": [2]}, {"a": 1}]
    assert [(fault.line, fault.reason[: len(reason)]) for fault in faults] == [(line, reason)]


@pytest.mark.parametrize("rest", ["}", ",", "x: 1", "text", '"text"', "1", "- 1", "null", "!x", "&a {}", "% x", "]"])
@pytest.mark.parametrize("between", ["", "\n", "\n# comment\n"])
def test_what_is_left_over_after_an_object_is_a_fault(rest: str, between: str) -> None:
    parts, faults = syntax.read(f"{ONE}\n{TWO}{between}{rest}\n")
    assert [part.value for part in parts] == [{"a": 1}, {"b": [2]}]
    assert [(fault.line, fault.reason) for fault in faults] == [
        (6 + between.count("\n"), "JSON syntax: text is left over after a value")
    ]
    assert len(syntax.read(f"{ONE}{rest}\n{TWO}\n{TWO}{rest}")[1]) == 2


def test_what_looks_like_json_is_yaml_first() -> None:
    """A comment may end as an object does."""
    text = "{a: [ # {all}\n  {b: 1}, # {one}\n{b: 2} # }\n]} # {}\n"
    assert values(text) == [{"a": [{"b": 1}, {"b": 2}]}]


def test_yaml_after_json() -> None:
    """Whoever writes flow style by hand forgets quotes here and there."""
    parts, faults = syntax.read('{b: 1}\n{"a": 1} {b: 2,\n c: 3}\n')
    assert [(part.line, part.value) for part in parts] == [(0, {"b": 1}), (1, {"a": 1}), (1, {"b": 2, "c": 3})]
    assert not faults


def cost(text: str) -> float:
    """Seconds of the processor."""

    def once() -> float:
        start = time.process_time()
        syntax.read(text)
        return time.process_time() - start

    return min(once() for _attempt in range(3))


@pytest.mark.parametrize(
    "entry", ['{"a": 1}\n', '{"a": 1}', '{"a": 1, "a": 1}\n', "{\n", '{"a": 1} x\n', "{}\n}\n", "{}" + "\n" * 20]
)
def test_an_object_costs_the_same_wherever_it_stands(entry: str) -> None:
    few, many = cost(entry * 1000), cost(entry * 8000)
    assert many < 24 * few, "eight times as much, or 64 where each asks the whole text"


def test_what_is_merged_gives_way_to_what_is_said() -> None:
    text = "base: &b {x: 1, y: 1}\nmore: &m {y: 2, z: 2}\nown:\n  <<: [*b, *m]\n  x: 3\n"
    assert values(text)[0]["own"] == {"x": 3, "y": 1, "z": 2}


def test_limits_are_what_is_said() -> None:
    assert values("[" * (syntax.MAX_DEPTH - 1) + "x" + "]" * (syntax.MAX_DEPTH - 1))
    with pytest.raises(SyntaxFault, match=f"nested more than {syntax.MAX_DEPTH} deep"):
        values("[" * (syntax.MAX_DEPTH + 1) + "x" + "]" * (syntax.MAX_DEPTH + 1))
    several = "a: &a [" + "1," * 1000 + "]\nb: [{}]\n"
    assert values(several.format(",".join(["*a"] * 100)))
    with pytest.raises(SyntaxFault, match=f"aliases repeat more than {syntax.MAX_ALIASED} values"):
        values(several.format(",".join(["*a"] * 101)))


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
    assert values("a: &x 1\nb: *x\nc: &x [2]\nd: *x\n") == [{"a": 1, "b": 1, "c": [2], "d": [2]}]


@pytest.mark.parametrize(
    "text", ["a: *hunter2\n", "a: !hunter2\n", "a: !hunter2 [x]\n", "a: !!hunter2 x\n", "a: '\\hunter2"]
)
def test_what_may_be_a_password_without_quotes_is_not_said(text: str) -> None:
    """A Secret that cannot be read is one line, too, and its kind is not known yet."""
    with pytest.raises(SyntaxFault) as caught:
        values(text)
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
        assert values(text)
    with peak_of(80, text):
        syntax.line(text, ())


def test_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(yaml, "CSafeLoader")
    syntax._yaml.cache_clear()
    try:
        assert values("a: [1, *x]\nb: 2\n".replace("[1, *x]", "&x [1]\nc: *x")) == [{"a": [1], "c": [1], "b": 2}]
        assert values("a: 1\n---\nb: yes\n") == [{"a": 1}, {"b": True}]
        for text in ("a: [", "- " * 5000 + "a", "a: 1\na: 2", "\x00"):
            with pytest.raises(SyntaxFault):
                values(text)
    finally:
        syntax._yaml.cache_clear()
