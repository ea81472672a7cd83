"""Which chain leads to which."""

from __future__ import annotations

from sluice.observe.iptables_chains import Jumps
from sluice.observe.iptables_rules import Tables

JUMPS = Jumps(
    Tables(
        "*nat\n-A PREROUTING -j MINE\n-A PREROUTING -g OTHER\n"
        '-A MINE -m comment --comment "not -j THERE" -j KUBE-SERVICES\n'
        "-A KUBE-SERVICES -j KUBE-SVC-A\n-A OTHER -j PREROUTING\n-A OTHER -p tcp\n"
    )
)


def test_targets_stand_where_rules_do() -> None:
    assert JUMPS.of("nat", "PREROUTING") == ["MINE", "OTHER"]
    assert JUMPS.of("nat", "OTHER") == ["PREROUTING", ""]
    assert JUMPS.of("filter", "INPUT") == []


def test_others_chains_lead_to_ours() -> None:
    assert JUMPS.reaches("nat", "PREROUTING", "KUBE-SERVICES")
    assert not JUMPS.reaches("nat", "PREROUTING", "KUBE-SVC-A"), "what ours lead to is another question"
    assert not JUMPS.reaches("nat", "OUTPUT", "KUBE-SERVICES")


def test_chains_that_are_jumped_to() -> None:
    assert {"MINE", "OTHER", "KUBE-SVC-A"} <= JUMPS.jumped_to("nat")
