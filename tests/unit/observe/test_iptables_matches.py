"""What a match says to a first packet; what a dump cannot tell does not match, and neither does what nobody printed."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.observe.iptables_matches import NO, YES, Scene, answer, exact
from sluice.observe.iptables_rules import taken_apart
from sluice.observe.packets import Node, Packet, State

STATE = State(Packet("10.96.0.1", 80, "tcp", "10.1.0.1"), Node(["10.0.0.10"]), mark=0x4000)
SENT = STATE._replace(virtual=("tcp", "10.96.0.1", 80), connection=frozenset({"NEW", "DNAT"}))
LEFT_ALONE = STATE._replace(connection=frozenset({"UNTRACKED"}))
INSIDE = STATE._replace(packet=Packet("10.0.0.10", 80, "tcp", "127.0.0.1"))
SETS = {"SERVICES": lambda packet, directions: (packet.destination, directions) == ("10.96.0.1", "dst")}


def _answer(text: str, state: State = STATE) -> tuple[Fraction, str]:
    (match,) = taken_apart(text)[0]
    return answer(match, Scene(state, SETS))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("-d 10.96.0.0/12", "to 10.96.0.0/12"),
        ("! -d 10.97.0.0/16", "not to 10.97.0.0/16"),
        ("-s 10.1.0.1/32", "from 10.1.0.1/32"),
        ("-p 6", "6"),
        ("! -p udp", "not udp"),
        ("-m tcp --dport 80", "port 80"),
        ("-m multiport --dports 1:9,80,443", "port 1:9,80,443"),
        ("-m multiport --dports 79:", "port 79:"),
        ("-m tcp --dport :80", "port :80"),
        ("-m tcp --tcp-flags FIN,SYN,RST,ACK SYN", "it begins a connection"),
        ("-m addrtype --dst-type UNICAST", "its destination is UNICAST"),
        ("-m addrtype ! --src-type LOCAL", "not its source is LOCAL"),
        ("-m conntrack --ctstate NEW,RELATED", "its connection is NEW,RELATED"),
        ("-m conntrack ! --ctstate INVALID", "not its connection is INVALID"),
        ("-m mark --mark 0x4000/0x4000", "marked 0x4000/0x4000"),
        ("-m mark ! --mark 0x8000/0x8000", "not marked 0x8000/0x8000"),
        ("-m set --match-set SERVICES dst", "in set SERVICES"),
    ],
)
def test_what_matches(text: str, why: str) -> None:
    assert _answer(text) == (YES, why)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("-d 10.97.0.0/16", "another destination"),
        ("! -d 10.96.0.0/12", "to 10.96.0.0/12"),
        ("-s fd00::/8", "another source"),
        ("-p udp", "another protocol"),
        ("-m tcp --dport 81:90", "another port"),
        ("-m tcp ! --dport 80", "port 80"),
        ("-m tcp --tcp-flags ALL NONE", "it begins a connection"),
        ("-m addrtype --dst-type LOCAL", "its destination is not LOCAL"),
        ("-m addrtype --dst-type BROADCAST", "its destination is not BROADCAST"),
        ("-m conntrack --ctstate RELATED,ESTABLISHED", "its connection is not RELATED,ESTABLISHED"),
        ("-m mark --mark 0x8000/0x8000", "not marked 0x8000/0x8000"),
        ("-m recent --rcheck", "a client that was not seen lately"),
        ("-m set --match-set SERVICES src", "not in set SERVICES"),
        ("-m ipvs --vaddr 10.96.0.1", "no virtual server has sent it"),
    ],
)
def test_what_does_not(text: str, why: str) -> None:
    assert _answer(text) == (NO, why)


@pytest.mark.parametrize(
    "text",
    [
        # what no dump tells
        *("-i eth0", "! -o eth0", "-m tcp --sport 1024", "-m owner --uid-owner 0", "-m addrtype --dst-type PROHIBIT"),
        *("-m set --match-set NOWHERE dst", "-m set ! --match-set NOWHERE dst"),
        # what iptables-save does not print
        *("-s host.example", "! -s host.example", "-d 10.0.0.0/99", "-d 10.96.0", "-s", "-p", "! -p"),
        *("-m tcp --dport http", "-m tcp --dport 8080-8090", "-m tcp ! --dport", "-m multiport --dports 1,,x"),
        *("-m mark --mark many", "-m mark ! --mark 0x1/x", "-m mark --mark", "-m conntrack --ctstate"),
        *("-m tcp --tcp-flags SYN", "-m addrtype --src-type", "-m set --match-set SERVICES"),
        *(
            f"-m statistic --probability {text}"
            for text in ("x", "1/0", "nan", "inf", "1e999999999", "2", "-1", "\N{ARABIC-INDIC DIGIT ONE}")
        ),
        *("-m statistic --probability", "-m statistic ! --probability 1.5"),
        *(f"-m statistic --every {text}" for text in ("0", "x", "")),
    ],
)
def test_what_nobody_can_tell_does_not_match(text: str) -> None:
    chance, why = _answer(text)
    assert chance == NO
    assert why.startswith("no dump tells -")


@pytest.mark.parametrize(
    ("text", "state", "chance"),
    [
        ("-i lo", INSIDE, YES),
        ("-i lo", STATE, NO),
        ("! -i lo", STATE, YES),
        ("-o eth0", INSIDE, NO),
        ("-m addrtype --dst-type LOCAL", INSIDE, YES),
        ("-m ipvs --vaddr 10.96.0.1/32", SENT, YES),
        ("-m ipvs --vport 81", SENT, NO),
        ("-m ipvs --vproto 6", SENT, YES),
        ("-m ipvs ! --ipvs", SENT, NO),
        ("-m conntrack --ctstate DNAT", SENT, YES),
        ("-m conntrack --ctstatus SEEN_REPLY,ASSURED", SENT, NO),
        ("-m conntrack ! --ctstatus SEEN_REPLY", SENT, YES),
        ("-m conntrack --ctstate UNTRACKED", LEFT_ALONE, YES),
        ("-m conntrack --ctstate NEW", LEFT_ALONE, NO),
        ("-m conntrack ! --ctstate INVALID,UNTRACKED", LEFT_ALONE, NO),
        ("-m state --state UNTRACKED", LEFT_ALONE, YES),
        ("-m state --state UNTRACKED", STATE, NO),
        ("-m conntrack --ctstatus SEEN_REPLY", LEFT_ALONE, NO),
        ("-m conntrack ! --ctstatus SEEN_REPLY", LEFT_ALONE, NO),
    ],
)
def test_what_depends_on_the_way_so_far(text: str, state: State, chance: Fraction) -> None:
    assert _answer(text, state)[0] == chance


def test_what_chance_decides() -> None:
    assert _answer("-m statistic --probability 0.33333333349") == (Fraction(1, 3), "by chance")
    assert _answer("-m statistic ! --probability 0.25000000000") == (Fraction(3, 4), "by chance")
    assert _answer("-m statistic --every 4") == (Fraction(1, 4), "by turns")


@given(st.integers(1, 5000))
def test_probabilities_are_exact(count: int) -> None:
    """As kube-proxy writes them, and as the kernel has them: in 31 bits."""
    assert exact(f"{1 / count:.11f}") == Fraction(1, count)
    assert exact(f"{round(2**31 / count) / 2**31:.11f}") == Fraction(1, count)


def test_what_is_no_share_of_small_numbers_stays() -> None:
    assert exact("0.12345678901") == Fraction("0.12345678901")


_ODD = st.sampled_from([*("-s", "-p", "-i", "--dport", "--mark", "--probability", "--every", "--match-set", "--vport")])


@given(_ODD, st.booleans(), st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=3))
def test_no_words_are_too_odd(option: str, negated: bool, given_words: list[str]) -> None:
    for module in ("", "tcp", "mark", "statistic", "set", "ipvs"):
        match = taken_apart("-s x")[0][0]._replace(
            module=module, option=option, words=tuple(given_words), negated=negated
        )
        chance, why = answer(match, Scene(SENT, SETS))
        assert NO <= chance <= YES
        assert isinstance(why, str)
