"""Services: what their fields may hold, and which of them program rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bad_input
import pytest
from bad_input import GOOD, PORT, SAYS, WEB, Bad, build
from iptables_rules import BOTH, HERE, LB
from support import endpoint_slice, rules, service

from sluice.catalogue import sources
from sluice.catalogue.model import AFFINITY_SECONDS, Ingress, Service, ServicePort

CASES = {
    "scheduler": Bad(
        "sluice.io/scheduler: sh",
        "sluice.io/scheduler: fastest",
        WEB,
        f"{SAYS}/scheduler",
        "must be one of rr, wrr,",
    ),
    "flag of another scheduler": Bad(
        "flags: sh-port", "flags: mh-port", WEB, f"{SAYS}/scheduler-flags", "takes sh-fallback, sh-port, not 'mh-port'"
    ),
    "weight": Bad("weight: 2,", "weight: many,", WEB, f"{SAYS}/weight", "from 0 to 65535, is 'many'"),
    "weight of no address": Bad("2, 10.244.0.1=5", "web-1=5", WEB, f"{SAYS}/weight", "'web-1' is not an IP address"),
    "no port": Bad("    port: 80\n", "", WEB, f"{PORT}.port", "is missing", line="  - name: http"),
    "unknown protocol": Bad(
        "protocol: TCP", "protocol: tcp", WEB, f"{PORT}.protocol", "'tcp' is not one of TCP, UDP, SCTP"
    ),
    "unknown type": Bad("type: LoadBalancer", "type: LoadBalancers", WEB, "spec.type", "is not one of ClusterIP"),
    "port 0": Bad("port: 80\n", "port: 0\n", WEB, f"{PORT}.port", "0 is not in 1-65535"),
    "port 65536": Bad("port: 80\n", "port: 65536\n", WEB, f"{PORT}.port", "65536 is not in 1-65535"),
    "target port": Bad("targetPort: 8080", "targetPort: 70000", WEB, f"{PORT}.targetPort", "70000 is not in 1-65535"),
    "target port name": Bad(
        "targetPort: 8080", "targetPort: a b", WEB, f"{PORT}.targetPort", "neither a port number nor the name"
    ),
    "cluster IP": Bad(
        "clusterIP: 10.96.0.1",
        "clusterIP: 10.96.0",
        WEB,
        "spec.clusterIP",
        "is not an IP address",
        line="  clusterIP: 10.96.0\n",
    ),
    "family of cluster IP": Bad(
        "clusterIP: 10.96.0.1",
        "ipFamilies: [IPv6]\n  clusterIP: 10.96.0.1",
        WEB,
        "spec.ipFamilies[0]",
        "is IPv6, but the cluster IP is 10.96.0.1",
    ),
    "two of one family": Bad(
        "clusterIP: 10.96.0.1",
        "clusterIPs: [10.96.0.1, 10.96.0.9]",
        WEB,
        "spec.clusterIPs",
        "has more than one IPv4 address",
        line="  clusterIPs",
    ),
    "external IP": Bad(
        "- 198.51.100.1", "- example.com", "Service shop/other", "spec.externalIPs[0]", "is not an IP address"
    ),
    "LB address": Bad(
        "- ip: 192.0.2.1", "- ip: 192.0.2.", WEB, "status.loadBalancer.ingress[0].ip", "is not an IP address"
    ),
    "LB without address": Bad(
        "- ip: 192.0.2.1", "- {}", WEB, "status.loadBalancer.ingress[0]", "has neither ip nor hostname"
    ),
    "source range": Bad(
        "- 203.0.113.0/24", "- 203.0.113.0", WEB, "spec.loadBalancerSourceRanges[0]", "'203.0.113.0' is not a CIDR"
    ),
    "source range too long": Bad(
        "- 203.0.113.0/24", "- 203.0.113.0/33", WEB, "spec.loadBalancerSourceRanges[0]", "is not a CIDR"
    ),
    "source range with a zone": Bad(
        "- 203.0.113.0/24", "- 'fe80::%x -j ACCEPT/64'", WEB, "spec.loadBalancerSourceRanges[0]", "is not a CIDR"
    ),
    "timeout 0": Bad(
        "timeoutSeconds: 60",
        "timeoutSeconds: 0",
        WEB,
        "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
        "0 is not in 1-86400",
    ),
    "timeout 86401": Bad(
        "timeoutSeconds: 60",
        "timeoutSeconds: 86401",
        WEB,
        "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
        "86401 is not in 1-86400",
    ),
    "node port out of range": Bad(
        "nodePort: 30080", "nodePort: 8080", WEB, f"{PORT}.nodePort", "8080 is not in the range of node ports 30000-327"
    ),
    "one port twice": Bad(
        "  - port: 80\n",
        "  - {name: a, port: 80}\n  - {name: b, port: 80}\n",
        "Service shop/other",
        "spec.ports[1].port",
        "80/TCP is there twice",
        line="  - {name: b",
    ),
    "one port name twice": Bad(
        "  - port: 80\n",
        "  - {name: a, port: 80}\n  - {name: a, port: 81}\n",
        "Service shop/other",
        "spec.ports[1].name",
        "two ports have the name 'a'",
        line="  - {name: a, port: 81}",
    ),
    "several ports without a name": Bad(
        "  - port: 80\n",
        "  - {name: a, port: 80}\n  - {port: 81}\n",
        "Service shop/other",
        "spec.ports[1].name",
        "is missing: of several ports, each has a name",
        line="  - {port: 81}",
    ),
    "no ports": Bad(
        "ports:\n  - port: 80\n", "ports: []\n", "Service shop/other", "spec.ports", "a Service needs a port"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, tmp_path: Path) -> None:
    bad_input.check(CASES[name], tmp_path)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, ""),
        ({"ipvs_scheduler": "mh"}, ""),
        ({"backend": "ipvs"}, "scheduler rr takes none, not 'sh-port'"),
        ({"backend": "ipvs", "ipvs_scheduler": "mh"}, "scheduler mh takes mh-fallback, mh-port, not 'sh-port'"),
        ({"backend": "ipvs", "ipvs_scheduler": "sh"}, ""),
    ],
)
def test_flags_are_for_the_scheduler_of_the_nodes(variables: dict[str, Any], message: str, tmp_path: Path) -> None:
    """A Service that names no scheduler has that of each node, if the node has one."""
    faults = build(tmp_path, GOOD.replace("    sluice.io/scheduler: sh\n", ""), **variables)
    assert [fault.message for fault in faults] == [message] * bool(message)


def test_every_service_s_annotations_are_checked(tmp_path: Path) -> None:
    """Those of Services that program no rules as well."""
    said = "  annotations: {sluice.io/weight: x}\nspec:\n"
    for spec in ("  type: ExternalName\n  externalName: a.example.com", "  clusterIP: None"):
        text = f"apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n{said}{spec}\n"
        assert [(fault.line, fault.field) for fault in build(tmp_path, text)] == [(5, f"{SAYS}/weight")]


def test_service_of_another_proxy_programs_nothing() -> None:
    labelled = service(labels={"service.kubernetes.io/service-proxy-name": "other"}, **LB)
    pods = endpoint_slice(HERE)
    pods["metadata"]["labels"]["service.kubernetes.io/service-proxy-name"] = "other"
    assert rules(labelled, pods) == rules()


@pytest.mark.parametrize("spec", [{"ip": "None"}, {"type": "ExternalName", "externalName": "example.com", "ip": ""}])
def test_headless_and_external_name_program_nothing(spec: dict[str, Any]) -> None:
    assert rules(service(**spec), BOTH) == rules()


def read(manifest: dict[str, Any]) -> Service:
    found, faults = sources.catalogue_of(sources.read([], [manifest]))
    assert not faults
    return found.services[0]


def test_defaults_are_filled_in() -> None:
    manifest = service(ports=[{"port": 80}])
    assert read(manifest) == Service("shop", "web", "ClusterIP", ("10.96.0.1",), (ServicePort("", "TCP", 80, 80, 0),))


def test_status_comes_before_the_address_that_was_asked_for() -> None:
    asked = {"type": "LoadBalancer", "loadBalancerIP": "192.0.2.9"}
    assert read(service(**asked)).ingress == (Ingress("192.0.2.9"),)
    assert read(service(**asked, ingress=["192.0.2.1"])).ingress == (Ingress("192.0.2.1"),)


def test_affinity() -> None:
    assert read(service(sessionAffinity="ClientIP")).affinity_seconds == AFFINITY_SECONDS
    config = {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}}
    assert read(service(sessionAffinity="ClientIP", **config)).affinity_seconds == 60


def test_health_check_node_port() -> None:
    local = {"externalTrafficPolicy": "Local", "healthCheckNodePort": 32000}
    assert read(service(type="LoadBalancer", **local)).health_check_node_port == 32000


def test_networks_and_addresses_are_canonical() -> None:
    found = read(
        service(
            ip=["10.96.0.1", "FD00::1"],
            type="LoadBalancer",
            loadBalancerIP="FD00::2",
            loadBalancerSourceRanges=[" 10.1.2.3/8"],
        )
    )
    assert (found.cluster_ips, found.ingress) == (("10.96.0.1", "fd00::1"), (Ingress("fd00::2"),))
    assert found.source_ranges == ("10.0.0.0/8",)
