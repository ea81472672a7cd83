"""The order in which netfilter's hooks and IPVS see a packet, from outside and from the node."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import pytest

from sluice.backends.ipvs import text
from sluice.observe.hooks import FORWARD, INPUT, OUTPUT, POSTROUTING, PREROUTING, Station, trace
from sluice.observe.outcomes import DROP, ENDPOINT, PASS, REJECT, Outcome
from sluice.observe.packets import Node, Packet, State
from sluice.observe.snapshot import snapshot
from sluice.observe.walk import ACCEPT, GO_ON, Act, Chains, Met, Rule

NODE = Node(["10.0.0.10"])
OUTSIDE = Packet("10.96.0.1", 80)
LOCAL = Packet("10.0.0.10", 30080)
OWN = Packet("10.96.0.1", 80, "tcp", "10.0.0.10")
INSIDE = Packet("10.0.0.10", 80, "tcp", "127.0.0.1")


class Ruled(NamedTuple):
    """A rule that matches all, and sends packets to an endpoint if it has one."""

    verdict: str
    to: str = ""

    @property
    def text(self) -> str:
        return f"{self.verdict} {self.to}"

    def meet(self, state: State) -> tuple[Sequence[Met], str]:
        after = state.sent_to(self.to, 8080, "DNAT") if self.to else state
        return [Met(Fraction(1), "every packet", Act(self.verdict, after))], ""


ON = Ruled(GO_ON)


def _station(hook: str, rule: Rule = ON, priority: int = 0, nat: bool = False) -> Station:
    chains: Chains = Chains("t", {"c": [rule]}.get)
    return Station(hook, priority, "c", ACCEPT, chains._replace(table=f"{hook} {priority}"), nat)


def _met(packet: Packet, stations: Sequence[Station], servers: str = "") -> list[str]:
    """The tables that a packet comes to."""
    (outcome,) = trace(stations, text.parse(servers), packet, NODE)
    return [step.table.replace(" 0", "") for step in outcome.path]


@pytest.mark.parametrize(
    ("packet", "hooks"),
    [
        (OUTSIDE, [PREROUTING, FORWARD, POSTROUTING]),
        (LOCAL, [PREROUTING, INPUT]),
        (OWN, [OUTPUT, POSTROUTING]),
        (INSIDE, [OUTPUT, POSTROUTING, PREROUTING, INPUT]),
    ],
)
def test_hooks(packet: Packet, hooks: list[str]) -> None:
    stations = [_station(hook) for hook in (INPUT, POSTROUTING, OUTPUT, FORWARD, PREROUTING)]
    assert _met(packet, stations) == hooks
    assert trace([], {}, packet, NODE) == [Outcome(PASS, "", Fraction(1), False, ())]


def test_priorities() -> None:
    stations = [_station(FORWARD, priority=priority) for priority in (150, -300, 10)]
    assert _met(OUTSIDE, stations) == ["forward -300", "forward 10", "forward 150"]


def test_a_new_destination_decides_where_it_goes() -> None:
    stations = [_station(hook) for hook in (INPUT, FORWARD)]
    away = _station(PREROUTING, Ruled(ACCEPT, "10.1.0.1"))
    assert _met(LOCAL, [*stations, away]) == [PREROUTING, FORWARD]
    here = _station(PREROUTING, Ruled(ACCEPT, "10.0.0.10"))
    assert _met(OUTSIDE, [*stations, here]) == [PREROUTING, INPUT]


def test_what_is_translated_meets_no_other_nat_of_the_kind() -> None:
    first = _station(PREROUTING, Ruled(ACCEPT, "10.1.0.1"), -100, nat=True)
    others = [_station(PREROUTING, Ruled(DROP), -90, nat=True), _station(POSTROUTING, nat=True)]
    (outcome,) = trace([*others, first], {}, OUTSIDE, NODE)
    assert (outcome.verdict, outcome.endpoint) == (ENDPOINT, "10.1.0.1:8080")
    assert [step.table for step in outcome.path] == ["prerouting -100", "postrouting 0"]


def test_nat_sees_what_the_node_sends_itself_once() -> None:
    assert _met(INSIDE, [_station(hook, nat=True) for hook in (PREROUTING, INPUT, OUTPUT)]) == [OUTPUT]


@pytest.mark.parametrize("verdict", [DROP, REJECT])
def test_what_is_over_comes_to_nothing_more(verdict: str) -> None:
    (outcome,) = trace([_station(PREROUTING, Ruled(verdict)), _station(FORWARD)], {}, OUTSIDE, NODE)
    assert (outcome.verdict, outcome.endpoint, len(outcome.path)) == (verdict, "", 1)


SERVERS = "-A -t 10.96.0.1:80 -s rr\n-a -t 10.96.0.1:80 -r 10.1.0.1:8080 -m -w 1\n"
BOUND = NODE._replace(addresses=["10.0.0.10", "10.96.0.1"])


def test_ipvs_takes_packets_between_the_chains_of_input() -> None:
    stations = [_station(INPUT), _station(INPUT, priority=100), _station(POSTROUTING), _station(OUTPUT)]
    (outcome,) = trace(stations, text.parse(SERVERS), OUTSIDE, BOUND)
    assert outcome.endpoint == "10.1.0.1:8080"
    assert [step.table for step in outcome.path] == ["input 0", "ipvs", "output 0", "postrouting 0"]
    assert outcome.path[1].rule == "-a -t 10.96.0.1:80 -r 10.1.0.1:8080 -m -w 1"


def test_ipvs_takes_nothing_that_is_not_for_the_node() -> None:
    assert _met(OUTSIDE, [_station(FORWARD)], SERVERS) == [FORWARD]


def test_ipvs_of_what_the_node_sends() -> None:
    """What it sends on comes to output once more."""
    stations = [_station(OUTPUT, priority=-100), _station(POSTROUTING)]
    assert _met(OWN, stations, SERVERS) == ["output -100", "ipvs", "output -100", POSTROUTING]


OWN_END = SERVERS.replace("10.1.0.1", "10.0.0.10")
LOOPED = "-A -t 127.0.0.1:80 -s rr\n-a -t 127.0.0.1:80 -r {0}:8080 -m -w 1\n"
FROM_LOOPBACK = Packet("127.0.0.1", 80, "tcp", "127.0.0.1")


def test_what_ipvs_sends_to_the_node_itself_goes_on_where_it_was() -> None:
    stations = [_station(INPUT), _station(INPUT, priority=100), _station(POSTROUTING), _station(OUTPUT)]
    (outcome,) = trace(stations, text.parse(OWN_END), OUTSIDE, BOUND)
    assert outcome.endpoint == "10.0.0.10:8080"
    assert [step.table for step in outcome.path] == ["input 0", "ipvs", "input 100"]
    (outcome,) = trace([_station(OUTPUT, priority=-100), *stations], text.parse(OWN_END), OWN, BOUND)
    assert outcome.endpoint == "10.0.0.10:8080"
    assert [step.table for step in outcome.path] == [
        *("output -100", "ipvs", "output 0", "postrouting 0", "input 0", "input 100"),
    ]


@pytest.mark.parametrize(("end", "verdict"), [("10.1.0.1", DROP), ("10.0.0.10", ENDPOINT), ("127.0.0.2", ENDPOINT)])
def test_nothing_leaves_by_ipvs_from_loopback(end: str, verdict: str) -> None:
    (outcome,) = trace([], text.parse(LOOPED.format(end)), FROM_LOOPBACK, NODE)
    assert outcome.verdict == verdict


def test_nothing_comes_in_to_loopback_by_ipvs() -> None:
    (outcome,) = trace([], text.parse(SERVERS.replace("10.1.0.1", "127.0.0.1")), OUTSIDE, BOUND)
    assert (outcome.verdict, outcome.path[-1].why) == (DROP, "Linux lets nothing from outside in to loopback by IPVS")


def test_a_virtual_server_without_real_ones_refuses() -> None:
    (outcome,) = trace([], text.parse("-A -t 10.96.0.1:80 -s rr\n"), OWN, NODE)
    assert outcome.verdict == REJECT
    assert outcome.path[0].why == "it has no real server to send to"


def test_a_hash_refuses_clients_whose_real_server_has_no_weight() -> None:
    servers = SERVERS.replace("-s rr", "-s sh") + "-a -t 10.96.0.1:80 -r 10.1.0.2:8080 -m -w 0\n"
    found = trace([], text.parse(servers), OWN, NODE)
    assert {(each.verdict, each.probability) for each in found} == {
        (REJECT, Fraction(1, 2)),
        (ENDPOINT, Fraction(1, 2)),
    }
    assert "the client's real server has weight 0" in [each.path[0].why for each in found]


def test_a_real_server_that_is_no_address_is_told_as_it_stands() -> None:
    (outcome,) = trace([], text.parse(SERVERS.replace("10.1.0.1", "host")), OWN, NODE)
    assert (outcome.verdict, outcome.endpoint) == (ENDPOINT, "host:8080")


def test_ipv6_answers_nobody_at_its_loopback() -> None:
    packet = Packet("fd00::1", 80, "tcp", "::1")
    (outcome,) = trace([_station(OUTPUT, Ruled(ACCEPT, "fd00::a"))], {}, packet, NODE)
    assert (outcome.verdict, outcome.path[-1].table) == (DROP, "routing")


def test_ways_that_meet_again_are_one_for_all_chains() -> None:
    """Sixty rules that count, sample or send back by chance, in each of the tables: packets do not part for good."""
    sampled = "-m statistic --mode random --probability 0.25000000000 -j SAMPLED\n"
    table = "*{0}\n:PREROUTING ACCEPT [0:0]\n:SAMPLED - [0:0]\n{1}-A SAMPLED -j RETURN\nCOMMIT\n"
    text = "".join(table.format(name, f"-A PREROUTING {sampled}" * 60) for name in ("raw", "mangle", "nat"))
    held = snapshot([("rules", text)])
    (end,) = trace(held.stations("IPv4"), {}, Packet("192.0.2.9", 80), Node())
    assert (end.verdict, end.probability) == ("pass", 1)


class Notrack(NamedTuple):
    """A rule that has conntrack leave all packets alone."""

    text: str = "notrack"

    def meet(self, state: State) -> tuple[Sequence[Met], str]:
        return [Met(Fraction(1), "every packet", Act(GO_ON, state.untracked()))], ""


class Asks(NamedTuple):
    """A rule that only packets match of which conntrack says so."""

    word: str
    text: str = "asks"

    def meet(self, state: State) -> tuple[Sequence[Met], str]:
        if self.word not in state.connection:
            return [], f"not {self.word}"
        return [Met(Fraction(1), self.word, Act(GO_ON, state))], ""


def _followed(packet: Packet, rule: Notrack, priority: int, hook: str) -> tuple[str, list[str]]:
    """Where a packet goes with nat in all hooks, and what conntrack has said of it where."""
    away = Ruled(ACCEPT, "10.1.0.1")
    nat = [_station(each, away, -100, nat=True) for each in (PREROUTING, OUTPUT)]
    nat.append(_station(POSTROUTING, Ruled(ACCEPT), 100, nat=True))
    words = [
        _station(each, Asks(word), priority)
        for each in (PREROUTING, OUTPUT, FORWARD, INPUT)
        for word, priority in (("INVALID", -299), ("NEW", 0), ("UNTRACKED", 0))
    ]
    told = _station(hook, rule, priority)
    (outcome,) = trace([told, *nat, *words], {}, packet, NODE)
    return outcome.endpoint, [step.table for step in outcome.path if step.why != "every packet"]


@pytest.mark.parametrize(
    ("packet", "hook", "asked"),
    [
        (OUTSIDE, PREROUTING, ["prerouting 0", "forward 0"]),
        (LOCAL, PREROUTING, ["prerouting 0", "input 0"]),
        (OWN, OUTPUT, ["output 0"]),
        (INSIDE, OUTPUT, ["output 0", "prerouting 0", "input 0"]),
    ],
)
def test_what_is_not_tracked_meets_no_nat(packet: Packet, hook: str, asked: list[str]) -> None:
    assert _followed(packet, Notrack(), -300, hook) == ("", asked)


@pytest.mark.parametrize(
    ("packet", "hook", "priority"),
    [(OUTSIDE, PREROUTING, -150), (OUTSIDE, OUTPUT, -300), (OWN, OUTPUT, -200), (OWN, PREROUTING, -300)],
)
def test_what_conntrack_has_seen_is_tracked(packet: Packet, hook: str, priority: int) -> None:
    endpoint, asked = _followed(packet, Notrack(), priority, hook)
    assert endpoint == "10.1.0.1:8080"
    first = PREROUTING if packet is OUTSIDE else OUTPUT
    assert asked[:2] == [f"{first} -299", f"{first} 0"]


def test_what_comes_back_by_lo_has_been_seen() -> None:
    """A rule of prerouting comes too late for it."""
    (outcome,) = trace(
        [_station(PREROUTING, Notrack(), -300), _station(INPUT, Asks("NEW"))],
        {},
        INSIDE,
        NODE,
    )
    assert [step.why for step in outcome.path] == ["every packet", "NEW"]


NODE_LOCAL_DNS = """\
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -d 10.96.0.10/32 -p udp -m udp --dport 53 -m comment --comment "NodeLocal DNS Cache: skip conntrack" \
-j CT --notrack
-A PREROUTING -d 169.254.20.10/32 -p udp -m udp --dport 53 -j CT --notrack
-A OUTPUT -s 10.96.0.10/32 -p tcp -m tcp --sport 8080 -j CT --notrack
-A OUTPUT -d 10.96.0.10/32 -p udp -m udp --dport 53 -j CT --notrack
-A OUTPUT -d 169.254.20.10/32 -p udp -m udp --dport 53 -j NOTRACK
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -d 10.96.0.10/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.244.1.9:53
-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 53 -j DNAT --to-destination 10.244.1.9:53
-A OUTPUT -d 10.96.0.10/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.244.1.9:53
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m conntrack --ctstate NEW -j ACCEPT
-A INPUT -d 10.96.0.10/32 -p udp -m udp --dport 53 -j ACCEPT
-A FORWARD -m conntrack --ctstate UNTRACKED -j ACCEPT
-A FORWARD -m conntrack --ctstate INVALID -j DROP
COMMIT
"""


@pytest.mark.parametrize(
    ("packet", "own", "end"),
    [
        (Packet("10.96.0.10", 53, "udp"), ["10.0.0.10", "169.254.20.10", "10.96.0.10"], (PASS, "")),
        (Packet("10.96.0.10", 53, "udp"), ["10.0.0.10"], (PASS, "")),
        (Packet("10.96.0.10", 53, "tcp"), ["10.0.0.10"], (ENDPOINT, "10.244.1.9:53")),
        (Packet("169.254.20.10", 53, "udp"), ["10.0.0.10", "169.254.20.10"], (DROP, "")),
        (Packet("169.254.20.10", 53, "udp", "10.0.0.10"), ["10.0.0.10", "169.254.20.10"], (DROP, "")),
        (Packet("10.96.0.10", 53, "udp", "10.0.0.10"), ["10.0.0.10", "10.96.0.10"], (PASS, "")),
        (Packet("10.96.0.10", 53, "udp", "10.0.0.10"), ["10.0.0.10"], (PASS, "")),
    ],
)
def test_a_cache_of_dns_on_the_node(packet: Packet, own: list[str], end: tuple[str, str]) -> None:
    """What it is to get is not tracked; of the rules here, filter lets in only the cluster IP of it."""
    held = snapshot([("rules", NODE_LOCAL_DNS.replace("\\\n", ""))], own)
    (outcome,) = trace(held.stations("IPv4"), {}, packet, held.node)
    assert (outcome.verdict, outcome.endpoint) == end
