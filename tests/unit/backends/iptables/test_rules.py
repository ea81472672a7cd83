"""Cases that no kube-proxy was recorded for: what its documentation and its behaviour ask of the rule set.

Rules are shortened to be read: a comment is its text in quotes, a chain's name has the endpoint instead of its hash.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from support import endpoint, endpoint_slice, rules, service

from sluice import names
from sluice.addresses import IPV6
from sluice.backends.iptables.text import RuleSet

CIDR = {"cluster_cidrs": ["10.244.0.0/16"]}
OLD, NEW = {"compat": "1.20"}, {"compat": "1.36"}
LB: dict[str, Any] = {"type": "LoadBalancer", "ingress": ["192.0.2.1"]}
LOCAL: dict[str, Any] = {"externalTrafficPolicy": "Local"}
NODE_PORT = [{"port": 80, "targetPort": 8080, "nodePort": 30080}]
HERE, THERE = "10.244.1.1", "10.244.2.1"
BOTH = endpoint_slice(endpoint(HERE, "node1"), endpoint(THERE, "node2"))
ONLY_THERE = endpoint_slice(endpoint(THERE, "node2"))
PREFIXES = ("SVC", "SVL", "EXT", "FW", "XLB")
LAST = '"kubernetes service nodeports; NOTE: this must be the last rule in this chain"'
ALL_LOCAL = "-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"
REJECT = "-j REJECT --reject-with icmp-port-unreachable"


def shortened(found: RuleSet, port: str = "shop/web", protocol: str = "tcp", ends: tuple[str, ...] = ()) -> RuleSet:
    """``found`` with names and comments that can be read."""
    known = {names.chain_name(f"KUBE-{prefix}-", port, protocol): f"KUBE-{prefix}" for prefix in PREFIXES}
    for end in ends or (f"{HERE}:8080", f"{THERE}:8080"):
        known[names.chain_name("KUBE-SEP-", port, protocol, end)] = f"KUBE-SEP-{end}"

    def short(text: str) -> str:
        text = re.sub(r"KUBE-[A-Z]+-[A-Z2-7]{16}", lambda match: known.get(match[0], match[0]), text)
        return re.sub(r"-m comment --comment (\"[^\"]*\")", r"\1", text)

    return {
        table: {short(chain): [short(rule) for rule in lines] for chain, lines in chains.items()}
        for table, chains in found.items()
    }


def web(spec: dict[str, Any], *slices: dict[str, Any], **variables: Any) -> RuleSet:
    """The rules of one Service and its slices."""
    return shortened(rules(service(**spec), *slices, **variables))


def of_web(found: RuleSet, table: str, chain: str) -> list[str]:
    """The rules of one Service in a chain that all share."""
    return [rule for rule in found[table].get(chain, []) if '"shop/web' in rule]


def chains_of_services(found: RuleSet) -> set[str]:
    return {chain for chain in found["nat"] if re.match(r"KUBE-(SVC|SVL|EXT|FW|XLB|SEP)", chain)}


# --- load balancers and their source ranges


RANGES: dict[str, Any] = {"loadBalancerSourceRanges": ["203.0.113.0/24", "10.0.0.0/24"]}


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


def test_range_of_all_addresses_has_no_source_match_in_1_20() -> None:
    """The kernel does not keep ``-s 0.0.0.0/0``, so the plan would never come to rest with it."""
    found = web({**LB, "loadBalancerSourceRanges": ["0.0.0.0/0"]}, BOTH, **OLD)
    assert '"shop/web loadbalancer IP" -j KUBE-SVC' in found["nat"]["KUBE-FW"]
    assert '-s 192.0.2.1/32 "shop/web loadbalancer IP" -j KUBE-SVC' in found["nat"]["KUBE-FW"]
    assert not any("0.0.0.0/0" in rule for rule in found["nat"]["KUBE-FW"])


def test_range_of_all_addresses_is_no_restriction_in_1_36() -> None:
    """kubernetes#132722; one of the other family says nothing about this one."""
    plain = web(LB, BOTH)
    assert web({**LB, "loadBalancerSourceRanges": ["203.0.113.0/24", "0.0.0.0/0"]}, BOTH) == plain
    assert "KUBE-FW" in web({**LB, "loadBalancerSourceRanges": ["203.0.113.0/24", "::/0"]}, BOTH)["nat"]


