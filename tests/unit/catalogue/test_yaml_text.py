"""YAML that says what was said, to every reader, in the form that kubectl prints."""

from __future__ import annotations

from typing import Any

import pytest
import strategies
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sluice.catalogue import syntax, yaml_text

TEXTS = (
    st.text()
    | strategies.HOSTILE.filter("\ud800".__ne__)
    | st.text(alphabet="0123456789abefxoyYnN_-+.:,#~ '\"TZ", max_size=12)
)
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_it_is_read_as_it_was(value: Any) -> None:
    text = yaml_text.text(value)
    assert text.isascii()
    assert yaml.safe_load(text) == value
    parts, faults = syntax.read(text)
    assert (faults, [part.value for part in parts]) == ([], [value])


def test_its_form() -> None:
    value = {
        "kind": "List",
        "items": [{"b": {"x": [], "y-z": {}, "w": ["a", ["b", "c"]]}, "a": 80}, {}],
        "metadata": {"resourceVersion": "", "on": True, "none": None},
    }
    assert yaml_text.text(value) == (
        "items:\n- a: 80\n  b:\n    w:\n    - a\n    - - b\n      - c\n    x: []\n    y-z: {}\n- {}\n"
        'kind: List\nmetadata:\n  none: null\n  "on": true\n  resourceVersion: ""\n'
    )


@pytest.mark.parametrize(
    "text",
    [
        "web",
        "10.96.0.1",
        "10.0.0.0/8",
        "fd00:10:96::1",
        "2001:db8::/32",
        "kubernetes.io/service-name",
        "v1.29.0",
        "6.1.0-18-amd64",
        "Debian GNU/Linux 12 (bookworm)",
        "containerd://1.7.2",
        "2048-game",
        "None",
    ],
)
def test_without_quotes_as_kubectl(text: str) -> None:
    assert yaml_text.text(text) == f"{text}\n"


@pytest.mark.parametrize(
    "text",
    [
        *("", "80", "1.20", "1e3", "0x1F", "0o17", "017", "0b1", "1_000", "1,000", "-1", "+1", ".5", "12:30:45"),
        *("y", "No", "null", "~", "2026-01-02", "2026-01-02T03:04:05Z", "=", "<<", "---", "...", "é", "\U0001f600"),
        *("a: b", "a #b", "a:", "- a", "{}", "[]", "*a", "&a", "!a", "%a", "@a", "`a", "|", ">", "?"),
        *(" a", "a ", "a  b", "a\n"),
    ],
)
def test_with_quotes(text: str) -> None:
    """Where any YAML, 1.1 or 1.2, could take it for something else."""
    written = yaml_text.text(text)
    assert written[0] == written[-2] == '"'
    assert yaml.safe_load(written) == text


def test_half_a_pair_is_no_character() -> None:
    assert yaml.safe_load(yaml_text.text("a\ud800")) == "a\ufffd"
