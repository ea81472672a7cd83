"""Draw the way of a packet through the chains of one Service of the lab, from the rules that lb1 gets for it.

Writes docs/packet-way.svg. With --check nothing is written: exit 1 where the picture is not current. Needs the engine
on the path (it is, in the project's .venv).
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import yaml

from sluice import addresses, names, render
from sluice import settings as node_settings
from sluice.backends.iptables import text as ruleset
from sluice.backends.iptables.plan import target_of
from sluice.backends.iptables.text import NODE_PORTS_COMMENT
from sluice.catalogue import sources

ROOT = Path(__file__).resolve().parents[1]
LAB = ROOT / "inventory" / "lab"
PICTURE = ROOT / "docs" / "packet-way.svg"
NODE = "lb1"
SERVICE = "edge/admin"
"""With a load balancer's address, source ranges and a node port, so that it has every kind of chain."""

MASQUERADE = "KUBE-MARK-MASQ"

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


class Box(NamedTuple):
    """A chain: its rules that concern the Service, as (text, kind, target)."""

    chain: str
    title: str
    rules: list[tuple[str, str, str]]

    @property
    def width(self) -> float:
        rules = max((len(text) for text, _kind, _target in self.rules), default=0)
        return max(len(self.title) * BOLD, rules * CHARACTER) + 2 * PADDING

    @property
    def height(self) -> float:
        return TITLE + LINE * len(self.rules) + PADDING / 2


def lab_rules() -> tuple[ruleset.RuleSet, dict[str, str]]:
    """The rules of NODE for IPv4, and the lab's endpoints: their names by address."""
    groups = yaml.safe_load((LAB / "hosts.yml").read_text(encoding="utf-8"))["all"]["children"]
    common, hosts = groups["endpoints"]["vars"], groups["endpoints"]["hosts"]
    entries = [
        {"name": name, **{key[len("sluice_") :]: value for key, value in {**common, **variables}.items()}}
        for name, variables in hosts.items()
    ]
    variables = yaml.safe_load((LAB / "group_vars" / "load_balancers.yml").read_text(encoding="utf-8"))
    own = groups["load_balancers"]["hosts"][NODE]["lab_addresses"]
    settings, _ = node_settings.from_variables(
        {**variables, "sluice_node_name": NODE, "sluice_node_addresses": ["127.0.0.1", "::1", *own]}
    )
    catalogue, _ = sources.catalogue_of(sources.read([str(LAB / "services")]), entries, render.checks_for([settings]))
    rules = ruleset.parse_files(render.render(render.views(catalogue, settings), settings))[addresses.IPV4]
    return rules, {entry["endpoint_ip"]: entry["name"] for entry in entries}


def short(rule: str) -> tuple[str, str, str]:
    """A rule as the picture shows it, its kind (a key of COLOURS) and its target."""
    target = target_of(rule)
    text = re.sub(r'-m comment --comment "[^"]*" ?', "", rule)
    text = re.sub(r"-m \w+ |--mode random ", "", text).replace("-p tcp", "tcp").replace("tcp tcp", "tcp")
    text = re.sub(r"(?:^|\s*)-j (\S+)", r" → \1", text).replace("--to-destination ", "")
    kind = {MASQUERADE: "mark", "DROP": "drop", "DNAT": "dnat"}.get(target, "jump")
    # A rule that is a comment only: the end of a firewall chain.
    return (text.strip(), kind, target) if text.strip() else ("(else goes on as it is)", "drop", "")


def of_service(rule: str) -> bool:
    """Whether a rule of a chain that all Services share is about SERVICE, or the way to its node port."""
    return bool(re.search(rf'"{SERVICE}[ :"]', rule)) or NODE_PORTS_COMMENT in rule


def boxes(rules: ruleset.RuleSet) -> list[list[Box]]:
    """The chains of table nat that a packet for SERVICE may pass, a list a row, from where it comes in."""
    nat = rules["nat"]

    def box(chain: str) -> Box:
        own = [rule for rule in nat[chain] if chain not in ("KUBE-SERVICES", "KUBE-NODEPORTS") or of_service(rule)]
        return Box(chain, chain, [short(rule) for rule in own])

    def jump(chain: str) -> Box:
        return Box(chain, f"nat {chain}", [short(rule) for rule in nat[chain] if target_of(rule) == "KUBE-SERVICES"])

    svc = names.chain_name("KUBE-SVC-", SERVICE, "TCP")
    firewall, ext = svc.replace("-SVC-", "-FW-"), svc.replace("-SVC-", "-EXT-")
    ends = [target for _text, kind, target in box(svc).rules if kind == "jump"]
    return [
        [jump("PREROUTING"), jump("OUTPUT")],
        [box("KUBE-SERVICES")],
        [box(firewall), box("KUBE-NODEPORTS")],
        [box(ext)],
        [box(svc)],
        [box(end) for end in ends],
    ]


def behind(rules: ruleset.RuleSet) -> list[Box]:
    """What every packet passes behind table nat's PREROUTING: the filter, then masquerading."""
    dropping = [short(rule) for rule in rules["filter"]["KUBE-PROXY-FIREWALL"] if of_service(rule)]
    return [
        Box("KUBE-PROXY-FIREWALL", "filter FORWARD → KUBE-PROXY-FIREWALL", dropping),
        Box("KUBE-FORWARD", "filter FORWARD → KUBE-FORWARD", [short(rule) for rule in rules["filter"]["KUBE-FORWARD"]]),
        Box(
            "KUBE-POSTROUTING",
            "nat POSTROUTING → KUBE-POSTROUTING",
            [short(rule) for rule in rules["nat"]["KUBE-POSTROUTING"]],
        ),
    ]


