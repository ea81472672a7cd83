"""Tables in nft's language to the listing that nft -j gives."""

from __future__ import annotations

import random

import pytest
import support
from hypothesis import given
from hypothesis import strategies as st

from sluice import render
from sluice.backends.interface import Memo
from sluice.backends.nftables.backend import BACKEND
from sluice.backends.nftables.text import FILE
from sluice.observe import hooks
from sluice.observe.nft_lexer import NftError
from sluice.observe.nft_parse import listing
from sluice.observe.packets import Node, Packet
from sluice.observe.snapshot import DumpError, snapshot

LISTED = """\
table inet t { # handle 3
    comment "of mine"
    counter c {
        packets 0 bytes 0
    }
    set nets {
        type ipv4_addr
        flags interval
        elements = { 10.0.0.0/8, 192.0.2.1-192.0.2.9,
                 1.2.3.4 comment "a, } b" }
    }
    map late {
        type ipv4_addr . inet_service : verdict
        size 100
        timeout 1h
        elements = { 1.1.1.1 . 80 timeout 30m expires 9s : jump to/it,
                     2.2.2.2 . 81 comment "x" : drop }
    }

    chain to/it { # handle 4
    }
    chain in {
        type filter hook input priority filter + 10; policy drop;
        ct state new jump to/it comment "new" # handle 5
    }
}
"""


def test_a_listing() -> None:
    common = {"family": "inet", "table": "t"}
    chains = [
        {"chain": {**common, "name": "to/it"}},
        {
            "chain": {
                **common,
                "name": "in",
                "type": "filter",
                "hook": "input",
                "prio": 10,
                "policy": "drop",
            }
        },
    ]
    match = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}}
    assert listing(LISTED) == [
        {"table": {"family": "inet", "name": "t"}},
        {
            "set": {
                **common,
                "name": "nets",
                "type": "ipv4_addr",
                "flags": ["interval"],
                "elem": [
                    {"prefix": {"addr": "10.0.0.0", "len": 8}},
                    {"range": ["192.0.2.1", "192.0.2.9"]},
                    {"elem": {"val": "1.2.3.4", "comment": "a, } b"}},
                ],
            }
        },
        {
            "map": {
                **common,
                "name": "late",
                "type": ["ipv4_addr", "inet_service"],
                "map": "verdict",
                "size": 100,
                "timeout": 3600,
                "elem": [
                    [
                        {"elem": {"val": {"concat": ["1.1.1.1", 80]}, "timeout": 1800, "expires": 9}},
                        {"jump": {"target": "to/it"}},
                    ],
                    [{"elem": {"val": {"concat": ["2.2.2.2", 81]}, "comment": "x"}}, {"drop": None}],
                ],
            }
        },
        *chains,
        {"rule": {**common, "chain": "in", "comment": "new", "expr": [match, {"jump": {"target": "to/it"}}]}},
    ]


def test_elements_are_added_and_a_table_is_made_anew() -> None:
    text = """
flush ruleset
table ip a {
    set s { type ipv4_addr; elements = { 1.1.1.1 }
    }
}
table ip a
delete table ip a
table ip a {
    set s { type ipv4_addr; elements = { 2.2.2.2 }
    }
}
add element ip a s {
    3.3.3.3,
    4.4.4.4 comment "x",
}
"""
    (found,) = (each["set"]["elem"] for each in listing(text) if "set" in each)
    assert found == ["2.2.2.2", "3.3.3.3", {"elem": {"val": "4.4.4.4", "comment": "x"}}]


def test_tables_of_iptables_are_left_to_iptables_save() -> None:
    warning = "# Warning: table ip nat is managed by iptables-nft, do not touch!\n"
    text = warning + "table ip nat {\n}\ntable ip mine {\n}\n"
    assert listing(text) == [{"table": {"family": "ip", "name": "mine"}}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("table ip a {\n chain c {\n", "line 3: a brace is not closed"),
        ("table ip a {\n", "line 2: the table has no end"),
        ("table ip {\n}\n", "line 1: a table has no name"),
        ("table ip a {\n chain c {\n type nat hook input priority high;\n}\n}\n", "line 3: 'type nat hook input"),
        ("table ip a {\n set s {\n type a\n elements = 5\n}\n}\n", "line 4: braces expected"),
        ("table ip a {\n set s {\n type a\n elements = { a b }\n}\n}\n", "line 4: not an element: a b"),
        ("table ip a {\n}\nadd element ip a s { 1 }\n", "line 3: there is no set s in table ip a"),
        ("table ip a {\n}\nlist ruleset\n", "line 3: 'list' is nothing"),
        ("table ip a {\n}\nflush chain x\n", "line 3: 'flush' is nothing"),
        ('table ip a {\n comment "b\n}\n', "line 2: a string has no end"),
        ("table ip a {\n set s {\n timeout soon\n}\n}\n", "line 3: soon is no length of time"),
    ],
)
def test_damage_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(DumpError) as error:
        snapshot([("n.nft", text)])
    assert str(error.value).startswith(f"n.nft: {said}")


