"""Services whose packets no rule lets pass: what a policy, or a rule behind ours, drops in the table filter.

Whether a rule takes a packet depends on what dumps do not tell (interfaces, IP sets) as well: then a packet goes both
ways, and is said to be dropped only where every way ends so.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from .. import addresses
from . import ipvs
from .iptables import Rule
from .iptables_matches import Members, Scene, answer
from .iptables_rules import Match, Tables, taken_apart
from .oddities_before import BRIDGES
from .oddity import Oddity, few
from .packets import ELSEWHERE, Node, Packet, State, within
from .service_ports import IPTABLES, IPVS, LOCAL, ServicePort
from .services import ways_in
from .snapshot import Snapshot

_MOST = 50
"""How many Services of a kind are asked of: rules that drop are hardly for one of thousands."""

_MOST_WAYS = 5
"""How many addresses of a Service are asked of."""

_CLIENT, _ANY_PORT = "192.0.2.1", 50000
"""A client outside, and a port that a client may have."""

_POD_NETWORK = re.compile(r"! -s (\S+) .*-j KUBE-MARK-MASQ$|^-s (\S+) .*\"(?:pod traffic for|Redirect pods) ")
_UNTOLD = "no dump tells"


class _Kind(NamedTuple):
    """Packets that differ for rules of others: where they meet these, ``whose`` they are, and what comes of it."""

    built_in: str
    whose: str
    lost: str
    hurts: bool


_MASQUERADED = _Kind("FORWARD", "Services", "what was sent on to an endpoint is dropped", True)
_ANSWERS = _Kind("FORWARD", "answers of endpoints", "what endpoints elsewhere answer comes to no client", True)
_PLAIN = _Kind("FORWARD", "what is not masqueraded", "clients whom endpoints see are dropped", True)
_PODS = _Kind(
    "FORWARD",
    "Pods",
    "what Pods send to Services is not masqueraded, and dropped where it comes through this node",
    False,
)
_HERE = _Kind("INPUT", "virtual servers of IPVS", "packets are dropped before IPVS sees them", True)
_OWN = _Kind("OUTPUT", "the node itself", "what the node, or IPVS on it, sends to endpoints is dropped", True)

_REMEDY = {
    "FORWARD": "let pass what conntrack has rewritten: iptables -I FORWARD -m conntrack --ctstate DNAT,ESTABLISHED "
    "-j ACCEPT (Docker: in DOCKER-USER; ufw: DEFAULT_FORWARD_POLICY or route allow), kept by whoever sets the rules",
    "INPUT": "accept in INPUT what is for addresses of Services (ufw allow, a service of firewalld's zone)",
    "OUTPUT": "accept in OUTPUT what is for endpoints",
}


def found(
    tables: Tables, where: str, ports: Sequence[ServicePort], snapshot: Snapshot, told_before: Sequence[str]
) -> Iterator[Oddity]:
    """Those of one ``iptables-save``; ``ports``: the Services of its address family; ``told_before``: where rules are
    that drop before ours, of which it is said already."""
    if "filter" not in tables.rules or not ports:
        return
    pods, masquerades = _pods(tables)
    walk = _Walk(tables, snapshot, pods)
    told: dict[tuple[_Kind, str], dict[str, None]] = {}
    asked: dict[tuple[str, State], str] = {}
    surely: set[str] = set()
    for kind, name, state in _packets(tables, ports, snapshot, pods, masquerades=masquerades):
        built_in = "INPUT" if kind.built_in == "FORWARD" and state.is_here else kind.built_in
        key = built_in, state
        if key not in asked:
            asked[key] = walk.ended(built_in, state)
        ended = asked[key]
        if kind == _HERE:
            name = addresses.host_port(*state.packet[:2])
        if ended:
            told.setdefault((kind._replace(built_in=built_in), ended), {})[name] = None
    for (kind, place), names in told.items():
        is_rule = place != kind.built_in
        if is_rule and any(each.startswith(f"{where} filter {kind.built_in}: ") for each in told_before):
            continue
        if kind.whose == _MASQUERADED.whose:
            surely.add(kind.built_in)
        elif kind.built_in in surely and kind.whose in (_PLAIN.whose, _PODS.whose):
            continue  # of all Services it is said already
        said = f"a rule that drops in {kind.built_in}" if is_rule else f"policy DROP in {kind.built_in}"
        yield Oddity(
            f"{said}, and no rule lets {kind.whose} pass",
            f"{where} filter: {place}",
            f"{kind.lost} ({few(list(names))})",
            _REMEDY[kind.built_in],
            kind.hurts,
        )


def _packets(
    tables: Tables, ports: Sequence[ServicePort], snapshot: Snapshot, pods: str, *, masquerades: bool
) -> Iterator[tuple[_Kind, str, State]]:
    """One packet of each kind for some of the Services."""
    bits = _masquerade_bits(tables)
    first = State(Packet("", 0), snapshot.node, connection=frozenset({"NEW", "DNAT"}))
    number: dict[_Kind, int] = {}
    for port in ports:
        name = port.name or addresses.host_port(port.cluster_ip, port.port)
        for kind, state in _of_port(port, first, bits, pods, snapshot, masquerades=masquerades):
            number[kind] = number.get(kind, 0) + 1
            if number[kind] <= _MOST:
                yield kind, name, state


def _of_port(
    port: ServicePort, first: State, bits: int, pods: str, snapshot: Snapshot, *, masquerades: bool
) -> Iterator[tuple[_Kind, State]]:
    ends = list(port.all_endpoints)
    if not ends:
        return
    if port.source == IPVS:
        new = first._replace(connection=frozenset({"NEW"}))
        for way in ways_in(port, snapshot.addresses - snapshot.bound)[:_MOST_WAYS]:
            if not addresses.is_loopback(way[0]):  # to which no other host sends
                yield _HERE, new._replace(packet=Packet(*way), node=_with(first, way[0]))
        yield _OWN, new._replace(packet=Packet(*addresses.split_port(ends[0]), port.protocol))
    elif port.source.startswith(IPTABLES):
        to = Packet(*addresses.split_port(ends[0]), port.protocol)
        if bits:
            yield _MASQUERADED, first._replace(packet=to, mark=bits)
        if not masquerades and port.cluster_ip:
            yield _PLAIN, first._replace(packet=to)
        if port.external_policy == LOCAL and port.local_endpoints:
            address, number = addresses.split_port(port.local_endpoints[0].text)
            yield _PLAIN, first._replace(packet=Packet(address, number, port.protocol))
        if pods and masquerades:
            yield _PODS, first._replace(packet=to._replace(source=pods if addresses.address(pods) else ELSEWHERE))
        yield _OWN, first._replace(packet=to)
    address, _number = addresses.split_port(ends[0])
    if not first.node.has(address) and port.family == addresses.IPV4:
        back = Packet(_CLIENT, _ANY_PORT, port.protocol, address)
        yield _ANSWERS, first._replace(packet=back, connection=frozenset({"ESTABLISHED"}))


def _with(state: State, address: str) -> Node:
    """The node, with an address that is bound by whoever has made a virtual server for it."""
    return state.node._replace(addresses=frozenset({*state.node.addresses, address}))


def _masquerade_bits(tables: Tables) -> int:
    """The mark that a packet has whose source is to become the node's."""
    state = State(Packet("", 0), Node())
    for text in tables.chain("nat", "KUBE-MARK-MASQ") or ():
        state = _marked(text, state)
    return state.mark


