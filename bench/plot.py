"""Line plots as SVG, readable on light and dark pages, without a dependency."""

from __future__ import annotations

import math
import typing
from collections.abc import Iterable, Sequence
from html import escape


class Series(typing.NamedTuple):
    """A line of (x, y) points. ``colour`` indexes PALETTE; dashed is what others are held against (FLOOR)."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int
    dashed: bool = False


class Panel(typing.NamedTuple):
    """Axes with lines. The x axis is logarithmic, the y axis if ``log``; else it begins at 0."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    log: bool = True


PALETTE = (("#0969da", "#58a6ff"), ("#bc4c00", "#f0883e"), ("#1a7f37", "#3fb950"), ("#8250df", "#bc8cff"),
           ("#bf3989", "#f778ba"), ("#57606a", "#8b949e"))  # fmt: skip
"""Colours on light and on dark ground."""

FLOOR = len(PALETTE) - 1
"""The colour of what others are held against."""

WIDTH, HEIGHT = 432, 320
LEFT, RIGHT, TOP, BOTTOM = 58, 150, 36, 46
LABEL_GAP = 14
"""Least distance of two labels at the ends of lines."""


def svg(panels: Sequence[Panel]) -> str:
    """One picture of ``panels`` side by side. All of them have the same axes if they have the same labels."""
    width = WIDTH * len(panels)
    size = f'width="{width}" height="{HEIGHT}"'
    body: list[str] = []
    for number, panel in enumerate(panels):
        alike = [each for other in panels if other[1:3] == panel[1:3] for each in other.series]
        body += [f'<g transform="translate({number * WIDTH} 0)">', *_panel(panel, alike), "</g>"]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {HEIGHT}">',
            _style(),
            f'<rect class="ground" {size}/>',
            *body,
            "</svg>",
            "",
        ]
    )


def _style() -> str:
    def rules(ground: str, ink: str, grid: str, shade: int) -> str:
        lines = "".join(
            f" .c{number} {{ stroke: {pair[shade]}; }} .t{number} {{ fill: {pair[shade]}; }}"
            for number, pair in enumerate(PALETTE)
        )
        return f".ground {{ fill: {ground}; }} text {{ fill: {ink}; }} .grid {{ stroke: {grid}; }}{lines}"

    return (
        "<style>\n"
        "text { font: 12px system-ui, sans-serif; }\n"
        ".line { fill: none; stroke-width: 2; } .dashed { stroke-dasharray: 5 4; } .title { font-weight: 600; }\n"
        f"{rules('#ffffff', '#1f2328', '#d1d9e0', 0)}\n"
        f"@media (prefers-color-scheme: dark) {{ {rules('#0d1117', '#e6edf3', '#30363d', 1)} }}\n"
        "</style>"
    )


class _Axis(typing.NamedTuple):
    """From values to pixels; ``begin`` and ``end`` are values."""

    begin: float
    end: float
    log: bool
    pixels: tuple[float, float]

    def __call__(self, value: float) -> float:
        low, high, at = (math.log10(each) if self.log else each for each in (self.begin, self.end, value))
        return self.pixels[0] + (at - low) / (high - low) * (self.pixels[1] - self.pixels[0])


def _panel(panel: Panel, alike: Sequence[Series]) -> Iterable[str]:
    xs = sorted({x for series in alike for x, _ in series.points})
    ys = [y for series in alike for _, y in series.points]
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    x_axis = _Axis(xs[0], max(xs[-1], xs[0] * 1.01), True, (LEFT, right))
    y_ticks = ticks(min(ys), max(ys)) if panel.log else steps(max(ys))
    y_axis = _Axis(y_ticks[0], y_ticks[-1], panel.log, (bottom, TOP))

    yield f'<text class="title" x="{LEFT}" y="20">{escape(panel.title)}</text>'
    for tick in y_ticks:
        y = y_axis(tick)
        yield f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:,g}</text>'
    for tick in _apart(xs, x_axis):
        yield f'<line class="grid" x1="{x_axis(tick):.1f}" x2="{x_axis(tick):.1f}" y1="{TOP}" y2="{bottom}"/>'
        yield f'<text x="{x_axis(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{_short(tick)}</text>'
    middle = (LEFT + right) / 2, (TOP + bottom) / 2
    yield f'<text x="{middle[0]}" y="{HEIGHT - 10}" text-anchor="middle">{escape(panel.x_label)}</text>'
    yield (
        f'<text transform="translate(14 {middle[1]}) rotate(-90)" text-anchor="middle">{escape(panel.y_label)}</text>'
    )
    for series in panel.series:
        points = " ".join(f"{x_axis(x):.1f},{y_axis(y):.1f}" for x, y in series.points)
        yield f'<polyline class="line c{series.colour}{" dashed" * series.dashed}" points="{points}"/>'
    ends = [y_axis(series.points[-1][1]) for series in panel.series]
    for series, y in zip(panel.series, spread(ends)):
        yield f'<text class="t{series.colour}" x="{right + 6}" y="{y + 4:.1f}">{escape(series.name)}</text>'


def ticks(low: float, high: float) -> list[float]:
    """Powers of ten that hold ``low`` to ``high``; ends at 2 or 5 times one where that is enough."""
    candidates = [
        mantissa * 10.0**power
        for power in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
        for mantissa in (1, 2, 5)
    ]
    first = max(each for each in candidates if each <= low * 1.001)
    last = min(each for each in candidates if each >= high * 0.999 and each > first)
    between = [each for each in candidates if first < each < last and math.log10(each) % 1 == 0]
    return [first, *between, last]


def steps(high: float) -> list[float]:
    """Four to ten even steps from 0 to at least ``high``."""
    size = next(
        mantissa * 10.0**power
        for power in range(math.floor(math.log10(high)) - 2, math.ceil(math.log10(high)) + 1)
        for mantissa in (1, 2, 5)
        if high / (mantissa * 10.0**power) <= 8
    )
    return [size * number for number in range(math.ceil(high / size - 0.001) + 1)]


def spread(places: Sequence[float], gap: float = LABEL_GAP) -> list[float]:
    """``places`` moved as little as it takes (and evenly) to be ``gap`` apart, in the order given."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    groups: list[list[int]] = []
    centres: list[float] = []
    for index in order:
        groups.append([index])
        centres.append(places[index])
        while len(groups) > 1 and centres[-1] - centres[-2] < gap * (len(groups[-1]) + len(groups[-2])) / 2:
            last, _ = groups.pop(), centres.pop()
            groups[-1] += last
            centres[-1] = sum(places[each] for each in groups[-1]) / len(groups[-1])
    found = [0.0] * len(places)
    for group, centre in zip(groups, centres):
        for number, index in enumerate(group):
            found[index] = centre + (number - (len(group) - 1) / 2) * gap
    return found


def _apart(values: Sequence[float], axis: _Axis, gap: float = 24) -> list[float]:
    """The largest value, and of the others those whose labels do not touch the next one's."""
    found: list[float] = []
    for value in reversed(values):
        if not found or axis(found[-1]) - axis(value) >= gap:
            found.append(value)
    return found


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"
