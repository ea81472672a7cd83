"""What no rule lets pass: masqueraded or not, answers, the node's own, and what comes to virtual servers."""

from __future__ import annotations

import pytest
from planted import odd, recorded, replaced, without

RULES = recorded("16-loadbalancer")[".rules"]
LOCAL = recorded("20-loadbalancer-local")[".rules"]
ALL = "policy DROP in FORWARD, and no rule lets Services pass"
PLAIN = "policy DROP in FORWARD, and no rule lets what is not masqueraded pass"
PODS = "policy DROP in FORWARD, and no rule lets Pods pass"
ANSWERS = "policy DROP in FORWARD, and no rule lets answers of endpoints pass"


def _dropping(text: str, *rules: str, chain: str = "FORWARD") -> str:
    return replaced(text, "*filter\n", "".join(f"{each}\n" for each in ("*filter", f":{chain} DROP [0:0]", *rules)))


def _told(text: str) -> dict[str, bool]:
    return {each.what: each.hurts for each in odd(text)}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (RULES, {PODS: False}),
        (LOCAL, {PLAIN: True, PODS: False}),
        (recorded("43-masquerade-all")[".rules"], {}),
        (without(RULES, "--mark 0x4000/0x4000 -j ACCEPT"), {ALL: True}),
        (without(RULES, "forwarding conntrack rule"), {ANSWERS: True, PODS: False}),
    ],
    ids=["policy Cluster", "policy Local", "all is masqueraded", "the mark is not asked for", "no answers"],
)
def test_policy_in_forward(text: str, wanted: dict[str, bool]) -> None:
    assert _told(_dropping(text)) == wanted


@pytest.mark.parametrize(
    "rule",
    [
        "-A FORWARD -j ACCEPT",
        "-A FORWARD -d 10.244.0.0/16 -j ACCEPT",
        "-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT",
        "-A FORWARD -m conntrack --ctstatus DNAT -j ACCEPT",
        "-A FORWARD -p tcp -m tcp --dport 8080 -j ACCEPT",
        "-A FORWARD -j MINE\n-A MINE -j MARK --set-xmark 0x10/0x10\n-A FORWARD -m mark --mark 0x10/0x10 -j ACCEPT",
        "-A FORWARD -g MINE\n-A MINE -j ACCEPT",
        "-A FORWARD -i eth0 -j ACCEPT",
        "-A FORWARD -o cni0 -j ACCEPT",
        "-A FORWARD -m set --match-set pods dst -j ACCEPT",
    ],
)
def test_what_lets_services_pass_or_may(rule: str) -> None:
    assert not _told(_dropping(LOCAL, rule))


@pytest.mark.parametrize(
    "rule",
    [
        "-A FORWARD -i docker0 -j ACCEPT",
        "-A FORWARD -o docker0 -j ACCEPT",
        "-A FORWARD -p udp -j ACCEPT",
        "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A FORWARD -d 10.244.2.0/24 -j ACCEPT",
        "-A FORWARD -j MINE\n-A MINE -j RETURN\n-A MINE -j ACCEPT",
        "-A FORWARD -j MINE\n-A MINE -g OTHER\n-A MINE -j ACCEPT\n-A OTHER -j LOG",
        "-A FORWARD -j MARK --set-xmark 0x20/0x20\n-A FORWARD -m mark --mark 0x10/0x10 -j ACCEPT",
    ],
)
def test_what_does_not(rule: str) -> None:
    assert _told(_dropping(LOCAL, rule))[PLAIN]


def test_clients_that_may_pass_are_not_said_to_be_dropped() -> None:
    """Pods are none of them, so the rule for Pods lets no client outside pass."""
    assert PLAIN not in _told(_dropping(LOCAL, "-A FORWARD -s 203.0.113.0/24 -j ACCEPT"))
    assert _told(_dropping(LOCAL, "-A FORWARD -s 10.244.0.0/16 -j ACCEPT")) == {PLAIN: True}


def test_endpoints_that_are_containers_behind_a_bridge() -> None:
    text = LOCAL.replace("10.244.1.", "172.17.0.").replace("10.244.2.", "172.17.0.")
    text = replaced(text, "*nat\n", "*nat\n-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n")
    assert PLAIN not in _told(_dropping(text, "-A FORWARD -o docker0 -j ACCEPT"))
    assert PLAIN in _told(_dropping(text, "-A FORWARD -o br-1 -j ACCEPT"))


def test_rule_at_the_end() -> None:
    (found,) = [
        each for each in odd(replaced(LOCAL, "COMMIT\n*nat", "-A FORWARD -j REJECT\nCOMMIT\n*nat")) if each.hurts
    ]
    assert found.what == "a rule that drops in FORWARD, and no rule lets what is not masqueraded pass"
    assert found.where == "iptables filter: FORWARD rule 5: -j REJECT"


def test_rule_before_ours_by_the_mark_is_told() -> None:
    text = replaced(RULES, "*filter\n", "*filter\n-A FORWARD -m mark --mark 0x4000/0x4000 -j DROP\n")
    assert _told(text)["a rule that drops in FORWARD, and no rule lets Services pass"]


def test_policy_in_output() -> None:
    assert _told(_dropping(RULES, chain="OUTPUT"))["policy DROP in OUTPUT, and no rule lets the node itself pass"]
    assert not _told(_dropping(RULES, "-A OUTPUT -d 10.244.0.0/16 -j ACCEPT", chain="OUTPUT"))


def test_policy_in_input() -> None:
    """Where a proxy rewrites destinations, INPUT has what is for endpoints on the node itself."""
    text = _dropping(LOCAL, "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", chain="INPUT")
    assert not odd(text)
    here = "2: eth0: <UP>\n    inet 10.244.1.10/24 scope global eth0\n"
    assert any(each.hurts and each.what.startswith("policy DROP in INPUT") for each in odd(text, here))
    held = recorded("16-loadbalancer", "ipvs")
    held[".rules"] = _dropping(held[".rules"], "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT", chain="INPUT")
    (found,) = odd(*held.values())
    assert (found.what, found.hurts) == ("policy DROP in INPUT, and no rule lets virtual servers of IPVS pass", True)
    held[".rules"] = replaced(held[".rules"], "*filter\n", "*filter\n-A INPUT -m addrtype --dst-type LOCAL -j ACCEPT\n")
    assert not odd(*held.values())


def test_answers_pass_forward_with_ipvs() -> None:
    held = recorded("16-loadbalancer", "ipvs")
    held[".rules"] = _dropping(without(held[".rules"], "ESTABLISHED"))
    assert any(each.what == ANSWERS for each in odd(*held.values()))


def test_table_that_was_not_dumped() -> None:
    assert not odd("*nat" + RULES.partition("*nat")[2])
