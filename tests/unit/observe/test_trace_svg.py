"""The picture of a trace: that it is one, that nothing in it overlaps, and that no rule is markup."""

from __future__ import annotations

import itertools
import random
import re
from fractions import Fraction
from xml.etree import ElementTree

import pytest

from sluice.observe import trace_svg
from sluice.observe.outcomes import DROP, ENDPOINT, Outcome, Step
from sluice.observe.packets import Packet
from sluice.observe.trace import Traced

NAMESPACE = "{http://www.w3.org/2000/svg}"
PACKET = Packet("10.96.0.1", 80)
Area = tuple[float, float, float, float]


def _step(chain: str, rule: str = "-j NEXT") -> Step:
    return Step("nat", chain, rule, "every packet")


def _ways(count: int) -> Traced:
    ways = [
        Outcome(
            ENDPOINT,
            f"10.1.0.{number}:80",
            Fraction(1, count),
            number == 1,
            (
                _step("PREROUTING"),
                _step("KUBE-SVC-ABCDEFGHABCDEFGH", f"-m statistic --probability 0.1 -j SEP-{number}"),
                _step(f"KUBE-SEP-{number}"),
                *([_step("KUBE-MARK-MASQ")] if number == 1 else []),
                _step("POSTROUTING"),
            ),
        )
        for number in range(count)
    ]
    return Traced(PACKET, ways)


def _panels(text: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(text).iter(f"{NAMESPACE}g"))


def _areas(panel: ElementTree.Element) -> list[Area]:
    found = [each for each in panel.iter(f"{NAMESPACE}rect") if each.get("class") != "page"]
    sides = [[float(each.get(name, "")) for name in ("x", "y", "width", "height")] for each in found]
    return [(x, y, x + width, y + height) for x, y, width, height in sides]


def _texts(panel: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in panel.iter(f"{NAMESPACE}text")]


def _overlap(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _crosses(path: str, area: Area) -> bool:
    """Whether a line, by some of its points, comes through a box."""
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
    if "V" in path:
        x, y, to_y = numbers
        points = [(x, y + (to_y - y) * t / 20) for t in range(1, 20)]
    else:
        ends = list(zip(numbers[::2], numbers[1::2]))
        points = [_bezier(ends, t / 20) for t in range(1, 20)]
    return any(area[0] < x < area[2] and area[1] < y < area[3] for x, y in points)


def _bezier(ends: list[tuple[float, float]], t: float) -> tuple[float, float]:
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
    x, y = (sum(weight * end[axis] for weight, end in zip(weights, ends)) for axis in (0, 1))
    return x, y


def _is_clear(panel: ElementTree.Element) -> None:
    areas = _areas(panel)
    assert not [pair for pair in itertools.combinations(areas, 2) if _overlap(*pair)]
    for path in panel.iter(f"{NAMESPACE}path"):
        assert not [area for area in areas if _crosses(path.get("d", ""), area)], path.get("d")


@pytest.mark.parametrize("count", [1, 2, 3, 6, 1000])
def test_boxes_stand_clear(count: int) -> None:
    (panel,) = _panels(trace_svg.text([_ways(count)]))
    _is_clear(panel)
    said = _texts(panel)
    assert ("and 995 more" in said) is (count == 1000)
    assert (f"1/{count}" in said) is (count > 1)
    assert ("sees the node" in said) is (count > 1)


def test_random_ways_stand_clear() -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    source = random.Random(seed)
    for _ in range(60):
        paths = [
            [_step(source.choice("ABCDE")) for _ in range(source.randrange(8))] for _ in range(source.randint(1, 9))
        ]
        outcomes = [Outcome(ENDPOINT, f"e{n}:1", Fraction(1, len(paths)), False, tuple(p)) for n, p in enumerate(paths)]
        (panel,) = _panels(trace_svg.text([Traced(PACKET, outcomes)]))
        _is_clear(panel)


def test_packets_stand_one_below_the_other() -> None:
    text = trace_svg.text([_ways(2), _ways(3)])
    first, second = (re.findall(r"[\d.]+", panel.get("transform", "")) for panel in _panels(text))
    assert float(second[1]) > float(first[1]) + max(area[3] for area in _areas(_panels(text)[0]))
    many = trace_svg.text([_ways(1)] * (trace_svg.MOST + 3))
    assert len(_panels(many)) == trace_svg.MOST
    assert "and 3 more addresses" in many


def test_text_fits_into_its_box() -> None:
    rule = '-d 10.0.0.1/32 -m comment --comment "x" --long ' + "x" * 300 + " -j A"
    ways = [
        Outcome(ENDPOINT, f"e{n}:1", Fraction(1, 2), False, (_step("A", rule), _step(f"B{n}", rule))) for n in (1, 2)
    ]
    (panel,) = _panels(trace_svg.text([Traced(PACKET, ways)]))
    for each in panel.iter(f"{NAMESPACE}text"):
        if each.get("class") in (None, "why"):
            x, y = float(each.get("x", "")), float(each.get("y", ""))
            (box,) = [area for area in _areas(panel) if area[0] <= x <= area[2] and area[1] <= y <= area[3]]
            assert x + len(each.text or "") * 6.3 <= box[2]


def test_no_rule_is_markup() -> None:
    hostile = "</text><script>alert(1)</script>]]>&amp;\x00\x1b[31m\ud800"
    traced = Traced(PACKET, [Outcome(DROP, "", Fraction(1), False, (Step(hostile, hostile, hostile, hostile),))])
    text = trace_svg.text([traced])
    kinds = {each.tag.removeprefix(NAMESPACE) for each in ElementTree.fromstring(text.encode()).iter()}
    assert kinds == {"svg", "style", "defs", "marker", "path", "rect", "g", "text"}
    assert 'class="lost"' in text


def test_it_needs_nothing_else() -> None:
    text = trace_svg.text([_ways(3)])
    assert "href" not in text
    assert re.findall(r"url\(([^)]*)\)", text) == ["#tip"] * text.count("url(")
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert text == trace_svg.text([_ways(3)])
