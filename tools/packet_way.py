"""What the pictures of a packet's way share: the Service of the lab, the drawing, the command line.

A picture is made of what is rendered for NODE of the lab, so it cannot say anything else than the rules do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Callable, NamedTuple
from xml.sax.saxutils import escape

import yaml

from sluice import render
from sluice import settings as node_settings
from sluice.catalogue import sources

ROOT = Path(__file__).resolve().parents[1]
LAB = ROOT / "inventory" / "lab"
NODE = "lb1"
SERVICE = "edge/admin"
"""With a load balancer's address, source ranges and a node port, so that it has every kind of chain."""

# The picture, in pixels.
WIDTH = 960
CHARACTER, BOLD, LINE, TITLE, PADDING, GAP = 6.3, 7.1, 16, 22, 9, 40
FIRST = 34.0
COLOURS = {"jump": "#1f2937", "mark": "#b45309", "drop": "#b91c1c", "dnat": "#047857"}
STYLE = """\
text { font: 10.4px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #1f2937 }
.title { font-weight: bold; font-size: 11.5px }
.says { font: 12px system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif; fill: #4b5563 }
.box { fill: #f8fafc; stroke: #64748b; rx: 5px }
.end { fill: #ecfdf5; stroke: #047857; rx: 5px }
.edge { fill: none; stroke: #64748b; stroke-width: 1.3 }"""
SET_STYLE = ".set { fill: #eff6ff; stroke: #1d4ed8; rx: 12px }"


class Line(NamedTuple):
    """A line in a box: its kind, a key of COLOURS, and what it leads to: arrows go to those that are boxes."""

    text: str
    kind: str = "jump"
    targets: Sequence[str] = ()


class Box(NamedTuple):
    """A chain with its rules that concern the Service, or a set (``look`` "set") with its elements.

    ``centre``: where it stands, None for beside the others of its row. ``says``: what is written to the left of it.
    """

    name: str
    title: str
    lines: Sequence[Line]
    centre: float | None = None
    says: str = ""
    look: str = "box"

    @property
    def width(self) -> float:
        longest = max((len(line.text) for line in self.lines), default=0)
        return max(len(self.title) * BOLD, longest * CHARACTER) + 2 * PADDING

    @property
    def height(self) -> float:
        return TITLE + LINE * len(self.lines) + PADDING / 2


class Picture(NamedTuple):
    """What is drawn: ``rows`` of boxes from where a packet comes in, those that it passes ``then``, its endpoints.

    ``tool``: who draws it. ``through``: what the Service's packets pass, for those who cannot see it. ``centre``: of
    what comes ``then``.
    """

    tool: str
    through: str
    rows: Sequence[Sequence[Box]]
    then: Sequence[Box]
    endpoints: Sequence[str]
    centre: float = WIDTH / 2


def rendered(backend: str) -> tuple[dict[str, str], dict[str, str]]:
    """The files of NODE, and the lab's endpoints: their names by address."""
    groups = yaml.safe_load((LAB / "hosts.yml").read_text(encoding="utf-8"))["all"]["children"]
    common, hosts = groups["endpoints"]["vars"], groups["endpoints"]["hosts"]
    entries = [
        {"name": name, **{key[len("sluice_") :]: value for key, value in {**common, **variables}.items()}}
        for name, variables in hosts.items()
    ]
    variables = yaml.safe_load((LAB / "group_vars" / "load_balancers.yml").read_text(encoding="utf-8"))
    own = groups["load_balancers"]["hosts"][NODE]["lab_addresses"]
    node = {
        "sluice_backend": backend,
        "sluice_node_name": NODE,
        "sluice_node_addresses": ["127.0.0.1", "::1", *own],
    }
    settings, _ = node_settings.from_variables({**variables, **node})
    catalogue, _ = sources.catalogue_of(sources.read([str(LAB / "services")]), entries, render.checks_for([settings]))
    files = render.render(render.views(catalogue, settings), settings)
    return files, {entry["endpoint_ip"]: entry["name"] for entry in entries}