def test_ranges_of_another_family_are_none() -> None:
    found = web({**LB, "loadBalancerSourceRanges": ["fd00::/8"]}, BOTH)
    assert "KUBE-FW" not in found["nat"]


def test_load_balancer_without_any_endpoints() -> None:
    for dialect in (OLD, NEW):
        found = web({**LB, **RANGES, "ports": NODE_PORT}, **dialect)
        why = '"shop/web has no endpoints"'
        assert of_web(found, "filter", "KUBE-SERVICES") == [f"-d 10.96.0.1/32 -p tcp {why} -m tcp --dport 80 {REJECT}"]
        assert sorted(of_web(found, "filter", "KUBE-EXTERNAL-SERVICES")) == [
            f"-d 192.0.2.1/32 -p tcp {why} -m tcp --dport 80 {REJECT}",
            f"-p tcp {why} -m addrtype --dst-type LOCAL -m tcp --dport 30080 {REJECT}",
        ]
        assert not of_web(found, "nat", "KUBE-SERVICES")
        assert not of_web(found, "nat", "KUBE-NODEPORTS")
        assert not chains_of_services(found)
        assert not found["filter"].get("KUBE-PROXY-FIREWALL")


def test_policy_local_keeps_its_chain_without_endpoints_until_1_23() -> None:
    assert chains_of_services(web({**LB, **LOCAL}, **OLD)) == {"KUBE-XLB"}
    assert web({**LB, **LOCAL}, **OLD)["nat"]["KUBE-XLB"] == []
    assert not chains_of_services(web({**LB, **LOCAL}, **NEW))


# --- externalTrafficPolicy Local


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


def test_policy_local_of_external_ips_of_a_cluster_ip_service() -> None:
    """Since 1.24 the policy counts for external IPs of any Service, before that for two types only."""
    spec = {"externalIPs": ["192.0.2.7"], **LOCAL}
    old, new = web(spec, BOTH, **OLD), web(spec, BOTH, **NEW)
    to_ip = '-d 192.0.2.7/32 -p tcp "shop/web external IP" -m tcp --dport 80'
    assert of_web(old, "nat", "KUBE-SERVICES")[1:] == [
        f"{to_ip} -j KUBE-MARK-MASQ",
        f"{to_ip} -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j KUBE-SVC",
        f"{to_ip} -m addrtype --dst-type LOCAL -j KUBE-SVC",
    ]
    assert "KUBE-XLB" not in old["nat"]
    assert of_web(new, "nat", "KUBE-SERVICES")[1:] == [f"{to_ip} -j KUBE-EXT"]
    assert new["nat"]["KUBE-EXT"][-1] == "-j KUBE-SVL"
    assert new["nat"]["KUBE-SVL"] == [f'"shop/web -> {HERE}:8080" -j KUBE-SEP-{HERE}:8080']


def test_external_ips_without_endpoints() -> None:
    for dialect in (OLD, NEW):
        found = web({"externalIPs": ["192.0.2.7"]}, **dialect)
        assert of_web(found, "filter", "KUBE-EXTERNAL-SERVICES") == [
            f'-d 192.0.2.7/32 -p tcp "shop/web has no endpoints" -m tcp --dport 80 {REJECT}'
        ]


# --- internalTrafficPolicy Local


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


