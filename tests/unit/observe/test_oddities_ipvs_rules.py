"""Rules around IPVS that are gone, in the wrong order, or that ask for something else."""

from __future__ import annotations

import pytest
from planted import moved, odd, recorded, replaced, said, spoilt

OLD, NEW = "1.20", "1.36"
LB, EXTERNAL, LOCAL, RANGES = (
    "16-loadbalancer",
    "24-externalips",
    "20-loadbalancer-local",
    "18-loadbalancer-sourceranges",
)
GONE = [
    (version, case, pattern, hurts)
    for version in (OLD, NEW)
    for case, pattern, hurts in (
        (LB, r"-A KUBE-SERVICES .*KUBE-LOAD-BALANCER dst,dst -j KUBE-LOAD-BALANCER", True),
        (LB, r"-A KUBE-SERVICES .*KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ", True),
        (LB, r"-A KUBE-SERVICES .*KUBE-CLUSTER-IP dst,dst -j ACCEPT", False),
        (LB, r"-A KUBE-SERVICES .*KUBE-LOAD-BALANCER dst,dst -j ACCEPT", False),
        (LB, r"-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ", True),
        (LB, r"-A KUBE-NODE-PORT .*-j KUBE-MARK-MASQ", True),
        (EXTERNAL, r"-A KUBE-SERVICES .*KUBE-EXTERNAL-IP dst,dst -j KUBE-MARK-MASQ", True),
        (EXTERNAL, r"-A KUBE-SERVICES .*KUBE-EXTERNAL-IP .*src-type LOCAL -j ACCEPT", False),
        (EXTERNAL, r"-A KUBE-SERVICES .*KUBE-EXTERNAL-IP .*dst-type LOCAL -j ACCEPT", False),
        (LOCAL, r"-A KUBE-NODE-PORT .*LOCAL-TCP dst -j RETURN", False),
        (LOCAL, r"-A KUBE-LOAD-BALANCER .*-j RETURN", False),
    )
] + [
    (OLD, RANGES, r"-A KUBE-FIREWALL -j KUBE-MARK-DROP", True),
    (NEW, RANGES, r"-A KUBE-SOURCE-RANGES-FIREWALL -j DROP", True),
    (NEW, LB, r"-A KUBE-IPVS-FILTER .*KUBE-CLUSTER-IP dst,dst -j RETURN", True),
    (NEW, LB, r"-A KUBE-IPVS-FILTER .*KUBE-LOAD-BALANCER dst,dst -j RETURN", True),
    (NEW, LB, r"-A KUBE-IPVS-FILTER .*KUBE-EXTERNAL-IP dst,dst -j RETURN", False),
    (NEW, LB, r"-A KUBE-IPVS-FILTER .*-j REJECT", True),
    (NEW, LB, r"-A KUBE-NODE-PORT .*HEALTH-CHECK", False),
]


def _planted(version: str, case: str, pattern: str, new: str = "") -> dict[str, str]:
    held = recorded(case, "ipvs", version)
    return {**held, ".rules": spoilt(held[".rules"], pattern, new)}


@pytest.mark.parametrize(("version", "case", "pattern", "hurts"), GONE)
def test_rule_that_is_gone(version: str, case: str, pattern: str, hurts: bool) -> None:
    found = odd(*_planted(version, case, pattern).values())
    chain = pattern.split(" ")[1]
    (own,) = [each for each in found if each.what.startswith(f"{chain} has no rule ")]
    assert own.hurts == hurts


def test_rule_for_sets_that_were_not_dumped_is_not_missed() -> None:
    held = recorded(LB, "ipvs")
    assert not odd(spoilt(held[".rules"], "KUBE-LOAD-BALANCER dst,dst -j KUBE-LOAD-BALANCER", ""))


LATE = [
    (OLD, LB, r"-A KUBE-SERVICES .*CLUSTER-IP.*MASQ", "-A KUBE-SERVICES", "rules of KUBE-SERVICES in the wrong order"),
    (OLD, RANGES, r"-A KUBE-FIREWALL .*RETURN", "-A KUBE-FIREWALL", "rules of KUBE-FIREWALL in the wrong order"),
    (NEW, RANGES, r"-A KUBE-SOURCE-RANGES.*RETURN", "-A KUBE-SOURCE-RANGES", "rules of KUBE-SOURCE-RANGES-FIREWALL in"),
    (NEW, LB, r"-A KUBE-IPVS-FILTER .*RETURN", "-A KUBE-IPVS-FILTER", "rules of KUBE-IPVS-FILTER in the wrong order"),
    (
        NEW,
        LOCAL,
        r"-A KUBE-POSTROUTING .*LOOP-BACK",
        "-A KUBE-POSTROUTING",
        "rules of KUBE-POSTROUTING in the wrong order",
    ),
]


@pytest.mark.parametrize(("version", "case", "pattern", "behind", "what"), LATE)
def test_rule_that_comes_too_late(version: str, case: str, pattern: str, behind: str, what: str) -> None:
    held = recorded(case, "ipvs", version)
    found = odd(*{**held, ".rules": moved(held[".rules"], pattern, behind)}.values())
    assert any(each.hurts and each.what.startswith(what) for each in found), found


@pytest.mark.parametrize(
    ("chain", "behind"),
    [(r"KUBE-NODE-PORT .*RETURN", "-A KUBE-NODE-PORT"), (r"KUBE-LOAD-BALANCER .*RETURN", "-A KUBE-LOAD-BAL")],
)
def test_policy_local_that_comes_too_late(chain: str, behind: str) -> None:
    held = recorded(LOCAL, "ipvs", OLD)
    found = said(*{**held, ".rules": moved(held[".rules"], f"-A {chain}", behind)}.values())
    assert f"- rules of {chain.partition(' ')[0]} in the wrong order" in found


def test_wrong_end_of_packets() -> None:
    dumps = _planted(NEW, LB, r"(KUBE-LOAD-BALANCER) dst,dst -j KUBE-LOAD", r"\1 src,dst -j KUBE-LOAD")
    assert "! IP set asked for the wrong end of packets" in said(*dumps.values())


def test_set_that_is_not_there() -> None:
    held = recorded("12-nodeport", "ipvs")
    sets = spoilt(held[".ipset"], "create KUBE-EXTERNAL-IP ", "")
    assert "! IP set that is not there: iptables: KUBE-EXTERNAL-IP (KUBE-IPVS-FILTER" in said(
        *{**held, ".ipset": sets}.values()
    )


def test_loopback_that_is_masqueraded() -> None:
    dumps = _planted(NEW, LB, r"-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN")
    assert "- KUBE-SERVICES does not leave loopback alone" in said(*dumps.values())


@pytest.mark.parametrize("rule", ["-d 10.96.0.0/12 -j ACCEPT", "-p tcp -m tcp --dport 80 -j RETURN"])
def test_rule_of_somebody_else_in_our_chain(rule: str) -> None:
    held = recorded(LB, "ipvs")
    rules = replaced(held[".rules"], "*nat\n", f"*nat\n-A KUBE-SERVICES {rule}\n")
    assert "! a rule in KUBE-SERVICES that is of no Service" in said(*{**held, ".rules": rules}.values())
