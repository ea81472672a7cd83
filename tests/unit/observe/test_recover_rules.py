"""Rules by what they ask and do."""

from __future__ import annotations

import pytest

from sluice.addresses import IPV4
from sluice.observe.iptables_rules import Tables
from sluice.observe.recover_rules import Rules, masquerade_bit, rule_of


def test_a_rule() -> None:
    rule = rule_of('! -s 10.0.0.0/8 -d 10.96.0.1/32 -p tcp -m comment --comment "a b" -m tcp --dport 80 -j ACCEPT')
    assert (rule.destination, rule.number, rule.outside) == ("10.96.0.1", 80, "10.0.0.0/8")
    assert (rule.word("-p"), rule.word("-s"), rule.word("-i")) == ("tcp", "", "")
    assert (rule.comment, rule.target.name) == ("a b", "ACCEPT")
    assert (rule_of("-j DROP").number, rule_of("-s 10.0.0.1/32").outside) == (0, "")


def test_layouts() -> None:
    for chain, expected in (("KUBE-EXT-A", True), ("KUBE-XLB-A", False)):
        assert Rules(Tables(f"*nat\n:{chain} - [0:0]\n"), IPV4).is_layout_ext() is expected
    assert Rules(Tables("*filter\n:KUBE-PROXY-FIREWALL - [0:0]\n"), IPV4).is_layout_ext()


def test_colons() -> None:
    for name, expected in (("a/b:", True), ("a/b:c", False), ("a/b", False)):
        text = f'*nat\n-A KUBE-SERVICES -p tcp -m comment --comment "{name} cluster IP" -j X\n'
        assert Rules(Tables(text), IPV4).trailing_colon is expected


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("--set-xmark 0x4000/0x4000", {}),
        ("--set-xmark 0x8/0x8", {"masquerade_bit": 3}),
        ("--or-mark 0x10000", {"masquerade_bit": 16}),
    ],
)
def test_the_bit_of_masquerading(target: str, found: dict[str, int]) -> None:
    rules = Rules(Tables(f"*nat\n-A KUBE-MARK-MASQ -j MARK {target}\n"), IPV4)
    assert rules.has("nat", "KUBE-MARK-MASQ")
    assert masquerade_bit(rules) == found
