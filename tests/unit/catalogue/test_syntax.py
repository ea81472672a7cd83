"""Text that is neither YAML nor JSON, or not as Kubernetes reads it."""

from __future__ import annotations

from pathlib import Path

import bad_input
import pytest
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
