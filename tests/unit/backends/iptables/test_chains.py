"""The chains that both layouts have: source ranges, masquerading, affinity, comments."""

from __future__ import annotations

from typing import Any

import pytest
from iptables_rules import BOTH, CIDR, HERE, LB, LOCAL, NEW, OLD, ONLY_THERE, THERE, shortened, web
from support import endpoint, endpoint_slice, rules, service

from sluice import names


def test_range_of_all_addresses_has_no_source_match_in_1_20() -> None:
    """The kernel does not keep ``-s 0.0.0.0/0``, so the plan would never come to rest with it."""
    found = web({**LB, "loadBalancerSourceRanges": ["0.0.0.0/0"]}, BOTH, **OLD)
    assert '"shop/web loadbalancer IP" -j KUBE-SVC' in found["nat"]["KUBE-FW"]
    assert '-s 192.0.2.1/32 "shop/web loadbalancer IP" -j KUBE-SVC' in found["nat"]["KUBE-FW"]
    assert not any("0.0.0.0/0" in rule for rule in found["nat"]["KUBE-FW"])


def test_masquerade_all() -> None:
    found = web({}, BOTH, masquerade_all=True, **CIDR)
    assert found["nat"]["KUBE-SVC"][0] == (
        '-d 10.96.0.1/32 -p tcp "shop/web cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ'
    )


AFFINITY: dict[str, Any] = {
    "sessionAffinity": "ClientIP",
    "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 600}},
}


def seen(address: str) -> str:
    sep = names.chain_name("KUBE-SEP-", "shop/web", "tcp", f"{address}:8080")
    return f"-m recent --rcheck --seconds 600 --reap --name {sep} --mask 255.255.255.255 --rsource"


def test_affinity_and_local_since_1_24() -> None:
    found = rules(service(**LB, **LOCAL, **AFFINITY), BOTH)["nat"]
    svl, svc = (names.chain_name(f"KUBE-{kind}-", "shop/web", "tcp") for kind in ("SVL", "SVC"))
    sep = names.chain_name("KUBE-SEP-", "shop/web", "tcp", f"{HERE}:8080")
    comment = f'-m comment --comment "shop/web -> {HERE}:8080"'
    assert found[svl] == [f"{comment} {seen(HERE)} -j {sep}", f"{comment} -j {sep}"]
    assert [seen(HERE) in found[svc][0], seen(THERE) in found[svc][1]] == [True, True]
    assert found[sep][1] == (
        '-p tcp -m comment --comment "shop/web" '
        f"-m recent --set --name {sep} --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination {HERE}:8080"
    )


def test_affinity_and_local_until_1_23() -> None:
    found = rules(service(**LB, **LOCAL, **AFFINITY), BOTH, **OLD)["nat"]
    xlb = names.chain_name("KUBE-XLB-", "shop/web", "tcp")
    sep = names.chain_name("KUBE-SEP-", "shop/web", "tcp", f"{HERE}:8080")
    assert found[xlb][-2:] == [
        f'-m comment --comment "shop/web" {seen(HERE)} -j {sep}',
        f'-m comment --comment "Balancing rule 0 for shop/web" -j {sep}',
    ]


def test_affinity_lasts_three_hours_by_default() -> None:
    found = rules(service(sessionAffinity="ClientIP"), ONLY_THERE)["nat"]
    assert any("--seconds 10800 " in rule for rule in found[names.chain_name("KUBE-SVC-", "shop/web", "tcp")])


def crowd(ready: int, unready: int) -> dict[str, Any]:
    return endpoint_slice(
        *(endpoint(f"10.244.{n // 250}.{n % 250 + 1}", ready=n < ready) for n in range(ready + unready))
    )


@pytest.mark.parametrize(
    ("dialect", "ready", "unready", "commented"),
    [(NEW, 1000, 0, True), (NEW, 1001, 0, False), (NEW, 1000, 1, False), (OLD, 1000, 1, True), (OLD, 1001, 0, False)],
)
def test_comments_go_above_a_thousand_endpoints(
    dialect: dict[str, str], ready: int, unready: int, commented: bool
) -> None:
    found = shortened(rules(service(), crowd(ready, unready), **CIDR, **dialect))["nat"]
    balancing = [rule for rule in found["KUBE-SVC"] if "KUBE-SEP-" in rule]
    assert len(balancing) == ready
    assert all(('"shop/web' in rule) == commented for rule in balancing)
    endpoints = [rule for chain, lines in found.items() if chain.startswith("KUBE-SEP-") for rule in lines]
    assert len(endpoints) == 2 * ready
    assert all(('"shop/web"' in rule) == commented for rule in endpoints)
    shared = [rule for chain in ("KUBE-SERVICES", "KUBE-SVC") for rule in found[chain] if "cluster IP" in rule]
    assert len(shared) == 2, "these keep their comment"


def test_comments_by_setting() -> None:
    assert '"shop/web' not in web({}, BOTH, endpoint_comments="never")["nat"]["KUBE-SVC"][0]
    found = shortened(rules(service(), crowd(1001, 0), endpoint_comments="always"))
    assert '"shop/web -> ' in found["nat"]["KUBE-SVC"][0]
