"""Services: what their fields may hold, and which of them program rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bad_input
import pytest
from bad_input import GOOD, PORT, SAYS, WEB, Bad, build
from iptables_rules import BOTH, HERE, LB
from support import endpoint_slice, rules, service

from sluice.catalogue import build as catalogue_build
from sluice.catalogue import manifests, services, sources
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
    "target port": Bad("targetPort: 8080", "targetPort: 70000", WEB, f"{PORT}.targetPort", "70000 is not in 0-65535"),
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
        "- ip: 192.0.2.1",
        "- {}",
        WEB,
        "status.loadBalancer.ingress[0]",
        "left out: it has neither ip nor hostname",
        warning=True,
    ),
    "LB address as a hostname": Bad(
        "- ip: 192.0.2.1",
        "- hostname: 192.0.2.1",
        WEB,
        "status.loadBalancer.ingress[0].hostname",
        "'192.0.2.1' is an address, which is said as ip",
    ),
    "LB mode": Bad(
        "- ip: 192.0.2.1",
        "- ip: 192.0.2.1\n      ipMode: vip",
        WEB,
        "status.loadBalancer.ingress[0].ipMode",
        "'vip' is not one of VIP, Proxy",
        line="      ipMode: vip",
    ),
    "LB class": Bad(
        "  clusterIP: 10.96.0.1\n",
        "  clusterIP: 10.96.0.1\n  loadBalancerClass: an example/of this\n",
        WEB,
        "spec.loadBalancerClass",
        "'an example/of this' is not a name such as example.com/internal",
        line="  loadBalancerClass",
    ),
    "cluster IP of a host": Bad(
        "clusterIP: 10.96.0.1", "clusterIP: 127.0.0.1", WEB, "spec.clusterIP", "is a loopback or link-local address"
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
    "cluster IP that is there twice": Bad(
        "clusterIP: 10.96.0.2",
        "clusterIP: 10.96.0\n  clusterIPs: [10.96.0]",
        "Service shop/other",
        "spec.clusterIP",
        "'10.96.0' is not an IP address",
        line="  clusterIP: 10.96.0\n",
    ),
    "no ports": Bad(
        "ports:\n  - port: 80\n", "ports: []\n", "Service shop/other", "spec.ports", "a Service needs a port"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, tmp_path: Path) -> None:
    bad_input.check(CASES[name], tmp_path)


def faults_of(manifest: dict[str, Any]) -> list[str]:
    """What is said of one object: field and message, ``warning`` before it where it is one."""
    found = catalogue_build.build(manifests.inline([manifest])[0]).faults
    return [f"{fault.field}: {'warning: ' * fault.warning}{fault.message}" for fault in found]


NOT_A_BALANCER = "may only be used with type LoadBalancer, not with"
NO_CLUSTER_IP = "an ExternalName Service has no cluster IP"
FROM_OUTSIDE = "is for Services that are reached from outside: NodePort, LoadBalancer or with externalIPs"


def external_name(**spec: Any) -> dict[str, Any]:
    return service(ip="", type="ExternalName", **{"externalName": "db.example.com", "clusterIPs": [], **spec})


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        # --- what a type has not
        (
            service(ports=[{"port": 80, "nodePort": 30080}]),
            ["spec.ports[0].nodePort: may not be used with type ClusterIP: take it away, or is the type NodePort?"],
        ),
        (service(ports=[{"port": 80, "nodePort": 0}]), []),
        (
            service(ports=[{"port": 80, "nodePort": False, "targetPort": False}]),
            [
                "spec.ports[0].nodePort: must be a whole number, is false",
                "spec.ports[0].targetPort: must be a whole number, is false",
            ],
        ),
        (service(externalTrafficPolicy="Local"), [f"spec.externalTrafficPolicy: {FROM_OUTSIDE}"]),
        (service(externalTrafficPolicy="Local", externalIPs=["198.51.100.1"]), []),
        (service(type="NodePort", externalTrafficPolicy="Cluster"), []),
        (
            service(loadBalancerSourceRanges=["10.0.0.0/8"]),
            [f"spec.loadBalancerSourceRanges: {NOT_A_BALANCER} ClusterIP"],
        ),
        (
            service(type="NodePort", loadBalancerClass="example.com/a"),
            [f"spec.loadBalancerClass: {NOT_A_BALANCER} NodePort"],
        ),
        (
            service(type="NodePort", allocateLoadBalancerNodePorts=False),
            [f"spec.allocateLoadBalancerNodePorts: {NOT_A_BALANCER} NodePort"],
        ),
        (
            service(annotations={services.RANGES_ANNOTATION: "10.0.0.0/8"}),
            [f"metadata.annotations.{services.RANGES_ANNOTATION}: {NOT_A_BALANCER} ClusterIP"],
        ),
        (
            service(type="NodePort", loadBalancerIP="192.0.2.1"),
            ["spec.loadBalancerIP: warning: is left out: a Service of type NodePort has no load balancer"],
        ),
        (
            service(ingress=["192.0.2.1"]),
            ["status.loadBalancer.ingress: warning: is programmed, as by kube-proxy, although the type is ClusterIP"],
        ),
        (
            service(type="NodePort", healthCheckNodePort=32000, externalTrafficPolicy="Local"),
            [
                "spec.healthCheckNodePort: may only be used with type LoadBalancer and externalTrafficPolicy Local",
            ],
        ),
        (
            service(type="LoadBalancer", healthCheckNodePort=32000, ingress=["192.0.2.1"]),
            [
                "spec.healthCheckNodePort: may only be used with type LoadBalancer and externalTrafficPolicy Local",
            ],
        ),
        # --- headless
        (service(ip="None", ports=[{"port": 80}]), []),
        (service(ip="None", ports=[]), []),
        (
            service(ip="None", type="NodePort"),
            ["spec.clusterIP: may not be None with type NodePort, which needs one"],
        ),
        (
            service(ip="None", type="LoadBalancer"),
            ["spec.clusterIP: may not be None with type LoadBalancer, which needs one"],
        ),
        (
            service(ip=["None", "10.96.0.1"]),
            ["spec.clusterIPs: None stands for no address at all"],
        ),
        (
            service(ip="None", externalIPs=["198.51.100.1"], sessionAffinity="ClientIP"),
            [
                "spec.externalIPs: warning: is left out: a headless Service programs no rules",
                "spec.sessionAffinity: warning: is left out: a headless Service programs no rules",
            ],
        ),
        # --- ExternalName
        (external_name(), []),
        (external_name(externalName="db.example.com.", ports=[{"port": 80, "nodePort": 30080}]), []),
        (external_name(externalName=""), ["spec.externalName: is missing"]),
        (external_name(externalName="a_b"), ["spec.externalName: 'a_b' is not a DNS name"]),
        (external_name(clusterIP="None"), [f"spec.clusterIP: {NO_CLUSTER_IP}"]),
        (external_name(ipFamilies=["IPv4"]), [f"spec.ipFamilies: {NO_CLUSTER_IP}"]),
        (external_name(ipFamilyPolicy="SingleStack"), [f"spec.ipFamilyPolicy: {NO_CLUSTER_IP}"]),
        (external_name(externalTrafficPolicy="Local"), [f"spec.externalTrafficPolicy: {FROM_OUTSIDE}"]),
        (
            external_name(loadBalancerSourceRanges=["10.0.0.0/8"]),
            [f"spec.loadBalancerSourceRanges: {NOT_A_BALANCER} ExternalName"],
        ),
        # --- families
        (service(ip=["10.96.0.1", "fd00::1"]), []),
        (service(ipFamilies=["IPv4", "IPv4"]), ["spec.ipFamilies[1]: IPv4 is there twice"]),
        (service(ipFamilies=["ipv4"]), ["spec.ipFamilies[0]: 'ipv4' is not one of IPv4, IPv6"]),
        (
            service(ipFamilyPolicy="Dual"),
            ["spec.ipFamilyPolicy: 'Dual' is not one of SingleStack, PreferDualStack, RequireDualStack"],
        ),
        (
            service(ip=["10.96.0.1", "fd00::1"], ipFamilyPolicy="SingleStack"),
            ["spec.ipFamilyPolicy: SingleStack is for one family, and two are named"],
        ),
        (
            {**service(), "spec": {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.2"], "ports": [{"port": 80}]}},
            ["spec.clusterIPs: must begin with clusterIP 10.96.0.1, begins with 10.96.0.2"],
        ),
        ({**service(), "spec": {"clusterIPs": ["10.96.0.2"], "ports": [{"port": 80}]}}, []),
        # --- policies and affinity
        (service(internalTrafficPolicy="local"), ["spec.internalTrafficPolicy: 'local' is not one of Cluster, Local"]),
        (
            service(type="NodePort", externalTrafficPolicy="local"),
            ["spec.externalTrafficPolicy: 'local' is not one of Cluster, Local"],
        ),
        (service(sessionAffinity="Client"), ["spec.sessionAffinity: 'Client' is not one of None, ClientIP"]),
        (
            service(sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}}),
            ["spec.sessionAffinityConfig.clientIP: has no effect without sessionAffinity: ClientIP"],
        ),
        (
            service(sessionAffinity="clientip", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}}),
            ["spec.sessionAffinity: 'clientip' is not one of None, ClientIP"],
        ),
        (
            service(trafficDistribution="Near"),
            ["spec.trafficDistribution: 'Near' is not one of PreferClose, PreferSameZone, PreferSameNode"],
        ),
        # --- ports
        (service(ports=[{"port": 80, "targetPort": ""}]), []),
        (service(ports=[{"port": 80, "targetPort": 0, "protocol": "", "name": ""}]), []),
        (
            service(ports=[{"port": 80, "targetPort": "8080"}]),
            ["spec.ports[0].targetPort: '8080' is a name, and a name has a letter: take the quotes away"],
        ),
        *(
            (
                service(ports=[{"port": 80, "targetPort": name}]),
                [f"spec.ports[0].targetPort: {name!r} is neither a port number nor the name of a port"],
            )
            for name in ("Http", "a--b", "-a", "a-", "a_b", "a" * 16)
        ),
        (service(ports=[{"port": 80, "targetPort": "a" * 15}]), []),
        (
            service(ports=[{"port": 53, "name": "a"}, {"port": 53, "name": "a"}]),
            ["spec.ports[1].name: two ports have the name 'a'", "spec.ports[1].port: 53/TCP is there twice"],
        ),
        (
            service(ports=[{"port": 53, "name": "a"}, {"port": 53, "name": "b", "protocol": "udp"}]),
            ["spec.ports[1].protocol: 'udp' is not one of TCP, UDP, SCTP"],
        ),
        (
            service(ports=[{"port": 0, "name": "a"}, {"port": 81}]),
            [
                "spec.ports[0].port: 0 is not in 1-65535",
                "spec.ports[1].name: is missing: of several ports, each has a name",
            ],
        ),
        (
            service(ports=[{"port": 80, "name": "a"}, {"port": 81, "name": "B"}]),
            ["spec.ports[1].name: 'B' is not a DNS label"],
        ),
        ({**service(), "spec": {"clusterIP": "10.96.0.1", "ports": 80}}, ["spec.ports: must be a list, is 80"]),
        (
            {**service(), "spec": {"clusterIP": "10.96.0.1", "ports": [80]}},
            ["spec.ports[0]: must be a mapping, is 80"],
        ),
        ({**service(), "spec": {"clusterIP": "10.96.0.1"}}, ["spec.ports: a Service needs a port"]),
        # --- the load balancer's address
        (
            service(type="LoadBalancer", loadBalancerIP="example.com"),
            ["spec.loadBalancerIP: 'example.com' is not an IP address"],
        ),
        (service(type="LoadBalancer", loadBalancerIP="example.com", ingress=["192.0.2.1"]), []),
        (service(type="LoadBalancer", loadBalancerIP="pool-a", loadBalancerClass="example.com/a"), []),
    ],
)
def test_what_an_api_server_refuses(manifest: dict[str, Any], said: list[str]) -> None:
    assert faults_of(manifest) == said


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


def test_what_kube_proxy_takes_for_headless_programs_nothing() -> None:
    labelled = service(labels={"service.kubernetes.io/headless": ""}, **LB)
    found, (warning,) = sources.catalogue_of(sources.read([], [labelled, endpoint_slice(HERE)]))
    assert (found.services, [each.name for each in found.idle]) == ((), ["web"])
    assert "left out, as by kube-proxy" in warning.message


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
