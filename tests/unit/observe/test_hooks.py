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
from sluice.observe.walk import ACCEPT, GO_ON, Act, Chains, Met

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


def _station(hook: str, rule: Ruled = ON, priority: int = 0, nat: bool = False) -> Station:
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


def test_a_virtual_server_without_real_ones_refuses() -> None:
    (outcome,) = trace([], text.parse("-A -t 10.96.0.1:80 -s rr\n"), OWN, NODE)
    assert outcome.verdict == REJECT
    assert outcome.path[0].why == "it has no real server to send to"


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