CENTRES = {"PREROUTING": 330, "OUTPUT": 610, "KUBE-SERVICES": 470, "KUBE-FW": 490, "KUBE-NODEPORTS": 798}
CENTRES |= {"KUBE-EXT": 635, "KUBE-SVC": 470}
SAYS = {
    "PREROUTING": "the first packet of a connection: from the network, or from the node itself",
    "KUBE-SERVICES": "by address and port",
    "KUBE-FW": "source ranges",
    "KUBE-EXT": "from outside: marked for masquerading",
    "KUBE-SVC": "one of the endpoints",
    "KUBE-PROXY-FIREWALL": "what was not let in was not rewritten",
    "KUBE-POSTROUTING": "what is marked leaves with the node's address",
}


def kind_of(chain: str) -> str:
    """``KUBE-SVC`` of ``KUBE-SVC-…``; the name itself for a chain without a hash."""
    return re.sub(r"-[A-Z2-7]{16}$", "", chain)


def drawing(rows: list[list[Box]], last: list[Box], hosts: dict[str, str]) -> str:
    """The picture, as SVG."""
    shapes: list[str] = []
    edges: list[str] = []
    place: dict[str, tuple[float, float, float]] = {}  # centre, top and width of each chain
    leaving: list[tuple[float, float, str]] = []
    top = FIRST
    for row in rows:
        for index, box in enumerate(row):
            centre = CENTRES.get(kind_of(box.chain), WIDTH / len(row) * (index + 0.5))
            place[box.chain] = centre, top, box.width
            shapes += _box(box, centre, top)
        for box in row:
            targets = [target for _text, kind, target in box.rules if kind == "jump" and target.startswith("KUBE-")]
            centre, _, _ = place[box.chain]
            for number, target in enumerate(targets):
                spread = (number - (len(targets) - 1) / 2) * box.width / len(targets) * 1.25
                leaving.append((centre + spread, top + box.height, target))
        shapes += _says(row[0].chain, top)
        top += max(box.height for box in row) + GAP
    for x, y, target in leaving:
        if target in place:
            centre, to_y, width = place[target]
            edges.append(_edge(x, y, x if abs(x - centre) < width / 2 else centre, to_y))
    for end in rows[-1]:
        edges.append(_edge(place[end.chain][0], place[end.chain][1] + end.height, WIDTH / 2, top))
    for box in last:
        shapes += _box(box, WIDTH / 2, top)
        shapes += _says(box.chain, top)
        top += box.height
        edges.append(f'<path class="edge" d="M{WIDTH / 2:g} {top:g}v{GAP / 2:g}" marker-end="url(#tip)"/>')
        top += GAP / 2
    answers = [text.rpartition(" ")[2] for end in rows[-1] for text, kind, _target in end.rules if kind == "dnat"]
    said = " · ".join(f"{hosts[text.rpartition(':')[0]]} {text}" for text in answers)
    width = len(said) * BOLD + 2 * PADDING
    shapes.append(f'<rect class="end" x="{(WIDTH - width) / 2:.1f}" y="{top:g}" width="{width:.1f}" height="26"/>')
    shapes.append(f'<text class="title" x="{WIDTH / 2:g}" y="{top + 17:g}" text-anchor="middle">{escape(said)}</text>')
    height = top + 40
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" '
        f'role="img" aria-label="The way of a packet for the Service {SERVICE} through the chains of iptables">'
    )
    tip = '<path d="M0 0L8 4L0 8z" fill="#64748b"/>'
    marker = (
        f'<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">{tip}'
    )
    return "\n".join(
        [
            head,
            f"<!-- Drawn by tools/{Path(__file__).name} from the rules of {NODE} for {SERVICE}, not by hand. -->",
            f"<style>\n{STYLE}\n</style>",
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
        f'<rect class="box" x="{left:.1f}" y="{top:g}" {size}/>',
        f'<text class="title" x="{left + PADDING:.1f}" y="{top + 16:g}">{escape(box.title)}</text>',
    ]
    for number, (text, kind, _target) in enumerate(box.rules, 1):
        y = top + TITLE + LINE * number - 5
        found.append(f'<text x="{left + PADDING:.1f}" y="{y:g}" style="fill:{COLOURS[kind]}">{escape(text)}</text>')
    return found


def _says(chain: str, top: float) -> list[str]:
    text = SAYS.get(kind_of(chain))
    y = top + (16 if top > FIRST else -10)  # the first one is long
    return [f'<text class="says" x="10" y="{y:g}">{escape(text)}</text>'] if text else []


def _edge(x: float, y: float, to_x: float, to_y: float) -> str:
    """A line that leaves downwards and arrives from above."""
    middle = (y + to_y) / 2
    curve = f"M{x:.1f} {y:g}C{x:.1f} {middle:g} {to_x:.1f} {middle:g} {to_x:.1f} {to_y:g}"
    return f'<path class="edge" d="{curve}" marker-end="url(#tip)"/>'


def picture() -> str:
    """The picture as it should be now."""
    rules, hosts = lab_rules()
    return drawing(boxes(rules), behind(rules), hosts)


def main() -> int:
    """Write or check; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 where the picture is not current")
    check = parser.parse_args().check
    now = picture()
    if check:
        current = PICTURE.exists() and PICTURE.read_text(encoding="utf-8") == now
        if not current:
            print(f"{PICTURE.relative_to(ROOT)}: not current, run python tools/{Path(__file__).name}", file=sys.stderr)
        return 0 if current else 1
    PICTURE.write_text(now, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
