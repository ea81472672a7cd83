"""Draw the way of a packet through the chains of one Service of the lab, from the rules that lb1 gets for it.

Writes docs/packet-way.svg. With --check nothing is written: exit 1 where the picture is not current. Needs the engine
on the path (it is, in the project's .venv).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from packet_way import SERVICE, Box, Line, Picture, drawn, rendered, run

from sluice import addresses, names
from sluice.backends.iptables import text as ruleset
from sluice.backends.iptables.ownership import target_of
from sluice.backends.iptables.text import NODE_PORTS_COMMENT
from sluice.observe.drawing import short as short_text

MASQUERADE = "KUBE-MARK-MASQ"
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


def short(rule: str) -> Line:
    """A rule as the picture shows it."""
    target = target_of(rule)
    text = short_text(rule)
    kind = {MASQUERADE: "mark", "DROP": "drop", "DNAT": "dnat"}.get(target, "")
    # A rule that is a comment only: the end of a firewall chain.
    return Line(text, kind, [target]) if text else Line("(else goes on as it is)", "drop")


def of_service(rule: str) -> bool:
    """Whether a rule of a chain that all Services share is about SERVICE, or the way to its node port."""
    return bool(re.search(rf'"{SERVICE}[ :"]', rule)) or NODE_PORTS_COMMENT in rule


def box(chain: str, rules: Iterable[str], title: str = "") -> Box:
    """A chain with some of its rules."""
    kind = re.sub(r"-[A-Z2-7]{16}$", "", chain)  # KUBE-SVC of KUBE-SVC-…
    return Box(chain, title or chain, [short(rule) for rule in rules], CENTRES.get(kind), SAYS.get(kind, ""))


def boxes(rules: ruleset.RuleSet) -> list[list[Box]]:
    """The chains of table nat that a packet for SERVICE may pass, a list a row, from where it comes in."""
    nat = rules["nat"]

    def own(chain: str) -> Box:
        shared = chain in ("KUBE-SERVICES", "KUBE-NODEPORTS")
        return box(chain, [rule for rule in nat[chain] if not shared or of_service(rule)])

    def jump(chain: str) -> Box:
        return box(chain, [rule for rule in nat[chain] if target_of(rule) == "KUBE-SERVICES"], f"nat {chain}")

    svc = names.chain_name("KUBE-SVC-", SERVICE, "TCP")
    firewall, ext = svc.replace("-SVC-", "-FW-"), svc.replace("-SVC-", "-EXT-")
    ends = [line.targets[0] for line in own(svc).lines if not line.look]
    return [
        [jump("PREROUTING"), jump("OUTPUT")],
        [own("KUBE-SERVICES")],
        [own(firewall), own("KUBE-NODEPORTS")],
        [own(ext)],
        [own(svc)],
        [own(end) for end in ends],
    ]


def behind(rules: ruleset.RuleSet) -> list[Box]:
    """What every packet passes behind table nat's PREROUTING: the filter, then masquerading."""
    filters, nat = rules["filter"], rules["nat"]
    firewall, forward, masquerading = "KUBE-PROXY-FIREWALL", "KUBE-FORWARD", "KUBE-POSTROUTING"
    dropping = [rule for rule in filters[firewall] if of_service(rule)]
    return [
        box(firewall, dropping, f"filter FORWARD → {firewall}"),
        box(forward, filters[forward], f"filter FORWARD → {forward}"),
        box(masquerading, nat[masquerading], f"nat POSTROUTING → {masquerading}"),
    ]


def endpoints(ends: Iterable[Box], hosts: Mapping[str, str]) -> list[str]:
    """The endpoints that chains lead to, each with its name."""
    found = [line.text.rpartition(" ")[2] for end in ends for line in end.lines if line.look == "dnat"]
    return [f"{hosts[text.rpartition(':')[0]]} {text}" for text in found]


def picture() -> str:
    """The picture as it should be now."""
    files, hosts = rendered("iptables")
    rules = ruleset.parse_files(files)[addresses.IPV4]
    rows = boxes(rules)
    through = "the chains of iptables"
    return drawn(Picture(Path(__file__).name, through, rows, behind(rules), endpoints(rows[-1], hosts)))


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", "packet-way.svg", picture))
