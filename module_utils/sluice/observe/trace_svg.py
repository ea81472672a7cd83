"""A trace as a picture that needs nothing else: boxes of chains in rows, from where the packet comes in to its ends."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from . import drawing
from .drawing import SAID, Box, Line
from .outcomes import ENDPOINT
from .trace import Traced
from .trace_graph import CHAIN, LOST, OTHERS, Graph, Place, graph
from .trace_text import answers, fraction, packet_text

MOST = 20
"""Packets of one picture."""

_MARGIN, _GAP, _BETWEEN = 24.0, 38.0, 22.0
_ALONE, _BESIDE = 100, 38
"""Characters of a line in a box that is alone in its row, and in one of several."""
_THIN = 14.0
"""The room of a line that passes between boxes."""
_LEAST = 620.0
"""The width of a picture, however little is in it: what is said below has to be read."""


class _Panel(NamedTuple):
    width: float
    height: float
    shapes: Sequence[str]


def text(found: Sequence[Traced]) -> str:
    """One picture, of all packets one below the other."""
    panels = [_panel(traced) for traced in found[:MOST]]
    width = max(panel.width for panel in panels) + 2 * _MARGIN
    shapes: list[str] = []
    top = _MARGIN
    for panel in panels:
        shapes += [f'<g transform="translate({(width - panel.width) / 2:.1f} {top:g})">', *panel.shapes, "</g>"]
        top += panel.height + _MARGIN
    if len(found) > MOST:
        shapes.append(drawing.text(f"and {len(found) - MOST:,} more addresses", _MARGIN, top, "says"))
        top += _MARGIN
    titles = ", ".join(packet_text(traced.packet)[0] for traced in found[:MOST])
    return drawing.document(round(width), round(top), f"The way of a packet: {titles}", shapes)


def _panel(traced: Traced) -> _Panel:
    rows = _Rows(graph(traced))
    said = [(short, answer) for answer, short in answers(traced).items()]
    width = max(rows.width, _LEAST)
    shapes = list(rows.shapes(width / 2))
    y = rows.height + _MARGIN
    for short, answer in said:
        told = f"answer: {answer}" if len(said) == 1 else f"answer ({short}): {answer}"
        for line in textwrap.wrap(told, int(width / SAID)):
            shapes.append(drawing.text(line, 0, y, "says"))
            y += drawing.LINE
    return _Panel(width, y, shapes)


class _Rows:
    """Where the places of a graph are: each in a row below all that lead to it.

    A way that passes a row has a place of its own there, which has no box: so no line crosses one.
    """

    def __init__(self, drawn: Graph) -> None:
        depth = _depths(drawn)
        self._rows: list[list[int]] = [[] for _row in range(max(depth.values()) + 1)]
        for place in range(len(drawn.places)):
            self._rows[depth[place]].append(place)
        self._links: list[tuple[int, int, Fraction | None]] = []
        count = len(drawn.places)
        for (source, target), chance in drawn.edges.items():
            told: Fraction | None = chance if drawn.is_parting(source) else None
            before = source
            for passed in range(depth[source] + 1, depth[target]):
                self._rows[passed].append(count)
                self._links.append((before, count, told))
                before, told, count = count, None, count + 1
            self._links.append((before, target, told))
        self._order()
        self._boxes = {
            place: _box(drawn.places[place], is_alone=len(row) == 1)
            for row in self._rows
            for place in row
            if place < len(drawn.places)
        }
        self._tops: list[float] = []
        top = 0.0
        for places in self._rows:
            self._tops.append(top)
            top += self._height(places) + _GAP
        self.height = top - _GAP
        self.width = max(map(self._width, self._rows))

    def _order(self) -> None:
        """Places of a row in the order of those that lead to them."""
        for above, row in zip(self._rows, self._rows[1:]):
            position = {place: number for number, place in enumerate(above)}
            leading: dict[int, list[int]] = {}
            for source, target, _chance in self._links:
                if source in position:
                    leading.setdefault(target, []).append(position[source])
            mean = {place: sum(found) / len(found) for place, found in leading.items()}
            row.sort(key=lambda place: mean.get(place, 0.0))

    def _width(self, row: Sequence[int]) -> float:
        return sum(map(self._room, row)) + _BETWEEN * (len(row) - 1)

    def _room(self, place: int) -> float:
        return self._boxes[place].width if place in self._boxes else _THIN

    def _height(self, row: Sequence[int]) -> float:
        return max(self._boxes[place].height for place in row if place in self._boxes)

    def shapes(self, middle: float) -> Iterator[str]:
        centre: dict[int, float] = {}
        row_of: dict[int, int] = {}
        for number, places in enumerate(self._rows):
            x = middle - self._width(places) / 2
            for place in places:
                centre[place] = x + self._room(place) / 2
                row_of[place] = number
                x += self._room(place) + _BETWEEN
        labels = []
        for source, links in self._leaving().items():
            links.sort(key=lambda link: centre[link[0]])
            row = row_of[source]
            bottom = self._tops[row] + self._height(self._rows[row])
            room = self._room(source) * 0.6
            below = self._tops[row + 1]
            own = self._tops[row] + self._boxes[source].height if source in self._boxes else self._tops[row]
            for number, (target, chance) in enumerate(links):
                x = centre[source] + (number - (len(links) - 1) / 2) * room / len(links)
                if own < bottom:
                    yield f'<path class="edge" d="M{x:.1f} {own:g}V{bottom:g}"/>'
                yield drawing.edge(x, bottom, centre[target], below, tip=target in self._boxes)
                if chance is not None:
                    at = x + (centre[target] - x) * 0.78
                    labels.append(drawing.text(fraction(chance), at, bottom + _GAP * 0.62, "chance", middle=True))
        for place, box in self._boxes.items():
            yield from drawing.box(box, centre[place], self._tops[row_of[place]])
        yield from labels

    def _leaving(self) -> dict[int, list[tuple[int, Fraction | None]]]:
        found: dict[int, list[tuple[int, Fraction | None]]] = {}
        for source, target, chance in self._links:
            found.setdefault(source, []).append((target, chance))
        return found


def _depths(drawn: Graph) -> dict[int, int]:
    """How many places lie before each, by the longest way; endpoints are all in the row of the last one."""
    found = dict.fromkeys(range(len(drawn.places)), 0)
    for _longest in drawn.places:
        for source, target in drawn.edges:
            found[target] = max(found[target], found[source] + 1)
    ends = [place for place in found if drawn.places[place].kind in (ENDPOINT, OTHERS)]
    found.update(dict.fromkeys(ends, max((found[place] for place in ends), default=0)))
    return found


def _box(place: Place, *, is_alone: bool) -> Box:
    limit = _ALONE if is_alone else _BESIDE
    lines: list[Line] = []
    for rule, why in place.rules:
        shown = drawing.short(rule) if place.kind == CHAIN else rule
        lines += [Line(line, _look(rule) if place.kind == CHAIN else "") for line in _wrapped(shown, limit, "")]
        lines += [Line(line, "why") for line in _wrapped(why, limit, "  ") if why]
    look = "lost" if place.kind in LOST else "end" if place.kind in (ENDPOINT, OTHERS) else "box"
    return Box(place.title, lines, look)


def _wrapped(text: str, limit: int, indent: str) -> list[str]:
    following = f"{indent}  "
    return textwrap.wrap(
        text, limit, initial_indent=indent, subsequent_indent=following, break_on_hyphens=False, max_lines=6
    )


def _look(rule: str) -> str:
    """What a rule does, by its words."""
    for words, look in _LOOKS.items():
        if any(word in rule for word in words):
            return look
    return ""


_LOOKS = {
    ("-j DROP", "-j REJECT", "KUBE-MARK-DROP", "reject", "drop"): "drop",
    ("-j DNAT", "dnat to ", "dnat ip to ", "dnat ip6 to "): "dnat",
    ("KUBE-MARK-MASQ", "-j MASQUERADE", "masquerade", "mark set"): "mark",
}
