"""Chains of a service port up to 1.23, where no kube-proxy was recorded."""

from __future__ import annotations

from iptables_rules import BOTH, HERE, LB, LOCAL, NEW, OLD, ONLY_THERE, RANGES, chains_of_services, of_web, web


def test_two_vips_and_ranges_with_the_node_until_1_23() -> None:
    found = web({**LB, **RANGES, "ingress": ["192.0.2.1", "192.0.2.2"]}, BOTH, **OLD)
    comment = '"shop/web loadbalancer IP"'
    assert found["nat"]["KUBE-FW"] == [
        line
        for n in (1, 2)
        for line in (
            f"{comment} -j KUBE-MARK-MASQ",
            f"-s 203.0.113.0/24 {comment} -j KUBE-SVC",
            f"-s 10.0.0.0/24 {comment} -j KUBE-SVC",
            f"-s 192.0.2.{n}/32 {comment} -j KUBE-SVC",
            f"{comment} -j KUBE-MARK-DROP",
        )
    ]


def test_policy_local_keeps_its_chain_without_endpoints_until_1_23() -> None:
    assert chains_of_services(web({**LB, **LOCAL}, **OLD)) == {"KUBE-XLB"}
    assert web({**LB, **LOCAL}, **OLD)["nat"]["KUBE-XLB"] == []
    assert not chains_of_services(web({**LB, **LOCAL}, **NEW))


def test_local_without_local_endpoints_until_1_23() -> None:
    found = web({**LB, **LOCAL}, ONLY_THERE, **OLD)
    assert found["nat"]["KUBE-XLB"] == [
        '"masquerade LOCAL traffic for shop/web LB IP" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ',
        '"route LOCAL traffic for shop/web LB IP to service chain" -m addrtype --src-type LOCAL -j KUBE-SVC',
        '"shop/web has no local endpoints" -j KUBE-MARK-DROP',
    ]
    assert not of_web(found, "filter", "KUBE-EXTERNAL-SERVICES")


def test_local_of_a_load_balancer_that_nothing_leads_to_yet_until_1_23() -> None:
    """The local chain is made for the policy alone, also where there is neither a node port nor an address."""
    found = web({"type": "LoadBalancer", **LOCAL}, BOTH, **OLD)
    assert found["nat"]["KUBE-XLB"][-1] == f'"Balancing rule 0 for shop/web" -j KUBE-SEP-{HERE}:8080'


def test_internal_local_is_not_known_until_1_23() -> None:
    found = web({"internalTrafficPolicy": "Local"}, ONLY_THERE, **OLD)
    assert of_web(found, "nat", "KUBE-SERVICES")[-1].endswith("-j KUBE-SVC")
