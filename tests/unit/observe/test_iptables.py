"""What rules of iptables do to a packet, and where in the kernel their tables stand."""

from __future__ import annotations

import pytest

from sluice.observe.iptables import Rule, stations
from sluice.observe.iptables_rules import Tables
from sluice.observe.packets import Node, Packet, State
from sluice.observe.walk import Act, Met

STATE = State(Packet("10.96.0.1", 80), Node(), mark=0x10)
SIX = STATE._replace(packet=Packet("fd00::1", 80))


def _met(text: str, state: State = STATE) -> Met:
    (met,), _why_not = Rule(text, {}).meet(state)
    return met


def _act(text: str, state: State = STATE) -> Act:
    return _met(text, state).act


@pytest.mark.parametrize(
    ("text", "verdict", "chain", "goto"),
    [
        ("-j ACCEPT", "accept", "", False),
        ("-j DROP", "drop", "", False),
        ("-j REJECT --reject-with icmp-port-unreachable", "reject", "", False),
        ("-j RETURN", "return", "", False),
        ("-j KUBE-SERVICES", "go on", "KUBE-SERVICES", False),
        ("-g KUBE-SERVICES", "go on", "KUBE-SERVICES", True),
        ("-j LOG --log-prefix x", "go on", "", False),
        ("-p tcp", "go on", "", False),
        ("-j", "go on", "", False),
    ],
)
def test_verdicts(text: str, verdict: str, chain: str, goto: bool) -> None:
    assert _act(text) == Act(verdict, STATE, chain, goto)


@pytest.mark.parametrize(
    ("option", "mark"),
    [
        ("--set-xmark 0x4000/0x4000", 0x4010),
        ("--set-xmark 0x1/0xffffffff", 0x1),
        ("--set-mark 0x4000/0x30", 0x4000),
        ("--or-mark 0x3", 0x13),
        ("--and-mark 0xf", 0),
        ("--xor-mark 0x11", 1),
    ],
)
def test_marks(option: str, mark: int) -> None:
    assert _act(f"-j MARK {option}").after.mark == mark


@pytest.mark.parametrize(
    ("to", "state", "endpoint"),
    [
        ("10.1.0.1:8080", STATE, "10.1.0.1:8080"),
        ("10.1.0.1", STATE, "10.1.0.1:80"),
        (":8080", STATE, "10.96.0.1:8080"),
        ("[fd00::a]:8080", SIX, "[fd00::a]:8080"),
        ("fd00::a", SIX, "[fd00::a]:80"),
        ("[fd00::a]", SIX, "[fd00::a]:80"),
    ],
)
def test_new_destinations(to: str, state: State, endpoint: str) -> None:
    after = _act(f"-j DNAT --to-destination {to}", state).after
    assert after.endpoint == endpoint
    assert "DNAT" in after.connection


@pytest.mark.parametrize("target", ["MASQUERADE --random-fully", "SNAT --to-source 10.0.0.10"])
def test_new_sources(target: str) -> None:
    after = _act(f"-j {target}").after
    assert after.masqueraded
    assert "SNAT" in after.connection


@pytest.mark.parametrize(
    "target",
    [
        *("DNAT", "DNAT --to-destination", "DNAT --random", "DNAT --to-destination host.example:80"),
        *("DNAT --to-destination 10.0.0.1-10.0.0.3", "DNAT --to-destination 10.0.0.1-10.0.0.3:80"),
        *("DNAT --to-destination :8080-8090", "DNAT --to-destination 10.0.0.1:http"),
        *("DNAT --to-destination 10.0.0.1:0", "DNAT --to-destination 10.0.0.1:70000", "DNAT --to-destination fd00::x"),
        *("MARK --set-xmark", "MARK --set-xmark many", "MARK --or-mark 0x1/x"),
        *("REDIRECT --to-ports 8080-8090", "REDIRECT --to-ports 0", "REDIRECT --to-ports"),
        *("TPROXY --on-port 80", "NETMAP --to 10.0.0.0/8", "SET --map-set A dst --map-mark"),
    ],
)
def test_what_no_dump_tells_of_a_target_does_not_match(target: str) -> None:
    found, why_not = Rule(f"-p tcp -j {target}", {}).meet(STATE)
    assert list(found) == []
    assert why_not == f"no dump tells what {target.partition(' ')[0]} does here"


def test_what_goes_to_the_node_itself() -> None:
    state = STATE._replace(node=Node(["10.0.0.10"]))
    assert _act("-p tcp -j REDIRECT --to-ports 8080", state).after.endpoint == "10.0.0.10:8080"
    assert _act("-j REDIRECT --random", state).after.endpoint == "10.0.0.10:80"
    own = state._replace(packet=state.packet._replace(source="10.0.0.10"))
    act = _act("-p tcp -j REDIRECT --to-ports 8080", own)
    assert (act.verdict, act.after.endpoint) == ("accept", "127.0.0.1:8080")


@pytest.mark.parametrize(
    ("target", "connection"),
    [
        ("CT --notrack", "UNTRACKED"),
        ("NOTRACK", "UNTRACKED"),
        ("CT --zone 3", "INVALID"),
        ("SET --add-set A src", "INVALID"),
    ],
)
def test_what_conntrack_is_told(target: str, connection: str) -> None:
    begun = STATE._replace(connection=frozenset({"INVALID"}))
    assert _act(f"-j {target}", begun) == Act("go on", begun._replace(connection=frozenset({connection})))
    assert _act(f"-j {target}") == Act("go on", STATE)


def test_why() -> None:
    met = _met(
        "-d 10.96.0.1/32 -p tcp -m tcp --dport 80 -m statistic --mode random --probability 0.25000000000 -j DROP"
    )
    assert (str(met.chance), met.why) == ("1/4", "to 10.96.0.1/32, tcp, port 80, by chance")
    assert _met("-j DROP").why == "every packet"
    assert Rule("-p udp -j DROP", {}).meet(STATE) == ((), "another protocol")


DUMP = """\
*raw
:PREROUTING ACCEPT [0:0]
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT DROP [0:0]
:POSTROUTING ODD [0:0]
:OWN - [0:0]
-A PREROUTING -j OWN
COMMIT
"""


def test_where_tables_stand() -> None:
    found = {(each.chains.table, each.hook): each for each in stations(Tables(DUMP), {})}
    assert {place: (each.priority, each.policy, each.is_nat) for place, each in found.items()} == {
        ("raw", "prerouting"): (-300, "accept", False),
        ("nat", "prerouting"): (-100, "accept", True),
        ("nat", "input"): (100, "drop", True),
        ("nat", "postrouting"): (100, "accept", True),
    }
    chains = found["nat", "prerouting"].chains
    assert [rule.text for rule in chains.of("PREROUTING") or ()] == ["-j OWN"]
    assert chains.of("OWN") == []
    assert chains.of("NOWHERE") is None