def drawing(picture: Picture) -> str:
    """The picture, as SVG."""
    shapes: list[str] = []
    edges: list[str] = []
    place: dict[str, tuple[float, float, float]] = {}  # centre, top and width of each box
    leaving: list[tuple[float, float, str]] = []
    drawn = {box.name for row in picture.rows for box in row}
    top = FIRST
    for row in picture.rows:
        for index, box in enumerate(row):
            centre = WIDTH / len(row) * (index + 0.5) if box.centre is None else box.centre
            place[box.name] = centre, top, box.width
            shapes += _box(box, centre, top)
            targets = [
                each for each in dict.fromkeys(each for line in box.lines for each in line.targets) if each in drawn
            ]
            for number, target in enumerate(targets):
                spread = (number - (len(targets) - 1) / 2) * box.width / len(targets) * 1.25
                leaving.append((centre + spread, top + box.height, target))
        shapes += _says(row[0], top)
        top += max(box.height for box in row) + GAP
    for x, y, target in leaving:
        centre, to_y, width = place[target]
        edges.append(_edge(x, y, x if abs(x - centre) < width / 2 else centre, to_y))
    centre = picture.centre
    for end in picture.rows[-1]:
        edges.append(_edge(place[end.name][0], place[end.name][1] + end.height, centre, top))
    for box in picture.then:
        shapes += _box(box, centre, top)
        shapes += _says(box, top)
        top += box.height
        edges.append(f'<path class="edge" d="M{centre:g} {top:g}v{GAP / 2:g}" marker-end="url(#tip)"/>')
        top += GAP / 2
    said = " · ".join(picture.endpoints)
    width = len(said) * BOLD + 2 * PADDING
    shapes.append(f'<rect class="end" x="{centre - width / 2:.1f}" y="{top:g}" width="{width:.1f}" height="26"/>')
    shapes.append(f'<text class="title" x="{centre:g}" y="{top + 17:g}" text-anchor="middle">{escape(said)}</text>')
    height = top + 40
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" '
        f'role="img" aria-label="The way of a packet for the Service {SERVICE} through {picture.through}">'
    )
    tip = '<path d="M0 0L8 4L0 8z" fill="#64748b"/>'
    marker = (
        f'<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">{tip}'
    )
    has_sets = any(box.look == "set" for row in picture.rows for box in row)
    style = f"{STYLE}\n{SET_STYLE}" if has_sets else STYLE
    return "\n".join(
        [
            head,
            f"<!-- Drawn by tools/{picture.tool} from the rules of {NODE} for {SERVICE}, not by hand. -->",
            f"<style>\n{style}\n</style>",
            f"<defs>{marker}</marker></defs>",
            f'<rect width="{WIDTH}" height="{height:g}" fill="#ffffff"/>',
            *edges,
            *shapes,
            "</svg>\n",
        ]
    )


def _box(box: Box, centre: float, top: float) -> list[str]:
    left = centre - box.width / 2
    size = f'width="{box.width:.1f}" height="{box.height:g}"'
    found = [
        f'<rect class="{box.look}" x="{left:.1f}" y="{top:g}" {size}/>',
        f'<text class="title" x="{left + PADDING:.1f}" y="{top + 16:g}">{escape(box.title)}</text>',
    ]
    for number, line in enumerate(box.lines, 1):
        y = top + TITLE + LINE * number - 5
        colour = COLOURS[line.kind]
        found.append(f'<text x="{left + PADDING:.1f}" y="{y:g}" style="fill:{colour}">{escape(line.text)}</text>')
    return found


def _says(box: Box, top: float) -> list[str]:
    y = top + (16 if top > FIRST else -10)  # the first one is long
    return [f'<text class="says" x="10" y="{y:g}">{escape(box.says)}</text>'] if box.says else []


def _edge(x: float, y: float, to_x: float, to_y: float) -> str:
    """A line that leaves downwards and arrives from above."""
    middle = (y + to_y) / 2
    curve = f"M{x:.1f} {y:g}C{x:.1f} {middle:g} {to_x:.1f} {middle:g} {to_x:.1f} {to_y:g}"
    return f'<path class="edge" d="{curve}" marker-end="url(#tip)"/>'


def run(about: str, name: str, picture: Callable[[], str]) -> int:
    """The command line of a tool that draws docs/``name``: write or check; the exit code."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 where the picture is not current")
    check = parser.parse_args().check
    path = ROOT / "docs" / name
    now = picture()
    if check:
        current = path.exists() and path.read_text(encoding="utf-8") == now
        if not current:
            print(f"docs/{name}: not current, run python tools/{Path(sys.argv[0]).name}", file=sys.stderr)
        return 0 if current else 1
    path.write_text(now, encoding="utf-8")
    return 0