def _marked(text: str, state: State) -> State:
    """A packet behind a rule that takes it, whatever the rule asks."""
    _before, jump, rest = text.rpartition("-j MARK ")
    found, _why_not = Rule(jump + rest, {}).meet(state) if jump else ((), "")
    return found[0].act.after if found else state


def _pods(tables: Tables) -> tuple[str, bool]:
    """An address of the cluster's own network, that rules know Pods by (``any`` where they know them by interfaces),
    and whether what others send to cluster IPs is masqueraded."""
    known = masquerades = False
    for chain, rules in tables.rules.get("nat", {}).items():
        if chain != "KUBE-SERVICES" and not chain.startswith(("KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-XLB-")):
            continue
        for text in rules if chain == "KUBE-SERVICES" else rules[:1]:
            if ' cluster IP" ' in text and text.endswith("-j KUBE-MARK-MASQ"):
                masquerades = True
                known |= "! -i " in text
            network = _POD_NETWORK.search(text)
            if network:
                return _last_of(network[1] or network[2]), True
    return "any" if known else "", masquerades


def _last_of(network: str) -> str:
    """An address that hardly any endpoint has."""
    try:
        read = ipaddress.ip_network(network, strict=False)
    except ValueError:
        return ""
    return str(read[-2]) if read.num_addresses > 2 else str(read[0])


class _Rule(NamedTuple):
    text: str
    matches: Sequence[Match]
    target: str
    goto: bool


_REFUSING = ("KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL", "KUBE-NODEPORTS")
"""Chains that refuse what is for Services without endpoints, one by one, and let the others on."""