def test_internal_local_is_not_known_until_1_23() -> None:
    found = web({"internalTrafficPolicy": "Local"}, ONLY_THERE, **OLD)
    assert of_web(found, "nat", "KUBE-SERVICES")[-1].endswith("-j KUBE-SVC")


# --- which endpoints


DYING = {"ready": False, "serving": True, "terminating": True}
DEAD = {"ready": False, "serving": False, "terminating": True}


def balanced(found: RuleSet, chain: str = "KUBE-SVC") -> list[str]:
    """The endpoints that a chain leads to."""
    return [rule.rpartition("KUBE-SEP-")[2] for rule in found["nat"].get(chain, []) if "KUBE-SEP-" in rule]


def test_all_terminating_serve_until_they_are_gone() -> None:
    slices = endpoint_slice(endpoint(HERE, "node1", **DYING), endpoint(THERE, "node2", **DEAD))
    assert balanced(web({}, slices)) == [f"{HERE}:8080"]
    assert not chains_of_services(web({}, slices, **OLD))


def test_a_ready_endpoint_anywhere_ends_the_fallback() -> None:
    slices = endpoint_slice(endpoint(HERE, "node1", **DYING), endpoint(THERE, "node2"))
    assert balanced(web({}, slices)) == [f"{THERE}:8080"]


def test_policy_local_falls_back_on_its_own() -> None:
    slices = endpoint_slice(endpoint(HERE, "node1", **DYING), endpoint(THERE, "node2"))
    found = web({**LB, **LOCAL}, slices)
    assert balanced(found, "KUBE-SVC") == [f"{THERE}:8080"]
    assert balanced(found, "KUBE-SVL") == [f"{HERE}:8080"]
    assert {f"KUBE-SEP-{HERE}:8080", f"KUBE-SEP-{THERE}:8080"} <= chains_of_services(found)


def test_not_ready_and_not_terminating_is_never_used() -> None:
    assert not chains_of_services(web({}, endpoint_slice(endpoint(HERE, "node1", ready=False, serving=True))))


ZONE = {"labels": {"topology.kubernetes.io/zone": "a"}}
HINTS = {
    "all hinted to zones": ([{"zones": ["a"]}, {"zones": ["b"]}], [HERE]),
    "one without a hint": ([{"zones": ["a"]}, {}], [HERE, THERE]),
    "no hint for our zone": ([{"zones": ["b"]}, {"zones": ["c"]}], [HERE, THERE]),
    "same node": ([{"nodes": ["node2"]}, {"nodes": ["node1"]}], [THERE]),
    "same node before zone": (
        [{"zones": ["a"], "nodes": ["node2"]}, {"zones": ["b"], "nodes": ["node1"]}],
        [THERE],
    ),
    "node hints incomplete, zones complete": ([{"zones": ["a"]}, {"zones": ["b"], "nodes": ["node1"]}], [HERE]),
    "no node hint for us, zone hint": (
        [{"zones": ["a"], "nodes": ["node7"]}, {"zones": ["b"], "nodes": ["node8"]}],
        [HERE],
    ),
    "unready ones need no hints": ([{"zones": ["a"]}, {"ready": False}], [HERE]),
    "terminating ones are not narrowed": (
        [{"zones": ["a"], **DYING}, {"zones": ["b"], **DYING}],
        [HERE, THERE],
    ),
}


@pytest.mark.parametrize("name", HINTS)
def test_hints(name: str) -> None:
    conditions, used = HINTS[name]
    slices = endpoint_slice(endpoint(HERE, "node1", **conditions[0]), endpoint(THERE, "node2", **conditions[1]))
    assert balanced(web({}, slices, **ZONE)) == [f"{address}:8080" for address in used]


def test_hints_do_not_narrow_policy_local() -> None:
    slices = endpoint_slice(endpoint(HERE, "node1", zones=["b"]), endpoint(THERE, "node2", zones=["a"]))
    found = web({**LB, **LOCAL}, slices, **ZONE)
    assert (balanced(found, "KUBE-SVC"), balanced(found, "KUBE-SVL")) == ([f"{THERE}:8080"], [f"{HERE}:8080"])