def test_a_dump_is_known_by_its_content() -> None:
    text = "# a dump\ntable ip a {\n chain c {\n  type filter hook input priority 0; policy drop;\n }\n}\n"
    both = text + text.replace("ip a", "ip6 b")
    assert [(each.family, each.name) for each in snapshot([("a", both)]).nftables] == [("ip", "a"), ("ip6", "b")]


def test_a_rule_that_is_not_known_does_not_match_and_says_so() -> None:
    rules = "ip daddr 10.0.0.1 quota 5 drop\n"
    text = f"table ip a {{\n chain c {{\n type filter hook prerouting priority 0; policy drop;\n{rules}}}\n}}\n"
    held = snapshot([("a", text)])
    (station,) = held.stations("IPv4")
    (rule,) = station.chains.of("c") or ()
    state = hooks.State(Packet("10.0.0.1", 80), Node())
    assert rule.meet(state) == ([], "no dump tells quota 5 drop")
    assert rule.text == "ip daddr 10.0.0.1 quota 5 drop"


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        ("tcp dport > 79 tcp dport < 81 drop", True),
        ("tcp dport >= 80 tcp dport <= 80 drop", True),
        ("tcp dport > 80 drop", False),
        ("ip daddr > 10.0.0.0 drop", False),
        ("ct state vmap { established : accept, new : drop }", True),
        ("limit rate 5/second drop", True),
        ("limit rate over 5/second drop", False),
        ("update @s { ip saddr : 5 } counter log drop", True),
        ("queue num 3", False),
        ("redirect to :80", True),
        ("redirect to :80-90", False),
        ("continue", True),
    ],
)
def test_what_a_rule_does_to_a_packet(rule: str, *, matches: bool) -> None:
    text = f"table ip a {{\n chain c {{\n type filter hook prerouting priority 0; policy drop;\n{rule}\n}}\n}}\n"
    (station,) = snapshot([("a", text)]).stations("IPv4")
    (read,) = station.chains.of("c") or ()
    found, why_not = read.meet(hooks.State(Packet("10.0.0.1", 80), Node()))
    assert (bool(found), bool(why_not)) == (matches, True)


_HOSTILE = [
    "table ip a {\n",
    "chain c {\n",
    "set s {\n",
    "map m {\n",
    "elements = { ",
    "}",
    "}\n",
    "{",
    "(",
    ")",
    '"',
    "\n",
]
_HOSTILE += [
    "type ipv4_addr\n",
    "type filter hook input priority 0;",
    "ip saddr ",
    "vmap ",
    "@s ",
    "1.1.1.1",
    ",",
    " : ",
]
_HOSTILE += [
    "add element ip a s { ",
    "delete table ip a\n",
    "jhash ",
    "mod 2 ",
    " . ",
    "dnat to ",
    "a",
    "5",
    "\\\n",
    "#",
]


@given(st.lists(st.sampled_from(_HOSTILE), max_size=25).map("".join) | st.text(max_size=60))
def test_any_text_is_a_listing_or_a_fault(text: str) -> None:
    try:
        held = snapshot([("a", f"table ip a {{\nset s {{\n}}\n}}\n{text}")])
    except DumpError as error:
        assert str(error).startswith("a: ")
    else:
        hooks.trace(held.stations("IPv4"), {}, Packet("10.0.0.1", 80), Node())


@given(st.data())
def test_damage_to_our_file(data: st.DataObject) -> None:
    text = _OURS
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 200)))
    damaged = text[:begin] + data.draw(st.sampled_from(["", "}", '"', "{", "\n", " : ", "x"])) + text[end:]
    try:
        assert isinstance(listing(damaged), list)
    except NftError as error:
        assert str(error)


def _file() -> str:
    source = random.Random(1)
    objects = []
    for number in range(1, 6):
        spec = {"sessionAffinity": source.choice(["None", "ClientIP"])}
        objects.append(support.service(f"s{number}", ip=f"10.96.0.{number}", **spec))
        objects.append(support.endpoint_slice("10.1.0.1", "10.1.0.2", of=f"s{number}"))
    settings = support.node()
    return BACKEND.render(render.views(support.catalogue(*objects), settings), settings, Memo())[FILE]


_OURS = _file()


def test_our_file_is_read_whole() -> None:
    found = listing(_OURS)
    rules = [each["rule"]["expr"] for each in found if "rule" in each]
    assert rules
    assert not [each for statements in rules for each in statements if "unknown" in each]
    elements = {each["map"]["name"]: each["map"].get("elem") for each in found if "map" in each}
    assert len(elements["addresses"]) == 5
