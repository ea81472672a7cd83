"""What all Services share: jumps from built-in chains, masquerading, forwarding, mark bits."""

from __future__ import annotations

import pytest
from planted import odd, recorded, replaced, said, without

RULES = recorded("16-loadbalancer")[".rules"]
JUMPS = [
    ("PREROUTING", "KUBE-SERVICES"),
    ("OUTPUT", "KUBE-SERVICES"),
    ("POSTROUTING", "KUBE-POSTROUTING"),
    ("FORWARD", "KUBE-FORWARD"),
    ("FORWARD", "KUBE-SERVICES"),
    ("INPUT", "KUBE-EXTERNAL-SERVICES"),
    ("INPUT", "KUBE-PROXY-FIREWALL"),
    ("FORWARD", "KUBE-PROXY-FIREWALL"),
    ("INPUT", "KUBE-NODEPORTS"),
]


def _without_jump(built_in: str, chain: str) -> str:
    lines = RULES.splitlines(keepends=True)
    left = [line for line in lines if not (line.startswith(f"-A {built_in} ") and line.endswith(f"-j {chain}\n"))]
    assert len(left) < len(lines)
    return "".join(left)


@pytest.mark.parametrize(("built_in", "chain"), JUMPS)
def test_missing_jump(built_in: str, chain: str) -> None:
    found = odd(_without_jump(built_in, chain))
    assert any(each.what == f"{built_in} does not jump to {chain}" and each.hurts for each in found)


@pytest.mark.parametrize(("built_in", "chain"), [("INPUT", "KUBE-IPVS-FILTER"), ("PREROUTING", "KUBE-SERVICES")])
def test_missing_jump_of_ipvs(built_in: str, chain: str) -> None:
    held = recorded("16-loadbalancer", "ipvs")
    lines = held[".rules"].splitlines(keepends=True)
    left = [line for line in lines if not (line.startswith(f"-A {built_in} ") and line.endswith(f"-j {chain}\n"))]
    assert f"! {built_in} does not jump to {chain}" in said(*{**held, ".rules": "".join(left)}.values())


def test_jump_by_a_chain_of_somebody_else_is_one() -> None:
    text = replaced(
        _without_jump("PREROUTING", "KUBE-SERVICES"),
        "*nat\n",
        "*nat\n-A PREROUTING -j MINE\n-A MINE -j KUBE-SERVICES\n",
    )
    assert not odd(text)


def test_node_ports_that_nothing_leads_to() -> None:
    assert "! KUBE-SERVICES does not jump to KUBE-NODEPORTS" in said(without(RULES, "this must be the last rule"))


def test_chain_that_is_gone() -> None:
    text = without(without(without(RULES, "-A KUBE-POSTROUTING"), ":KUBE-POSTROUTING"), "-A POSTROUTING")
    assert "! there is no chain KUBE-POSTROUTING" in said(text)
    text = without(without(without(RULES, "-A KUBE-FORWARD"), ":KUBE-FORWARD"), "-j KUBE-FORWARD")
    assert "! there is no chain KUBE-FORWARD" in said(text)


def test_nothing_is_masqueraded() -> None:
    assert "! KUBE-POSTROUTING masquerades nothing" in said(without(RULES, "-j MASQUERADE"))
    assert "! KUBE-MARK-MASQ marks nothing" in said(without(RULES, "-A KUBE-MARK-MASQ"))


def test_all_is_masqueraded() -> None:
    assert "! KUBE-POSTROUTING masquerades all packets" in said(without(RULES, "-A KUBE-POSTROUTING -m mark ! --mark"))


def test_forward_rules_are_missing() -> None:
    assert "- KUBE-FORWARD does not accept what is masqueraded" in said(
        without(RULES, "-m mark --mark 0x4000/0x4000 -j A")
    )
    assert "- KUBE-FORWARD does not accept what belongs to a connection" in said(
        without(RULES, "forwarding conntrack rule")
    )


def test_mark_that_nobody_asks_for() -> None:
    text = replaced(
        RULES, "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000", "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x8/0x8"
    )
    assert "! KUBE-POSTROUTING asks for mark 0x4000, KUBE-MARK-MASQ sets 0x8" in said(text)


def test_policy_drop_in_forward() -> None:
    dropping = replaced(RULES, "*filter\n", "*filter\n:FORWARD DROP [0:0]\n")
    (pods,) = odd(dropping)  # kube-proxy's rules let pass what is masqueraded
    assert not pods.hurts
    found = said(without(dropping, "-m mark --mark 0x4000/0x4000 -j ACCEPT"))
    assert "! policy DROP in FORWARD, and no rule lets Services pass" in found


@pytest.mark.parametrize(
    ("rule", "hurts"),
    [
        ("*mangle\n-A PREROUTING -j MARK --set-xmark 0x4000/0x4000\nCOMMIT\n", True),
        ("*mangle\n-A FORWARD -d 192.0.2.1/32 -j MARK --set-mark 0xc000\nCOMMIT\n", True),
        ("*mangle\n-A OUTPUT -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff\nCOMMIT\n", False),
    ],
)
def test_mark_bit_that_two_programs_use(rule: str, hurts: bool) -> None:
    (found,) = odd(RULES + rule)
    assert (found.what, found.hurts) == ("mark bit 0x4000 is used by two programs", hurts)


@pytest.mark.parametrize(
    "rule",
    ["-A PREROUTING -j MARK --set-xmark 0x20000/0x20000", "-A FORWARD -j CONNMARK --set-xmark 0x4000/0x4000"],
)
def test_other_bits_are_theirs(rule: str) -> None:
    assert not odd(f"{RULES}*mangle\n{rule}\nCOMMIT\n")


def test_a_mark_that_is_taken_away_before_ours_is_set() -> None:
    clears = "-A THEIRS -m mark --mark 0x200/0xf00 -j MARK --set-xmark 0x200/0xffffffff"
    assert not odd(f"{RULES}*mangle\n-A PREROUTING -j THEIRS\n{clears}\nCOMMIT\n")
    (found,) = odd(f"{RULES}*mangle\n-A FORWARD -j THEIRS\n{clears}\nCOMMIT\n")
    assert (found.what, found.hurts) == ("mark bit 0x4000 is used by two programs", False)


def test_a_kubelets_rules_alone_are_no_proxys() -> None:
    assert not odd("*nat\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n*mangle\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n")
    assert not odd("*filter\n:KUBE-FIREWALL - [0:0]\n-A INPUT -j KUBE-FIREWALL\n-A OUTPUT -j KUBE-FIREWALL\nCOMMIT\n")
