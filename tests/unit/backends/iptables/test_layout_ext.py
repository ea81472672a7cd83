"""Chains of a service port since 1.24, where no kube-proxy was recorded."""

from __future__ import annotations

from iptables_rules import (
    BOTH,
    CIDR,
    HERE,
    LB,
    LOCAL,
    NODE_PORT,
    OLD,
    ONLY_THERE,
    RANGES,
    REJECT,
    THERE,
    chains_of_services,
    of_web,
    web,
)


def test_two_vips_and_ranges_with_the_node_since_1_24() -> None:
    found = web({**LB, **RANGES, "ingress": ["192.0.2.1", "192.0.2.2"]}, BOTH, **CIDR)
    assert found["nat"]["KUBE-FW"] == [
        '-s 203.0.113.0/24 "shop/web loadbalancer IP" -j KUBE-EXT',
        '-s 10.0.0.0/24 "shop/web loadbalancer IP" -j KUBE-EXT',
        '-s 192.0.2.1/32 "shop/web loadbalancer IP" -j KUBE-EXT',
        '-s 192.0.2.2/32 "shop/web loadbalancer IP" -j KUBE-EXT',
        '"other traffic to shop/web will be dropped by KUBE-PROXY-FIREWALL"',
    ]
    assert found["filter"]["KUBE-PROXY-FIREWALL"] == [
        f'-d 192.0.2.{n}/32 -p tcp "shop/web traffic not accepted by KUBE-FW" -m tcp --dport 80 -j DROP' for n in (1, 2)
    ]
    assert [rule for rule in of_web(found, "nat", "KUBE-SERVICES") if "loadbalancer" in rule] == [
        f'-d 192.0.2.{n}/32 -p tcp "shop/web loadbalancer IP" -m tcp --dport 80 -j KUBE-FW' for n in (1, 2)
    ]


def test_local_without_local_endpoints_since_1_24() -> None:
    found = web({**LB, **LOCAL, "ports": NODE_PORT}, ONLY_THERE, **CIDR)
    why = '"shop/web has no local endpoints"'
    assert sorted(of_web(found, "filter", "KUBE-EXTERNAL-SERVICES")) == [
        f"-d 192.0.2.1/32 -p tcp {why} -m tcp --dport 80 -j DROP",
        f"-p tcp {why} -m addrtype --dst-type LOCAL -m tcp --dport 30080 -j DROP",
    ]
    assert found["nat"]["KUBE-EXT"] == [
        '-s 10.244.0.0/16 "pod traffic for shop/web external destinations" -j KUBE-SVC',
        '"masquerade LOCAL traffic for shop/web external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ',
        '"route LOCAL traffic for shop/web external destinations" -m addrtype --src-type LOCAL -j KUBE-SVC',
    ]
    assert "KUBE-SVL" not in found["nat"]
    assert of_web(found, "nat", "KUBE-NODEPORTS") == ['-p tcp "shop/web" -m tcp --dport 30080 -j KUBE-EXT']


def test_internal_local_without_local_endpoints() -> None:
    found = web({"internalTrafficPolicy": "Local"}, ONLY_THERE)
    assert of_web(found, "filter", "KUBE-SERVICES") == [
        '-d 10.96.0.1/32 -p tcp "shop/web has no local endpoints" -m tcp --dport 80 -j DROP'
    ]
    assert not of_web(found, "nat", "KUBE-SERVICES")
    assert not chains_of_services(found)


def test_internal_local_without_any_endpoints() -> None:
    (rule,) = of_web(web({"internalTrafficPolicy": "Local"}), "filter", "KUBE-SERVICES")
    assert rule.endswith(REJECT)
    assert "has no endpoints" in rule


def test_internal_local_with_node_port_and_no_local_endpoints() -> None:
    spec = {"type": "NodePort", "internalTrafficPolicy": "Local", "ports": NODE_PORT}
    found = web(spec, ONLY_THERE, **CIDR)
    assert chains_of_services(found) == {"KUBE-EXT", "KUBE-SVC", f"KUBE-SEP-{THERE}:8080"}
    assert found["nat"]["KUBE-EXT"][-1] == "-j KUBE-SVC"
    # Masquerading belongs to the internal chain, and there is none.
    assert found["nat"]["KUBE-SVC"] == [f'"shop/web -> {THERE}:8080" -j KUBE-SEP-{THERE}:8080']


def test_internal_local_masquerades_in_its_own_chain() -> None:
    found = web({"internalTrafficPolicy": "Local"}, BOTH, **CIDR)
    assert found["nat"]["KUBE-SVL"][0] == (
        '! -s 10.244.0.0/16 -d 10.96.0.1/32 -p tcp "shop/web cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ'
    )
    assert chains_of_services(found) == {"KUBE-SVL", f"KUBE-SEP-{HERE}:8080"}


def test_health_check_node_port() -> None:
    spec = {**LB, **LOCAL, "healthCheckNodePort": 32000}
    for slices in ([], [ONLY_THERE], [BOTH]):
        found = web(spec, *slices)
        assert found["filter"]["KUBE-NODEPORTS"] == [
            '-p tcp "shop/web health check node port" -m tcp --dport 32000 -j ACCEPT'
        ]
        assert "KUBE-NODEPORTS" not in web(spec, *slices, **OLD)["filter"]