def test_hints_are_not_known_until_1_23() -> None:
    slices = endpoint_slice(endpoint(HERE, "node1", zones=["a"]), endpoint(THERE, "node2", zones=["b"]))
    assert len(balanced(web({}, slices, **ZONE, **OLD))) == 2


def test_endpoint_in_two_slices_counts_once() -> None:
    slices = [endpoint_slice(HERE, THERE, name="one"), endpoint_slice(endpoint(HERE, "node1"), name="two")]
    assert balanced(web({}, *slices)) == [f"{HERE}:8080", f"{THERE}:8080"]
    assert balanced(web({**LB, **LOCAL}, *slices), "KUBE-SVL") == [f"{HERE}:8080"], "the local one of the two counts"


def test_publish_not_ready_addresses_of_endpoints() -> None:
    legacy = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "shop"},
        "subsets": [{"notReadyAddresses": [{"ip": HERE, "nodeName": "node1"}], "ports": [{"port": 8080}]}],
    }
    assert balanced(web({"publishNotReadyAddresses": True}, legacy)) == [f"{HERE}:8080"]
    assert balanced(web({}, legacy)) == []


# --- the large cluster


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


# --- families, ports and protocols


def test_ipv6_only() -> None:
    pods = endpoint_slice(endpoint("fd00:244::1", "node1"), endpoint("fd00:244::2"), family=IPV6)
    objects = [service(ip="fd00:96::1", **LB | {"ingress": ["2001:db8::1"]}, **LOCAL, ports=NODE_PORT), pods]
    ends = ("[fd00:244::1]:8080", "[fd00:244::2]:8080")
    variables = {"family": IPV6, "ip_families": [IPV6], "cluster_cidrs": ["10.244.0.0/16", "fd00:244::/64"]}
    found = shortened(rules(*objects, **variables), ends=ends)["nat"]
    assert found["KUBE-SERVICES"] == [
        '-d fd00:96::1/128 -p tcp "shop/web cluster IP" -m tcp --dport 80 -j KUBE-SVC',
        '-d 2001:db8::1/128 -p tcp "shop/web loadbalancer IP" -m tcp --dport 80 -j KUBE-EXT',
        f"! -d ::1/128 {LAST} {ALL_LOCAL}",
    ]
    assert found["KUBE-SEP-[fd00:244::1]:8080"] == [
        '-s fd00:244::1/128 "shop/web" -j KUBE-MARK-MASQ',
        '-p tcp "shop/web" -m tcp -j DNAT --to-destination [fd00:244::1]:8080',
    ]
    assert found["KUBE-SVC"][0].startswith("! -s fd00:244::/64 -d fd00:96::1/128")
    old = shortened(rules(*objects, **variables, **OLD), ends=ends)["nat"]
    assert old["KUBE-NODEPORTS"][0] == '-s ::1/128 -p tcp "shop/web" -m tcp --dport 30080 -j KUBE-MARK-MASQ'
    nobody = rules(objects[0], **variables)["filter"]["KUBE-SERVICES"]
    assert nobody[0].endswith("-j REJECT --reject-with icmp6-port-unreachable")
    assert not rules(*objects)["nat"]["KUBE-NODEPORTS"], "nothing of it in the other family"


@pytest.mark.parametrize("protocol", ["TCP", "UDP", "SCTP"])
def test_protocols(protocol: str) -> None:
    ports = [{"port": 53, "protocol": protocol, "targetPort": 5353}]
    pods = endpoint_slice(HERE, ports=[{"name": "", "port": 5353, "protocol": protocol}])
    low = protocol.lower()
    found = shortened(rules(service(ports=ports), pods), protocol=low, ends=(f"{HERE}:5353",))["nat"]
    assert found["KUBE-SERVICES"][0] == (
        f'-d 10.96.0.1/32 -p {low} "shop/web cluster IP" -m {low} --dport 53 -j KUBE-SVC'
    )
    assert found[f"KUBE-SEP-{HERE}:5353"][1] == f'-p {low} "shop/web" -m {low} -j DNAT --to-destination {HERE}:5353'


