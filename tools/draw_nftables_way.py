"""Draw the way of a packet through the flat nftables tables, for one Service of the lab, from what lb1 gets for it.

Writes docs/nftables-way.svg. With --check nothing is written: exit 1 where the picture is not current. Needs the engine
on the path (it is, in the project's .venv).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from packet_way import SERVICE, Box, Line, Picture, drawn, rendered, run

from sluice import addresses
from sluice.backends.nftables import text
from sluice.backends.nftables.layout import LOW_BITS, class_id, of_class_id

# Sets have an @ before their name, as rules name them.
CENTRES = {"nat-prerouting": 420, "nat-output": 700, "@addresses": 430, "@node-ports": 740, "inside": 335}
CENTRES |= {"outside": 600, "fenced-outside": 775, "@ranges": 800}
MIDDLE = 560
SAYS = {
    "nat-prerouting": "the first packet of a connection: from the network, or from the node itself",
    "services": "look-up 1: address or node port",
    "@addresses": "whose it is, and of which kind",
    "kinds": "by kind",
    "fenced-outside": "source ranges",
    "inside": "who is masqueraded",
    "to-cluster": "the list of all endpoints",
    "balance": "look-up 2: how the list is balanced",
    "@ways": "the same for all lists of as many slots",
    "@slots-tcp": "look-up 3: the endpoint of a slot",
    "filter-forward": "what was not let in was not rewritten",
    "nat-postrouting": "what is marked leaves with the node's address",
}
KINDS = {" drop": "drop", " dnat ip to ": "dnat", "mark set": "mark", "masquerade": "mark"}
"""What a rule does, by a word of it; all others lead on."""


class Found(NamedTuple):
    """The rules of a table's chains, and the elements of its sets that are SERVICE's, as (key, data)."""

    chains: Mapping[str, Sequence[str]]
    sets: Mapping[str, Sequence[tuple[str, str]]]


def found(table: text.Table) -> Found:
    """What of a table a packet for SERVICE may meet."""
    bodies = text.skeleton(table.skeleton).chains
    lines = {name: str(piece).splitlines() for name, piece in table.elements.items()}
    sets = {
        name: [_pair(line) for line in lines[name] if f'comment "{SERVICE}"' in line]
        for name in ("addresses", "node-ports", "lists", "fenced")
    }
    ((the_list, value),) = sets["lists"]
    code = class_id(of_class_id(value) & LOW_BITS)
    for name, begin in (("ways", f"\t{code} "), ("slots-tcp", f"\t{the_list} "), ("ranges", f"\t{the_list} ")):
        sets[name] = [_pair(line) for line in lines[name] if line.startswith(begin)]
    return Found({name: [line.strip() for line in body.splitlines()] for name, body in bodies.items()}, sets)


def _pair(line: str) -> tuple[str, str]:
    """Key and data of an element, without its comment."""
    key, _colon, data = line.strip().removesuffix(",").partition(" : ")
    return key.partition(" comment ")[0], data


def short(rule: str) -> Line:
    """A rule as the picture shows it, and what it leads to: a map where it takes a value, else sets and chains."""
    kind = next((kind for word, kind in KINDS.items() if word in rule), "")
    words = re.sub(r"\bmeta (priority|mark|l4proto)\b", r"\1", rule.partition(";")[0])
    to = r"(?:goto|jump) (\S+)"
    targets = re.findall(r" map (@\S+)", rule) or [*re.findall(to, rule), *re.findall(r"(@\S+) goto", rule)]
    return Line(re.sub(r"\b(?:goto|jump) ", "→ ", words), kind, targets)


def boxes(table: Found) -> list[list[Box]]:
    """The chains and sets that a packet for SERVICE may pass, a list a row, from where it comes in."""

    def chain(name: str, only: str = "") -> Box:
        lines = [short(rule) for rule in table.chains[name] if re.search(only, rule)]
        return Box(name, name, lines, CENTRES.get(name, MIDDLE), SAYS.get(name, ""))

    def elements(name: str, *then: str) -> Box:
        lines = [Line(f"{key} : {data}" if data else key, "", then) for key, data in table.sets[name]]
        box = f"@{name}"
        return Box(box, box, lines, CENTRES.get(box, MIDDLE), SAYS.get(box, ""), "set")

    way = table.sets["ways"][0][1].removeprefix("goto ")
    return [
        [chain("nat-prerouting"), chain("nat-output")],
        [chain("services", "@addresses|@node-ports")],
        [elements("addresses", "kinds"), elements("node-ports", "kinds")],
        [kinds(table)],
        [chain("fenced-outside")],
        [chain("inside"), chain("outside"), elements("ranges")],
        [chain("to-cluster")],
        [chain("balance")],
        [elements("lists", "@ways")],
        [elements("ways", way)],
        [chain(way, "priority set|l4proto tcp")],
        [elements("slots-tcp")],
    ]


def kinds(table: Found) -> Box:
    """The one rule of the chain ``kinds``, with what is in it for SERVICE."""
    (rule,) = table.chains["kinds"]
    ours = {
        class_id(of_class_id(data) & LOW_BITS) for name in ("addresses", "node-ports") for _, data in table.sets[name]
    }
    ends = [(code, to) for code, to in re.findall(r"([0-9a-f]+:[0-9a-f]+) : goto ([-a-z]+)", rule) if code in ours]
    head = short(rule.partition(" {")[0])
    lines = [head, *(Line(f"  {code} : → {to}", "", [to]) for code, to in ends)]
    return Box("kinds", "kinds", lines, MIDDLE, SAYS["kinds"])


def behind(table: Found) -> list[Box]:
    """What every packet passes behind the nat chain: the filter, then masquerading."""
    filters = [short(rule) for rule in table.chains["filter-forward"] if re.search("^ct state|@fenced", rule)]
    masquerading = [short(rule) for rule in table.chains["nat-postrouting"][1:]]
    fenced = ", ".join(key for key, _data in table.sets["fenced"])
    return [
        Box("filter-forward", f"filter-forward, with {fenced} in @fenced", filters, says=SAYS["filter-forward"]),
        Box("nat-postrouting", "nat-postrouting", masquerading, says=SAYS["nat-postrouting"]),
    ]


def picture() -> str:
    """The picture as it should be now."""
    files, hosts = rendered("nftables")
    table = found(text.tables(files[text.FILE])[addresses.IPV4])
    where = [data.partition(" . ") for _key, data in table.sets["slots-tcp"]]
    endpoints = [f"{hosts[address]} {address}:{port}" for address, _dot, port in dict.fromkeys(where)]
    through = "the chains and maps of flat nftables"
    return drawn(Picture(Path(__file__).name, through, boxes(table), behind(table), endpoints, MIDDLE))


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", "nftables-way.svg", picture))
