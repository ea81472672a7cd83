"""Oddities of what all Services share: jumps from built-in chains, masquerading, forwarding, mark bits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .iptables_chains import BUILT_IN, Jumps
from .iptables_rules import Tables, Target, taken_apart
from .oddity import Oddity
from .rule_counts import OURS


class _Needed(NamedTuple):
    """A chain that has to be reached from a built-in one, if it is there; what does not happen without."""

    table: str
    built_in: str
    chain: str
    effect: str


_REFUSES = "clients of a Service without endpoints wait for an answer instead of being refused"
_FENCES = "loadBalancerSourceRanges keep nobody out"
_NEEDED = (
    _Needed("nat", "PREROUTING", "KUBE-SERVICES", "no client outside reaches any Service"),
    _Needed("nat", "OUTPUT", "KUBE-SERVICES", "the node itself reaches no Service"),
    _Needed("nat", "POSTROUTING", "KUBE-POSTROUTING", "nothing is masqueraded, so answers go past this node"),
    _Needed("filter", "FORWARD", "KUBE-FORWARD", "a policy or a rule that drops in FORWARD drops Services as well"),
    _Needed("filter", "FORWARD", "KUBE-SERVICES", _REFUSES),
    _Needed("filter", "OUTPUT", "KUBE-SERVICES", _REFUSES),
    _Needed("filter", "INPUT", "KUBE-EXTERNAL-SERVICES", _REFUSES),
    _Needed("filter", "INPUT", "KUBE-PROXY-FIREWALL", _FENCES),
    _Needed("filter", "FORWARD", "KUBE-PROXY-FIREWALL", _FENCES),
    _Needed("filter", "INPUT", "KUBE-NODEPORTS", "a firewall may drop the health checks of load balancers"),
    _Needed("filter", "INPUT", "KUBE-NODE-PORT", "a firewall may drop the health checks of load balancers"),
    _Needed("filter", "INPUT", "KUBE-IPVS-FILTER", "every port of a Service's address reaches the node's own programs"),
    _Needed("filter", "OUTPUT", "KUBE-IPVS-OUT-FILTER", "loadBalancerSourceRanges do not keep the node itself out"),
)
_OF_A_KUBELET = {
    *("KUBE-FIREWALL", "KUBE-KUBELET-CANARY", "KUBE-PROXY-CANARY", "KUBE-IPTABLES-HINT"),
    *("KUBE-MARK-DROP", "KUBE-MARK-MASQ", "KUBE-POSTROUTING"),
}
_ANEW = "have the proxy write all of its rules anew (sluice apply, or restart kube-proxy)"


def found(tables: Tables, jumps: Jumps, where: str) -> Iterator[Oddity]:
    """Those of one ``iptables-save``; a table that was not dumped has none."""
    if not any(chain.startswith("KUBE-") for chains in tables.rules.values() for chain in chains):
        return
    yield from _jumps(tables, jumps, where)
    yield from _masquerading(tables, where)
    yield from _forwarding(tables, jumps, where)
    yield from _marks(tables, where)


def _jumps(tables: Tables, jumps: Jumps, where: str) -> Iterator[Oddity]:
    for table, built_in, chain, effect in _NEEDED:
        there = tables.chain(table, chain) is not None
        if there and not jumps.reaches(table, built_in, chain):
            yield Oddity(f"{built_in} does not jump to {chain}", f"{where} {table}", effect, _ANEW, True)
    services = jumps.of("nat", "KUBE-SERVICES")
    for chain in ("KUBE-NODEPORTS", "KUBE-NODE-PORT"):
        if tables.chain("nat", chain) and chain not in services:
            effect = "no node port answers"
            yield Oddity(f"KUBE-SERVICES does not jump to {chain}", f"{where} nat", effect, _ANEW, True)
    if "KUBE-NODEPORTS" in services and services[-1] != "KUBE-NODEPORTS":
        at = len(services) - 1 - services[::-1].index("KUBE-NODEPORTS")
        effect = "a Service's address that is one of the node's own may be taken for a node port"
        place = f"{where} nat: KUBE-SERVICES, {len(services) - 1 - at} rules behind it"
        yield Oddity("the jump to KUBE-NODEPORTS is not the last rule", place, effect, _ANEW, False)
    for table, chains in tables.rules.items():
        wanted = ("KUBE-SERVICES", "KUBE-POSTROUTING", "KUBE-MARK-MASQ") if table == "nat" else ("KUBE-FORWARD",)
        ours = any(chain.startswith("KUBE-") for chain in chains) and table in ("nat", "filter")
        for chain in wanted if ours else ():
            if chain not in chains and not _is_of_a_kubelet(chains):
                effect = {
                    "KUBE-SERVICES": "no Service is reached",
                    "KUBE-FORWARD": "a policy or a rule that drops in FORWARD drops Services as well",
                }.get(chain, "nothing is masqueraded, so answers go past this node")
                yield Oddity(f"there is no chain {chain}", f"{where} {table}", effect, _ANEW, True)


def _is_of_a_kubelet(chains: Iterable[str]) -> bool:
    """Whether a table has what a kubelet makes, and nothing of a proxy."""
    ours = {name for name in chains if name.startswith("KUBE-")}
    return ours <= _OF_A_KUBELET


def _masquerading(tables: Tables, where: str) -> Iterator[Oddity]:
    post, mark = tables.chain("nat", "KUBE-POSTROUTING"), tables.chain("nat", "KUBE-MARK-MASQ")
    # IPVS has one more for endpoints that call themselves.
    last = [text for text in post or () if "-j MASQUERADE" in text and " --match-set " not in text]
    if post is not None and not last:
        effect = "answers go past this node, and clients do not take them for answers"
        yield Oddity("KUBE-POSTROUTING masquerades nothing", f"{where} nat", effect, _ANEW, True)
    elif last and " --mark " not in last[0] and not any(text.endswith("-j RETURN") for text in post or ()):
        effect = "everything that leaves the node gets its address, marked or not"
        yield Oddity("KUBE-POSTROUTING masquerades all packets", f"{where} nat", effect, _ANEW, True)
    if mark is None or post is None:
        return
    bits = _bits(tables)
    if not bits:
        effect = "nothing is marked, so nothing is masqueraded: answers go past this node"
        yield Oddity("KUBE-MARK-MASQ marks nothing", f"{where} nat", effect, _ANEW, True)
        return
    for table, chain in (("nat", "KUBE-POSTROUTING"), ("filter", "KUBE-FORWARD")):
        asked = [_asked(text) for text in tables.chain(table, chain) or () if " --mark " in text]
        if asked and bits not in asked:
            what = f"{chain} asks for mark {asked[0]:#x}, KUBE-MARK-MASQ sets {bits:#x}"
            effect = "what is marked is not masqueraded" if table == "nat" else "FORWARD may drop what is masqueraded"
            yield Oddity(what, f"{where} {table}", effect, _ANEW, True)


def _bits(tables: Tables) -> int:
    """The bit of a packet's mark that says that it has to be masqueraded."""
    for text in tables.chain("nat", "KUBE-MARK-MASQ") or ():
        return _set_bits(taken_apart(text)[1])[0]
    return 0


