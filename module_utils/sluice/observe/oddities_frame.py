"""Oddities of what all Services share: jumps from built-in chains, masquerading, forwarding, mark bits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..backends.iptables.ownership import is_ours
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
_GUARDS = "what a kubelet or a proxy marks to be dropped passes, and neighbours may reach what listens on loopback"
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
    _Needed("filter", "INPUT", "KUBE-FIREWALL", _GUARDS),
    _Needed("filter", "OUTPUT", "KUBE-FIREWALL", _GUARDS),
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
    if not any(is_ours(chain) for chains in tables.rules.values() for chain in chains):
        return
    yield from _jumps(tables, jumps, where)
    yield from _masquerading(tables, where)
    yield from _forwarding(tables, jumps, where)
    yield from _marks(tables, jumps, where)


def _jumps(tables: Tables, jumps: Jumps, where: str) -> Iterator[Oddity]:
    for table, built_in, chain, effect in _NEEDED:
        there = tables.chain(table, chain) is not None
        if there and not jumps.reaches(table, built_in, chain):
            hurts = chain != "KUBE-FIREWALL" or any(" --mark " in text for text in tables.chain(table, chain) or ())
            yield Oddity(f"{built_in} does not jump to {chain}", f"{where} {table}", effect, _ANEW, hurts)
        elif there and table == "nat":
            yield from _narrow(tables, jumps, built_in, chain, where)
    if tables.chain("filter", "KUBE-EXTERNAL-SERVICES") is not None:
        yield from _jumps_since_120(tables, jumps, where)
    services = jumps.of("nat", "KUBE-SERVICES")
    for chain in ("KUBE-NODEPORTS", "KUBE-NODE-PORT"):
        rules = tables.chain("nat", chain)
        if rules is not None and chain not in services and tables.chain("nat", "KUBE-SERVICES") is not None:
            effect = "no node port answers" if rules else "no node port will answer, once a Service has one"
            yield Oddity(f"KUBE-SERVICES does not jump to {chain}", f"{where} nat", effect, _ANEW, bool(rules))
    if "KUBE-NODEPORTS" in services and services[-1] != "KUBE-NODEPORTS":
        at = len(services) - 1 - services[::-1].index("KUBE-NODEPORTS")
        effect = "a Service's address that is one of the node's own may be taken for a node port"
        place = f"{where} nat: KUBE-SERVICES, {len(services) - 1 - at} rules behind it"
        yield Oddity("the jump to KUBE-NODEPORTS is not the last rule", place, effect, _ANEW, False)
    for table, chains in tables.rules.items():
        wanted = ("KUBE-SERVICES", "KUBE-POSTROUTING", "KUBE-MARK-MASQ") if table == "nat" else ("KUBE-FORWARD",)
        ours = any(map(is_ours, chains)) and table in ("nat", "filter")
        for chain in wanted if ours else ():
            if chain not in chains and not _is_of_a_kubelet(chains):
                effect = {
                    "KUBE-SERVICES": "no Service is reached",
                    "KUBE-FORWARD": "a policy or a rule that drops in FORWARD drops Services as well",
                }.get(chain, "nothing is masqueraded, so answers go past this node")
                yield Oddity(f"there is no chain {chain}", f"{where} {table}", effect, _ANEW, True)


def _jumps_since_120(tables: Tables, jumps: Jumps, where: str) -> Iterator[Oddity]:
    """Before, INPUT led to KUBE-SERVICES as well, and FORWARD to that alone (kubernetes#95252)."""
    wanted = [("FORWARD", "KUBE-EXTERNAL-SERVICES", _REFUSES)]
    if tables.chain("filter", "KUBE-PROXY-FIREWALL") is not None:
        wanted.append(("OUTPUT", "KUBE-PROXY-FIREWALL", "loadBalancerSourceRanges do not keep the node itself out"))
    is_older = jumps.reaches("filter", "INPUT", "KUBE-SERVICES")
    for built_in, chain, effect in wanted:
        if not is_older and not jumps.reaches("filter", built_in, chain):
            yield Oddity(f"{built_in} does not jump to {chain}", f"{where} filter", effect, _ANEW, True)


def _narrow(tables: Tables, jumps: Jumps, built_in: str, chain: str, where: str) -> Iterator[Oddity]:
    """A jump that is for some packets only, where no other one is for all."""
    own = [
        text for text, target in zip(tables.chain("nat", built_in) or (), jumps.of("nat", built_in)) if target == chain
    ]
    asked = [[match.option for match in taken_apart(text)[0]] for text in own]
    if own and all(asked):
        effect = "packets that the rule is not for do not come to the rules of Services"
        place = f"{where} nat: {built_in}: {own[0]}"
        yield Oddity(f"{built_in} jumps to {chain} for some packets only", place, effect, _ANEW, True)


def _is_of_a_kubelet(chains: Iterable[str]) -> bool:
    """Whether a table has what a kubelet makes, and nothing of a proxy."""
    ours = set(filter(is_ours, chains))
    return ours <= _OF_A_KUBELET


def _masquerading(tables: Tables, where: str) -> Iterator[Oddity]:
    post, mark = tables.chain("nat", "KUBE-POSTROUTING"), tables.chain("nat", "KUBE-MARK-MASQ")
    # IPVS has one more for endpoints that call themselves.
    last = [text for text in post or () if "-j MASQUERADE" in text and " --match-set " not in text]
    if post is not None and not last:
        effect = "answers go past this node, and clients do not take them for answers"
        yield Oddity("KUBE-POSTROUTING masquerades nothing", f"{where} nat", effect, _ANEW, True)
    elif post is not None and last and " --mark " not in last[0]:
        yield from _marked_ones(post, post.index(last[0]), where)
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


def _marked_ones(rules: Sequence[str], last: int, where: str) -> Iterator[Oddity]:
    """Before the rule that masquerades, one sends back what is not marked, and one takes the mark away."""
    back = [at for at, text in enumerate(rules) if text.endswith("-j RETURN") and " ! --mark " in text]
    cleared = [at for at, text in enumerate(rules) if "-j MARK " in text]
    if not back or back[0] > last or any(at < back[0] for at in cleared):
        effect = "everything that leaves the node gets its address, marked or not"
        yield Oddity("KUBE-POSTROUTING masquerades all packets", f"{where} nat", effect, _ANEW, True)
    elif not cleared or cleared[0] > last:
        effect = "where an overlay network sends them through the node again, they are masqueraded once more"
        yield Oddity("KUBE-POSTROUTING leaves packets their mark", f"{where} nat", effect, _ANEW, False)
    for text in rules[:last]:
        target = taken_apart(text)[1].name
        if target not in ("RETURN", "MARK", "MASQUERADE", "LOG", "NFLOG", "TRACE"):
            effect = "what it is for is not masqueraded, so answers go past this node"
            place = f"{where} nat: KUBE-POSTROUTING: {text}"
            yield Oddity("a rule in KUBE-POSTROUTING that no proxy writes", place, effect, _ANEW, True)


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
    yield from _forward_rules(tables, rules or (), where)
    if tables.policies.get(("filter", "FORWARD")) != "drop":
        for what, asks in (("is masqueraded", " --mark "), ("belongs to a connection", "ESTABLISHED")):
            if rules is not None and not any(asks in text and text.endswith("-j ACCEPT") for text in rules):
                effect = "a rule or a policy that drops in FORWARD drops it as well"
                yield Oddity(f"KUBE-FORWARD does not accept what {what}", f"{where} filter", effect, _ANEW, False)
        return
    accepts = any(" --mark " in text and text.endswith("-j ACCEPT") for text in rules or ())
    if "nat" in tables.rules or (accepts and jumps.reaches("filter", "FORWARD", "KUBE-FORWARD")):
        return  # of Services that are known it is said what becomes of their packets
    yield Oddity(
        "policy DROP in FORWARD, and no rule lets Services pass",
        f"{where} filter: FORWARD",
        "what was sent on to an endpoint is dropped unless another rule accepts it",
        _ANEW,
        True,
    )


def _forward_rules(tables: Tables, rules: Sequence[str], where: str) -> Iterator[Oddity]:
    pair = [name for name in ("pod source rule", "pod destination rule") if any(name in text for text in rules)]
    if len(pair) == 1:
        effect = (
            "where they ask for the cluster's network, a rule or a policy that drops in FORWARD drops one direction"
        )
        what = f"KUBE-FORWARD has the {pair[0]}, and not the other one of the two"
        yield Oddity(what, f"{where} filter", effect, _ANEW, False)
    in_iptables_mode = tables.chain("filter", "KUBE-EXTERNAL-SERVICES") is not None  # IPVS drops none
    if rules and in_iptables_mode and not any("--ctstate INVALID" in text for text in rules):
        effect = "an answer that conntrack has lost goes to the client from the endpoint's own address, and resets it"
        remedy = f"nothing, if net.netfilter.nf_conntrack_tcp_be_liberal is 1; else {_ANEW}"
        yield Oddity("KUBE-FORWARD does not drop what is INVALID", f"{where} filter", effect, remedy, False)
    for number, text in enumerate(rules, 1):
        target = taken_apart(text)[1].name
        if target in ("DROP", "REJECT", "RETURN") and "--ctstate INVALID" not in text:
            effect = "packets of Services that it is for are dropped, or do not pass as they should"
            place = f"{where} filter: KUBE-FORWARD rule {number}: {text}"
            yield Oddity(f"a rule in KUBE-FORWARD that no proxy writes: {target}", place, effect, _ANEW, True)


def _marks(tables: Tables, jumps: Jumps, where: str) -> Iterator[Oddity]:
    ours = _bits(tables)
    # There no packet has the mark yet, so that to take it away does nothing.
    early = {(table, chain) for table in ("raw", "mangle") for chain in _of_prerouting_alone(tables, jumps, table)}
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
                if not changes & ours or (not sets & ours and (table, chain) in early):
                    continue
                yield Oddity(
                    f"mark bit {ours:#x} is used by two programs",
                    f"{where} {table}: {chain} rule {number}: {text}",
                    "packets of others are masqueraded" if sets & ours else "packets of Services may lose their mark",
                    "give one of them another bit (sluice_masquerade_bit, kube-proxy's --iptables-masquerade-bit)",
                    bool(sets & ours),
                )


def _of_prerouting_alone(tables: Tables, jumps: Jumps, table: str) -> set[str]:
    """The chains of a table that packets come to in PREROUTING, and nowhere else."""
    first, *others = BUILT_IN
    found = {first, *(chain for chain in tables.rules.get(table, ()) if jumps.reaches(table, first, chain))}
    return {chain for chain in found if not any(jumps.reaches(table, other, chain) for other in others)}
