"""Boxes, arrows and text of drawings: what they say is never taken for markup."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from sluice.observe import drawing
from sluice.observe.drawing import Box, Line

HOSTILE = "</text><script>alert(1)</script>&\"'"


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ('-m comment --comment "a \\" -j X" -j KUBE-SERVICES', "→ KUBE-SERVICES"),
        ("-m comment --comment a/b:c -j A", "→ A"),
        ("-d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j A", "-d 10.0.0.1/32 tcp --dport 80 → A"),
        ("-p udp -m udp -g A", "udp → A"),
        ("-p tcp -j DNAT --to-destination 10.1.0.1:80", "tcp → DNAT 10.1.0.1:80"),
        ("meta l4proto tcp goto services", "meta l4proto tcp → services"),
        ("ip daddr vmap @services", "ip daddr vmap @services"),
        ("", ""),
    ],
)
def test_rules_are_shortened(rule: str, shown: str) -> None:
    assert drawing.short(rule) == shown


def test_a_box_holds_its_text() -> None:
    box = Box("title", [Line("x" * 40), Line("a longer line" * 5, "why")])
    assert box.width > 65 * drawing.CHARACTER
    assert box.height > 2 * drawing.LINE + drawing.TITLE
    assert Box("a long title" * 5, []).width > 60 * drawing.BOLD


def test_nothing_is_taken_for_markup() -> None:
    shapes = drawing.box(Box(HOSTILE, [Line(HOSTILE, "why"), Line(f"  {HOSTILE}")]), 100, 10)
    text = drawing.document(200, 100, HOSTILE, [*shapes, drawing.edge(1, 2, 3, 4)])
    root = ElementTree.fromstring(text)
    assert root.get("aria-label") == HOSTILE
    found = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert found == [HOSTILE, HOSTILE, f"\u00a0\u00a0{HOSTILE}"]
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))


def test_both_colour_schemes_have_the_same_rules() -> None:
    light, _media, dark = drawing.STYLE.partition("@media (prefers-color-scheme: dark) {\n")
    ruled = [line.partition("{")[0].strip() for line in dark.splitlines() if "{" in line]
    assert ruled
    assert all(any(line.startswith(f"{each} {{") for line in light.splitlines()) for each in ruled)
