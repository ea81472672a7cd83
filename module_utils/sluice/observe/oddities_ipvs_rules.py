"""Oddities of the rules around IPVS: kube-proxy has some for each of its IP sets, which let in, fence or masquerade."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from .. import addresses
from ..backends.ipvs.ipset_text import IpSet
from .iptables_rules import Tables, target_name
from .oddity import Oddity, few

_ANEW = "have the proxy write all of its rules anew (sluice apply, or restart kube-proxy)"
_PAST = "what it is for keeps its client's address: endpoints answer past this node, and clients take no answer"
_FENCE = "loadBalancerSourceRanges keep nobody out"
_KEPT = "what it is for is masqueraded, so endpoints do not see their client, or go to rules behind ours"
_REFUSED = "the node refuses what comes to it, before IPVS sees it"
_ASKED = re.compile(r" --match-set (\S+) (\S+)")
_NAME_LENGTH = 31
"""How long the name of an IP set can be: those of IPv6 are cut."""


class _Wanted(NamedTuple):
    """A rule that a chain has if it is there: what it ends in, for which set (``""``: none), and what it is for.

    ``always``: the proxy writes it also while the set (or ``about``, if that is another one) has no members.
    """

    table: str
    chain: str
    set_name: str
    end: str
    effect: str
    always: bool = False
    about: str = ""


_MARK = "-j KUBE-MARK-MASQ"
_WANTED = (
    _Wanted("nat", "KUBE-SERVICES", "LOAD-BALANCER", "-j KUBE-LOAD-BALANCER", _PAST),
    _Wanted("nat", "KUBE-SERVICES", "CLUSTER-IP", _MARK, _PAST),
    _Wanted("nat", "KUBE-SERVICES", "CLUSTER-IP", "-j ACCEPT", _KEPT),
    _Wanted("nat", "KUBE-SERVICES", "LOAD-BALANCER", "-j ACCEPT", _KEPT),
    _Wanted("nat", "KUBE-SERVICES", "EXTERNAL-IP", _MARK, _PAST),
    *(
        _Wanted("nat", "KUBE-SERVICES", name, f"--{whose} -j ACCEPT", _KEPT)
        for name in ("EXTERNAL-IP", "EXTERNAL-IP-LOCAL")
        for whose in ("src-type LOCAL", "dst-type LOCAL")
    ),
    _Wanted("nat", "KUBE-LOAD-BALANCER", "", _MARK, _PAST, always=True, about="LOAD-BALANCER"),
    _Wanted("nat", "KUBE-LOAD-BALANCER", "LOAD-BALANCER-LOCAL", "-j RETURN", _KEPT),
    *(_Wanted("nat", "KUBE-NODE-PORT", f"NODE-PORT-{name}", _MARK, _PAST) for name in ("TCP", "UDP", "SCTP-HASH")),
    *(
        _Wanted("nat", "KUBE-NODE-PORT", f"NODE-PORT-LOCAL-{name}", "-j RETURN", _KEPT)
        for name in ("TCP", "UDP", "SCTP-HASH")
    ),
    _Wanted("nat", "KUBE-FIREWALL", "", "-j KUBE-MARK-DROP", _FENCE, always=True, about="LOAD-BALANCER-FW"),
    _Wanted("filter", "KUBE-SOURCE-RANGES-FIREWALL", "", "-j DROP", _FENCE, always=True, about="LOAD-BALANCER-FW"),
    *(
        _Wanted("filter", "KUBE-IPVS-FILTER", name, "-j RETURN", _REFUSED, always=True)
        for name in ("LOAD-BALANCER", "CLUSTER-IP", "EXTERNAL-IP", "EXTERNAL-IP-LOCAL", "HEALTH-CHECK-NODE-PORT")
    ),
    _Wanted(
        *("filter", "KUBE-IPVS-FILTER", "IPVS-IPS", "-j REJECT"),
        "every port of a Service's address reaches the node's own programs",
        always=True,
    ),
    _Wanted(
        *("filter", "KUBE-NODE-PORT", "HEALTH-CHECK-NODE-PORT", "-j ACCEPT"),
        "a firewall may drop the health checks of load balancers",
        always=True,
    ),
)
_HARMLESS = (_KEPT, "a firewall may drop the health checks of load balancers")
_DIRECTIONS = {
    **dict.fromkeys(("LOOP-BACK", "LOAD-BALANCER-SOURCE-CIDR", "LOAD-BALANCER-SOURCE-IP"), ("dst,dst,src",)),
    "CLUSTER-IP": ("dst,dst", "src,dst"),
    **dict.fromkeys(("LOAD-BALANCER", "LOAD-BALANCER-LOCAL", "LOAD-BALANCER-FW"), ("dst,dst",)),
    **dict.fromkeys(("EXTERNAL-IP", "EXTERNAL-IP-LOCAL"), ("dst,dst",)),
    **dict.fromkeys(("NODE-PORT-TCP", "NODE-PORT-UDP", "NODE-PORT-LOCAL-TCP", "NODE-PORT-LOCAL-UDP"), ("dst",)),
    **dict.fromkeys(("HEALTH-CHECK-NODE-PORT", "IPVS-IPS"), ("dst",)),
}
"""What of a packet has to be in a set: kube-proxy asks for its destination, and for its source behind that."""

_ORDER: Mapping[tuple[str, str], tuple[tuple[str, ...], tuple[str, ...], str]] = {
    ("filter", "KUBE-IPVS-FILTER"): (("RETURN",), ("REJECT",), _REFUSED),
    ("filter", "KUBE-SOURCE-RANGES-FIREWALL"): (("RETURN",), ("DROP",), "clients that may enter are dropped"),
    ("nat", "KUBE-FIREWALL"): (("RETURN",), ("KUBE-MARK-DROP",), "clients that may enter are dropped"),
    ("nat", "KUBE-LOAD-BALANCER"): (("KUBE-FIREWALL", "RETURN"), ("KUBE-MARK-MASQ",), _KEPT),
    ("nat", "KUBE-SERVICES"): (("KUBE-MARK-MASQ", "KUBE-LOAD-BALANCER"), ("ACCEPT",), _PAST),
}
"""Which targets come first in a chain, and which behind them; of KUBE-SERVICES it holds for each set alone."""


def found(tables: Tables, family: str, sets: Mapping[str, IpSet], where: str) -> Iterator[Oddity]:
    """Those of one ``iptables-save``; ``sets``: what of IP sets was dumped."""
    services = tables.chain("nat", "KUBE-SERVICES")
    if services is None or tables.chain("nat", "KUBE-LOAD-BALANCER") is None:
        return
    names = _Names(family)
    for wanted in _WANTED:
        yield from _missing(wanted, tables, sets, names, where)
    alone = [text.startswith("-s ") and text.endswith(" -j RETURN") for text in services]
    if tables.chain("filter", "KUBE-IPVS-OUT-FILTER") is not None and True not in alone[:1]:
        effect = "what the node asks of a Service from a loopback address is masqueraded and sent on"
        yield Oddity("KUBE-SERVICES does not leave loopback alone", f"{where} nat", effect, _ANEW, False)
    yield from _disordered(tables, where)
    yield from _unknown(tables, family, sets, where)
    yield from _directions(tables, names, where)
    yield from _foreign(tables, where)


class _Names:
    """The names of kube-proxy's sets in one address family."""

    def __init__(self, family: str) -> None:
        self._start = "KUBE-6-" if family == addresses.IPV6 else "KUBE-"

    def full(self, name: str) -> str:
        return f"{self._start}{name}"[:_NAME_LENGTH]