class _Walk:
    """Packets on their way through the table filter, by all ways that there may be."""

    def __init__(self, tables: Tables, snapshot: Snapshot, pods: str) -> None:
        self._tables = tables
        self._pods = pods
        self._sets: Mapping[str, Members] = {name: ipvs.members(each) for name, each in snapshot.sets.items()}
        self._read: dict[str, list[_Rule]] = {}
        self._networks = _networks(tables)

    def ended(self, built_in: str, state: State) -> str:
        """Where a packet is dropped if it is for certain: the built-in chain for its policy, or a rule of it."""
        ends: dict[str, None] = {}
        left, back = {state}, set[State]()
        for number, rule in enumerate(self._rules(built_in), 1):
            verdicts: set[str] = set()
            left = self._met(rule, left, verdicts, back, ())
            if "ACCEPT" in verdicts:
                return ""
            if verdicts:
                ends[f"{built_in} rule {number}: {rule.text}"] = None
            if not left:
                break
        if left | back:
            if self._tables.policies.get(("filter", built_in)) != "drop":
                return ""
            return built_in
        return next(reversed(ends), "")

    def _rules(self, chain: str) -> list[_Rule]:
        if chain not in self._read:
            found = []
            for text in self._tables.chain("filter", chain) or ():
                matches, target = taken_apart(text)
                found.append(_Rule(text, matches, target.name, target.goto))
            self._read[chain] = found
        return self._read[chain]

    def _through(self, chain: str, state: State, verdicts: set[str], way: Sequence[str]) -> set[State]:
        """A packet as it may come back from a chain; ``verdicts`` gets what else becomes of it."""
        left, back = {state}, set[State]()
        for rule in self._rules(chain):
            left = self._met(rule, left, verdicts, back, (*way, chain))
            if not left:
                break
        return left | back

    def _met(
        self, rule: _Rule, states: Iterable[State], verdicts: set[str], back: set[State], way: Sequence[str]
    ) -> set[State]:
        """Packets as they go on behind a rule; ``back`` gets those that leave the chain."""
        left: set[State] = set()
        for state in states:
            said = self._asks(rule.matches, state)
            if said != 1:
                left.add(state)
            if not said:
                continue
            if rule.target in ("ACCEPT", "DROP", "REJECT"):
                verdicts.add(rule.target)
            elif rule.target == "RETURN":
                back.add(state)
            elif rule.target == "MARK":
                left.add(_marked(rule.text, state))
            elif self._tables.chain("filter", rule.target) is None or rule.target in (*way, *_REFUSING):
                left.add(state)
            else:
                after = self._through(rule.target, state, verdicts, way)
                (back if rule.goto else left).update(after)
        return left

    def _asks(self, matches: Sequence[Match], state: State) -> Fraction:
        """1 where a rule takes a packet, 0 where it does not, and between them where nobody can tell."""
        found = Fraction(1)
        for match in matches:
            if match.option in ("-i", "-o") and match.words[0] != "lo":
                said = self._interface(match, state)
            elif self._asks_for_client(match, state):
                said = Fraction(1, 2)
            else:
                said, why = answer(match, Scene(state, self._sets))
                said = Fraction(1, 2) if why.startswith(_UNTOLD) else said
            if not said:
                return said
            found *= said
        return found

    def _asks_for_client(self, match: Match, state: State) -> bool:
        """Whether a rule is for some clients, of whom nobody said which they are. Pods are none of those outside."""
        if match.option == "-d":
            return "ESTABLISHED" in state.connection
        return match.option == "-s" and state.packet.source == ELSEWHERE and not self._is_of_pods(match.words[0])

    def _is_of_pods(self, network: str) -> bool:
        try:
            return within(self._pods, network)
        except ValueError:
            return False

    def _interface(self, match: Match, state: State) -> Fraction:
        name, unknown = match.words[0], Fraction(1, 2)
        if not name.startswith(BRIDGES):
            return unknown
        address = state.packet.source if match.option == "-i" else state.packet.destination
        if address and any(bridge == name and within(address, network) for bridge, network in self._networks):
            return unknown
        return Fraction(int(match.negated))


_BEHIND = re.compile(r"-s (\S+) ! -o (\S+) ")


def _networks(tables: Tables) -> list[tuple[str, str]]:
    """The networks behind bridges, as rules tell that masquerade what leaves them."""
    told = (_BEHIND.match(text) for text in tables.chain("nat", "POSTROUTING") or ())
    return [(found[2], found[1]) for found in told if found]