def _asked(text: str) -> int:
    for match in taken_apart(text)[0]:
        if match.option == "--mark":
            value, _slash, mask = "".join(match.words).partition("/")
            return _number(mask or value)
    return 0


def _number(text: str) -> int:
    """A number as iptables-save prints it; what is none has no bits."""
    try:
        return int(text, 0)
    except ValueError:
        return 0


def _set_bits(target: Target) -> tuple[int, int]:
    """The bits that a target MARK or CONNMARK sets, and those that it changes."""
    for option, values in target.options.items():
        if option in ("--set-xmark", "--set-mark", "--or-mark", "--and-mark", "--xor-mark"):
            value, _slash, mask = "".join(values).partition("/")
            number = _number(value)
            if option == "--and-mark":
                return 0, ~number & 0xFFFFFFFF
            masked = _number(mask) if mask else number if option in ("--or-mark", "--xor-mark") else 0xFFFFFFFF
            return number, number | masked
        if option == "--restore-mark":
            mask = "".join(target.options.get("--nfmask", target.options.get("--mask", ("0xffffffff",))))
            return 0, _number(mask)
    return 0, 0


def _forwarding(tables: Tables, jumps: Jumps, where: str) -> Iterator[Oddity]:
    rules = tables.chain("filter", "KUBE-FORWARD")
    if tables.policies.get(("filter", "FORWARD")) != "drop":
        for what, asks in (("is masqueraded", " --mark "), ("belongs to a connection", "ESTABLISHED")):
            if rules is not None and not any(asks in text and text.endswith("-j ACCEPT") for text in rules):
                effect = "a rule or a policy that drops in FORWARD drops it as well"
                yield Oddity(f"KUBE-FORWARD does not accept what {what}", f"{where} filter", effect, _ANEW, False)
        return
    rules = rules or ()
    if jumps.reaches("filter", "FORWARD", "KUBE-FORWARD") and any(
        " --mark " in text and text.endswith("-j ACCEPT") for text in rules
    ):
        return
    if "nat" in tables.rules and tables.chain("nat", "KUBE-SERVICES") is None:
        return
    yield Oddity(
        "policy DROP in FORWARD, and no rule lets Services pass",
        f"{where} filter: FORWARD",
        "what was sent on to an endpoint is dropped unless another rule accepts it",
        _ANEW,
        True,
    )


def _marks(tables: Tables, where: str) -> Iterator[Oddity]:
    ours = _bits(tables)
    for table, chains in tables.rules.items() if ours else ():
        for chain, rules in chains.items():
            if chain.startswith(OURS):
                continue
            for number, text in enumerate(rules, 1):
                if "MARK" not in text:
                    continue
                target = taken_apart(text)[1]
                sets, changes = _set_bits(target) if target.name in ("MARK", "CONNMARK") else (0, 0)
                if target.name == "CONNMARK" and "--restore-mark" not in target.options:
                    continue
                if not changes & ours or (not sets & ours and table in ("raw", "mangle") and chain in BUILT_IN[:1]):
                    continue
                yield Oddity(
                    f"mark bit {ours:#x} is used by two programs",
                    f"{where} {table}: {chain} rule {number}: {text}",
                    "packets of others are masqueraded" if sets & ours else "packets of Services may lose their mark",
                    "give one of them another bit (sluice_masquerade_bit, kube-proxy's --iptables-masquerade-bit)",
                    bool(sets & ours),
                )