def _missing(wanted: _Wanted, tables: Tables, sets: Mapping[str, IpSet], names: _Names, where: str) -> Iterator[Oddity]:
    rules = tables.chain(wanted.table, wanted.chain)
    name = names.full(wanted.set_name) if wanted.set_name else ""
    if rules is None or (not sets and not wanted.always):
        return
    held = sets.get(names.full(wanted.about or wanted.set_name))
    is_used = held is not None and bool(held.members)
    if not (wanted.always or is_used) or any(_is_that(text, name, wanted.end) for text in rules):
        return
    if (
        wanted.end == _MARK
        and wanted.set_name.startswith("NODE-PORT")
        and held
        and _all_local(held, wanted, sets, names)
    ):
        return
    about = f" for {name}" if name else ""
    what = f"{wanted.chain} has no rule {wanted.end.removeprefix('--')}{about}"
    hurts = is_used and wanted.effect not in _HARMLESS
    yield Oddity(what, f"{where} {wanted.table}", wanted.effect, _ANEW, hurts)


def _all_local(held: IpSet, wanted: _Wanted, sets: Mapping[str, IpSet], names: _Names) -> bool:
    """Whether all node ports of a protocol are of policy Local, whose clients are not masqueraded."""
    local = sets.get(names.full(wanted.set_name.replace("NODE-PORT-", "NODE-PORT-LOCAL-")))
    return local is not None and {*held.members} <= {*local.members}