def test_several_ports_and_slices() -> None:
    ports = [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    one = endpoint_slice(HERE, name="one", ports=[{"name": "http", "port": 8080}])
    two = endpoint_slice(
        THERE, name="two", ports=[{"name": "http", "port": 9090}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    )
    found = rules(service(ports=ports), one, two)
    ends = (f"{HERE}:8080", f"{THERE}:9090", f"{THERE}:53")
    assert balanced(shortened(found, "shop/web:http", "tcp", ends)) == [f"{HERE}:8080", f"{THERE}:9090"]
    assert balanced(shortened(found, "shop/web:dns", "udp", ends)) == [f"{THERE}:53"]


def test_trailing_colon_until_1_18() -> None:
    found = rules(service(ports=[{"port": 80}, {"name": "b", "port": 81}]), compat="1.18")["filter"]["KUBE-SERVICES"]
    assert ['"shop/web: has no' in found[0], '"shop/web:b has no' in found[1]] == [True, True]


# --- the node


def tail(**variables: Any) -> list[str]:
    """How KUBE-SERVICES leads to the node ports."""
    return [rule.replace(f"{LAST} ", "") for rule in shortened(rules(**variables))["nat"]["KUBE-SERVICES"]]


def test_node_port_addresses() -> None:
    several = ["10.0.0.10", "192.168.50.10", "127.0.0.1"]
    assert tail(nodeport_addresses=["primary"]) == ["-d 10.0.0.10/32 -j KUBE-NODEPORTS"]
    assert tail(nodeport_addresses=["primary"], node_addresses=several, node_ips=["192.168.50.10"]) == [
        "-d 192.168.50.10/32 -j KUBE-NODEPORTS"
    ]
    assert tail(nodeport_addresses=["127.0.0.0/8"]) == ["-d 127.0.0.1/32 -j KUBE-NODEPORTS"]
    assert tail(nodeport_addresses=["127.0.0.0/8"], localhost_nodeports=False) == []
    assert tail(nodeport_addresses=["fd00::/16"]) == [ALL_LOCAL], "no network of this family means all addresses"
    assert tail(localhost_nodeports=False) == [f"! -d 127.0.0.0/8 {ALL_LOCAL}"]
    assert tail(localhost_nodeports=False, **OLD) == [ALL_LOCAL]
    assert tail(family=IPV6, **OLD) == [ALL_LOCAL]


def test_service_of_another_proxy_programs_nothing() -> None:
    labelled = service(labels={"service.kubernetes.io/service-proxy-name": "other"}, **LB)
    pods = endpoint_slice(HERE)
    pods["metadata"]["labels"]["service.kubernetes.io/service-proxy-name"] = "other"
    assert rules(labelled, pods) == rules()


@pytest.mark.parametrize("spec", [{"ip": "None"}, {"type": "ExternalName", "externalName": "example.com"}])
def test_headless_and_external_name_program_nothing(spec: dict[str, Any]) -> None:
    assert rules(service(**spec), BOTH) == rules()


def test_masquerade_bit() -> None:
    found = rules(masquerade_bit=3)
    assert found["nat"]["KUBE-MARK-MASQ"] == ["-j MARK --set-xmark 0x8/0x8"]
    assert found["nat"]["KUBE-POSTROUTING"][:2] == ["-m mark ! --mark 0x8/0x8 -j RETURN", "-j MARK --set-xmark 0x8/0x0"]
    assert not any("0x4000" in rule for chains in found.values() for lines in chains.values() for rule in lines)


def test_masquerade_all() -> None:
    found = web({}, BOTH, masquerade_all=True, **CIDR)
    assert found["nat"]["KUBE-SVC"][0] == (
        '-d 10.96.0.1/32 -p tcp "shop/web cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ'
    )


def test_health_check_node_port() -> None:
    spec = {**LB, **LOCAL, "healthCheckNodePort": 32000}
    for slices in ([], [ONLY_THERE], [BOTH]):
        found = web(spec, *slices)
        assert found["filter"]["KUBE-NODEPORTS"] == [
            '-p tcp "shop/web health check node port" -m tcp --dport 32000 -j ACCEPT'
        ]
        assert "KUBE-NODEPORTS" not in web(spec, *slices, **OLD)["filter"]
    assert not web({**LB, "healthCheckNodePort": 32000}, BOTH)["filter"]["KUBE-NODEPORTS"], "policy Local only"


def test_liberal_conntrack_drops_nothing() -> None:
    drop = "-m conntrack --ctstate INVALID -j DROP"
    assert drop in rules()["filter"]["KUBE-FORWARD"]
    assert drop not in rules(conntrack_tcp_be_liberal=True)["filter"]["KUBE-FORWARD"]
    assert drop in rules(conntrack_tcp_be_liberal=True, **OLD)["filter"]["KUBE-FORWARD"]


# --- host ports


def pod(**more: Any) -> dict[str, Any]:
    port = {"containerPort": 9100, "hostPort": 9200, **more.pop("port", {})}
    metadata = {"name": "agent", "namespace": "shop", "uid": "6b3a1f"} | more.pop("metadata", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {key: value for key, value in metadata.items() if value},
        "spec": {"nodeName": "node1", "containers": [{"ports": [port]}], **more},
        "status": {"podIP": HERE, "podIPs": [{"ip": HERE}, {"ip": "fd00:244::1"}]},
    }


def test_host_port() -> None:
    found = rules(pod())["nat"]
    chain = names.host_port_chain_name("6b3a1f", 9200, "TCP")
    comment = '-m comment --comment "agent_shop hostport 9200"'
    assert found["KUBE-HOSTPORTS"] == [f"-p tcp {comment} -m tcp --dport 9200 -j {chain}"]
    assert found[chain] == [
        f"-s {HERE}/32 {comment} -j KUBE-MARK-MASQ",
        f"-p tcp {comment} -m tcp -j DNAT --to-destination {HERE}:9100",
    ]
    jump = '-m comment --comment "kube hostport portals" -m addrtype --dst-type LOCAL -j KUBE-HOSTPORTS'
    assert [found["PREROUTING"][-1], found["OUTPUT"][-1]] == [jump, jump]
    in_v6 = rules(pod(), family=IPV6)["nat"]
    assert in_v6[chain][1].endswith("--to-destination [fd00:244::1]:9100")


@pytest.mark.parametrize(
    ("changes", "family_has_it"),
    [
        ({"nodeName": "node2"}, False),
        ({"hostNetwork": True}, False),
        ({"port": {"hostIP": "fd00:10::10"}}, False),
        ({"port": {"hostIP": "0.0.0.0"}}, True),
    ],
)
def test_host_ports_of_this_node_and_family_only(changes: dict[str, Any], family_has_it: bool) -> None:
    assert ("KUBE-HOSTPORTS" in rules(pod(**changes))["nat"]) == family_has_it


def test_host_port_on_one_address_and_without_uid() -> None:
    found = rules(pod(port={"hostIP": "10.0.0.10", "protocol": "UDP"}, metadata={"uid": ""}))["nat"]
    chain = names.host_port_chain_name("shop/agent", 9200, "UDP")
    assert found["KUBE-HOSTPORTS"] == [
        f'-d 10.0.0.10/32 -p udp -m comment --comment "agent_shop hostport 9200" -m udp --dport 9200 -j {chain}'
    ]
