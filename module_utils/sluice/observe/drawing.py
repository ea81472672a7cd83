"""How ways are drawn, as SVG: boxes with lines in them, arrows, and one look for light and dark pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from ..faults import printable

CHARACTER, BOLD, LINE, TITLE, PADDING = 6.3, 7.1, 16, 22, 9
"""Pixels: the width of a character in a line and in a title, the height of both, and the room around them."""

SAID = 6.2
"""The width of a character of what is said beside boxes, on the average."""

_SHAPES = """\
.way text { font: 10.4px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
.way .title { font-weight: bold; font-size: 11.5px }
.way .says { font: 12px system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif }
.way .box, .way .end, .way .lost { rx: 5px }
.way .set { rx: 12px }
.way .edge { fill: none; stroke-width: 1.3 }
.way .chance { font-weight: bold; font-size: 11.5px; stroke-width: 4px; paint-order: stroke }
"""
_COLOURS = """\
.way text {{ fill: {text} }}
.way .says, .way .why {{ fill: {says} }}
.way .mark {{ fill: {mark} }}
.way .drop {{ fill: {drop} }}
.way .dnat {{ fill: {dnat} }}
.way .page {{ fill: {page} }}
.way .box {{ fill: {box}; stroke: {line} }}
.way .end {{ fill: {end}; stroke: {dnat} }}
.way .lost {{ fill: {lost}; stroke: {drop} }}
.way .set {{ fill: {set}; stroke: {of_set} }}
.way .edge {{ stroke: {line} }}
.way .tip {{ fill: {line} }}
.way .chance {{ stroke: {page} }}
"""
_LIGHT = {
    "page": "#ffffff",
    "text": "#1f2937",
    "says": "#4b5563",
    "line": "#64748b",
    "box": "#f8fafc",
    "end": "#ecfdf5",
    "lost": "#fef2f2",
    "set": "#eff6ff",
    "of_set": "#1d4ed8",
    "mark": "#b45309",
    "drop": "#b91c1c",
    "dnat": "#047857",
}
_DARK = {
    "page": "#0d1117",
    "text": "#e6edf3",
    "says": "#9da7b3",
    "line": "#8b949e",
    "box": "#161b22",
    "end": "#0f2a20",
    "lost": "#2d1416",
    "set": "#12233f",
    "of_set": "#79b8ff",
    "mark": "#e3a348",
    "drop": "#ff8a80",
    "dnat": "#56d3a0",
}
# Written out twice instead of by variables, which not all that show SVG know.
STYLE = (
    _SHAPES
    + _COLOURS.format(**_LIGHT)
    + "@media (prefers-color-scheme: dark) {\n"
    + "".join(f"  {line}\n" for line in _COLOURS.format(**_DARK).splitlines())
    + "}"
)

_COMMENTS = re.compile(r'(?:-m comment --)?comment (?:"(?:[^"\\]|\\.)*"|\S+) ?')


class Line(NamedTuple):
    """A line in a box. ``look`` is a class of STYLE: ``mark``, ``drop``, ``dnat``, ``why``; empty for others."""

    text: str
    look: str = ""


class Box(NamedTuple):
    """``look``: a class of STYLE: ``box``, ``end``, ``lost``, ``set``."""

    title: str
    lines: Sequence[Line]
    look: str = "box"

    @property
    def width(self) -> float:
        longest = max((len(line.text) for line in self.lines), default=0)
        return max(len(self.title) * BOLD, longest * CHARACTER) + 2 * PADDING

    @property
    def height(self) -> float:
        return TITLE + LINE * len(self.lines) + PADDING / 2


def short(rule: str) -> str:
    """A rule as a drawing shows it: without comments and what the rest says as well."""
    text = re.sub(r"-m \w+ |--mode random ", "", _COMMENTS.sub("", rule))
    text = re.sub(r"-p (tcp|udp|sctp)\b", r"\1", text).replace("--to-destination ", "")
    return re.sub(r"(?:^|\s*)(?:-[jg]|\b(?:jump|goto)) ([^\s,}]+)", r" → \1", text).strip()


def box(drawn: Box, centre: float, top: float) -> list[str]:
    """A box with its text."""
    left = centre - drawn.width / 2
    size = f'width="{drawn.width:.1f}" height="{drawn.height:g}"'
    found = [
        f'<rect class="{drawn.look}" x="{left:.1f}" y="{top:g}" {size}/>',
        text(drawn.title, left + PADDING, top + 16, "title"),
    ]
    for number, line in enumerate(drawn.lines, 1):
        found.append(text(line.text, left + PADDING, top + TITLE + LINE * number - 5, line.look))
    return found


def text(said: str, x: float, y: float, look: str = "", *, middle: bool = False) -> str:
    """A line of text; blanks at its beginning stay."""
    of_look = f' class="{look}"' if look else ""
    anchor = ' text-anchor="middle"' if middle else ""
    indent = "\u00a0" * (len(said) - len(said.lstrip(" ")))
    return f'<text{of_look} x="{x:.1f}" y="{y:g}"{anchor}>{indent}{escape(printable(said.lstrip(" ")))}</text>'


def edge(x: float, y: float, to_x: float, to_y: float, *, tip: bool = True) -> str:
    """A line that leaves downwards and arrives from above; ``tip``: as an arrow."""
    middle = (y + to_y) / 2
    curve = f"M{x:.1f} {y:g}C{x:.1f} {middle:g} {to_x:.1f} {middle:g} {to_x:.1f} {to_y:g}"
    return f'<path class="edge" d="{curve}"{TIP if tip else ""}/>'


TIP = ' marker-end="url(#tip)"'


def document(width: float, height: float, about: str, shapes: Iterable[str], note: str = "") -> str:
    """The whole picture. ``about``: for those who cannot see it. ``note``: for those who read its source."""
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="way" {size} role="img" aria-label={quoteattr(about)}>'
    marker = '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    return "\n".join(
        [
            head,
            *([f"<!-- {note} -->"] if note else []),
            f"<style>\n{STYLE}\n</style>",
            f'<defs>{marker}<path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>',
            f'<rect class="page" width="{width:g}" height="{height:g}"/>',
            *shapes,
            "</svg>\n",
        ]
    )
