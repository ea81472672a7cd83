"""What the pictures of a packet's way share: the Service of the lab, the drawing, the command line.

A picture is made of what is rendered for NODE of the lab, so it cannot say anything else than the rules do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Callable, NamedTuple

import yaml

from sluice import render
from sluice import settings as node_settings
from sluice.catalogue import sources
from sluice.observe import drawing

ROOT = Path(__file__).resolve().parents[1]
LAB = ROOT / "inventory" / "lab"
NODE = "lb1"
SERVICE = "edge/admin"
"""With a load balancer's address, source ranges and a node port, so that it has every kind of chain."""

# The picture, in pixels.
WIDTH, GAP, FIRST = 960, 40, 34.0


class Line(NamedTuple):
    """A line in a box: its look (``drawing.Line``), and what it leads to: arrows go to those that are boxes."""

    text: str
    look: str = ""
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
    def drawn(self) -> drawing.Box:
        return drawing.Box(self.title, [drawing.Line(line.text, line.look) for line in self.lines], self.look)


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


def drawn(picture: Picture) -> str:
    """The picture, as SVG."""
    shapes: list[str] = []
    edges: list[str] = []
    place: dict[str, tuple[float, float, float]] = {}  # centre, top and width of each box
    leaving: list[tuple[float, float, str]] = []
    names = {box.name for row in picture.rows for box in row}
    top = FIRST
    for row in picture.rows:
        for index, box in enumerate(row):
            centre = WIDTH / len(row) * (index + 0.5) if box.centre is None else box.centre
            width = box.drawn.width
            place[box.name] = centre, top, width
            shapes += drawing.box(box.drawn, centre, top)
            targets = [
                each for each in dict.fromkeys(each for line in box.lines for each in line.targets) if each in names
            ]
            for number, target in enumerate(targets):
                spread = (number - (len(targets) - 1) / 2) * width / len(targets) * 1.25
                leaving.append((centre + spread, top + box.drawn.height, target))
        shapes += _says(row[0], top)
        top += max(box.drawn.height for box in row) + GAP
    for x, y, target in leaving:
        centre, to_y, width = place[target]
        edges.append(drawing.edge(x, y, x if abs(x - centre) < width / 2 else centre, to_y))
    centre = picture.centre
    for end in picture.rows[-1]:
        edges.append(drawing.edge(place[end.name][0], place[end.name][1] + end.drawn.height, centre, top))
    for box in picture.then:
        shapes += drawing.box(box.drawn, centre, top)
        shapes += _says(box, top)
        top += box.drawn.height
        edges.append(f'<path class="edge" d="M{centre:g} {top:g}v{GAP / 2:g}"{drawing.TIP}/>')
        top += GAP / 2
    said = " · ".join(picture.endpoints)
    width = len(said) * drawing.BOLD + 2 * drawing.PADDING
    shapes.append(f'<rect class="end" x="{centre - width / 2:.1f}" y="{top:g}" width="{width:.1f}" height="26"/>')
    shapes.append(drawing.text(said, centre, top + 17, "title", middle=True))
    about = f"The way of a packet for the Service {SERVICE} through {picture.through}"
    note = f"Drawn by tools/{picture.tool} from the rules of {NODE} for {SERVICE}, not by hand."
    return drawing.document(WIDTH, top + 40, about, [*edges, *shapes], note)


def _says(box: Box, top: float) -> list[str]:
    y = top + (16 if top > FIRST else -10)  # the first one is long
    return [drawing.text(box.says, 10, y, "says")] if box.says else []


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