def _is_that(text: str, set_name: str, end: str) -> bool:
    asked = _ASKED.search(text)
    if (asked[1] if asked else "") != set_name:
        return False
    return text.endswith(end) or f"{end} " in text or (not end.startswith("--") and f"{end} --" in text)


def _disordered(tables: Tables, where: str) -> Iterator[Oddity]:
    for (table, chain), (first, then, effect) in _ORDER.items():
        late: dict[str, bool] = {}
        for number, text in enumerate(tables.chain(table, chain) or (), 1):
            target, asked = target_name(text), _ASKED.search(text)
            of = (asked[1] if asked else "") if chain == "KUBE-SERVICES" else ""
            if target in then:
                late[of] = True
            elif target in first and late.get(of) and not text.startswith("-s "):
                yield Oddity(
                    f"rules of {chain} in the wrong order",
                    f"{where} {table}: {chain} rule {number}: {text}",
                    effect,
                    _ANEW,
                    effect not in _HARMLESS,
                )
    rules = tables.chain("nat", "KUBE-NODE-PORT") or ()
    for protocol in ("tcp", "udp", "sctp"):
        targets = [target_name(text) for text in rules if text.startswith(f"-p {protocol} ")]
        if "RETURN" in targets and "KUBE-MARK-MASQ" in targets[: targets.index("RETURN")]:
            yield Oddity("rules of KUBE-NODE-PORT in the wrong order", f"{where} nat", _KEPT, _ANEW, False)
    rules = tables.chain("nat", "KUBE-POSTROUTING") or ()
    back = next((at for at, text in enumerate(rules) if text.endswith("-j RETURN")), len(rules))
    if any("LOOP-BACK" in text for text in rules[back:]):
        effect = "an endpoint that calls its own Service and is sent to itself gets no answer"
        yield Oddity("rules of KUBE-POSTROUTING in the wrong order", f"{where} nat", effect, _ANEW, True)


def _unknown(tables: Tables, family: str, sets: Mapping[str, IpSet], where: str) -> Iterator[Oddity]:
    """Sets that rules ask for. What nobody dumped is not missed: some of that family have to be there."""
    start = "KUBE-6-" if family == addresses.IPV6 else "KUBE-"
    if f"{start}CLUSTER-IP" not in sets and f"{start}LOAD-BALANCER" not in sets:
        return
    asked = {
        name: f"{chain} rule {number}"
        for chains in tables.rules.values()
        for chain, rules in chains.items()
        for number, text in enumerate(rules, 1)
        for name, _directions in _ASKED.findall(text)
    }
    gone = [f"{name} ({place})" for name, place in asked.items() if name not in sets]
    if gone:
        effect = "the rule matches nothing, and iptables-restore takes no such file"
        yield Oddity("IP set that is not there", f"{where}: {few(gone)}", effect, _ANEW, True)


def _directions(tables: Tables, names: _Names, where: str) -> Iterator[Oddity]:
    wanted = {names.full(name): directions for name, directions in _DIRECTIONS.items()}
    wrong = [
        f"{chain}: {text}"
        for chains in tables.rules.values()
        for chain, rules in chains.items()
        if chain.startswith("KUBE-")
        for text in rules
        for name, directions in _ASKED.findall(text)
        if name in wanted and directions not in wanted[name]
    ]
    if wrong:
        effect = "the rule matches other packets than those of Services"
        yield Oddity("IP set asked for the wrong end of packets", f"{where}: {few(wrong)}", effect, _ANEW, True)


def _foreign(tables: Tables, where: str) -> Iterator[Oddity]:
    """Rules in kube-proxy's chains that ask for none of its sets and end a packet's way."""
    chains: Sequence[tuple[str, str]] = (
        *(("nat", name) for name in ("KUBE-SERVICES", "KUBE-NODE-PORT", "KUBE-LOAD-BALANCER")),
        *(("filter", name) for name in ("KUBE-NODE-PORT", "KUBE-PROXY-FIREWALL")),
    )
    for table, chain in chains:
        for number, text in enumerate(tables.chain(table, chain) or (), 1):
            target = target_name(text)
            if target not in ("ACCEPT", "DROP", "REJECT", "RETURN", "DNAT", "REDIRECT") or "--match-set" in text:
                continue
            if target == "RETURN" and text.startswith("-s "):
                continue
            yield Oddity(
                f"a rule in {chain} that is of no Service: {target}",
                f"{where} {table}: {chain} rule {number}: {text}",
                "packets of Services whose rules come behind it may not reach them",
                f"see who has put it there, and {_ANEW}",
                True,
            )
