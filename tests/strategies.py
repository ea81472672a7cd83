"""Random catalogues and settings for hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from support import endpoint, endpoint_slice, service

from sluice.addresses import IPV4, IPV6

NODES = ("node1", "node2", "node3")
PROTOCOLS = ("TCP", "UDP", "SCTP")
POLICIES = ("Cluster", "Local")
FAMILIES = st.sampled_from([(IPV4,), (IPV6,), (IPV4, IPV6)])
_HINTS = st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True)


@st.composite
def catalogues(draw: st.DrawFn, max_services: int = 20) -> list[dict[str, Any]]:
    """The objects of a sound catalogue of 1 to ``max_services`` Services, some with Pods' host ports."""
    objects: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, max_services))):
        objects += draw(_services(number))
    return objects + [draw(_pods(number)) for number in range(draw(st.integers(0, 2)))]


@st.composite
def _services(draw: st.DrawFn, number: int) -> list[dict[str, Any]]:
    """One Service and its slices; ``number`` keeps its name, addresses and node ports apart from others'."""
    name, families = f"s{number}", draw(FAMILIES)
    kind = draw(st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]))
    names = draw(st.sampled_from([[""], ["http"], ["http", "dns"], ["a", "b", "c"]]))
    protocol = st.sampled_from(PROTOCOLS)
    ports = [{"name": text, "port": 80 + index, "protocol": draw(protocol)} for index, text in enumerate(names)]
    if kind != "ClusterIP":
        for index, port in enumerate(ports):
            port["nodePort"] = 30000 + 10 * number + index
    spec: dict[str, Any] = {
        "type": kind,
        "internalTrafficPolicy": draw(st.sampled_from(POLICIES)),
        "sessionAffinity": draw(st.sampled_from(["None", "ClientIP"])),
        "externalIPs": draw(_some([f"198.51.100.{number}", f"2001:db8:1::{number:x}"])),
    }
    if kind == "LoadBalancer":
        spec["ingress"] = draw(_some([f"192.0.2.{number}", f"2001:db8:2::{number:x}"]))
        ranges = ["0.0.0.0/0", "10.0.0.0/8", "203.0.113.5/24", "fd00::/8", "::/0"]
        spec["loadBalancerSourceRanges"] = draw(_some(ranges))
    if kind != "ClusterIP" or spec["externalIPs"]:
        spec["externalTrafficPolicy"] = draw(st.sampled_from(POLICIES))
    if kind == "LoadBalancer" and spec["externalTrafficPolicy"] == "Local":
        spec["healthCheckNodePort"] = 32000 + number
    ips = {IPV4: f"10.96.0.{number + 1}", IPV6: f"fd00:96::{number + 1:x}"}
    slices = [
        draw(_slices(name, f"{name}-{index}", family, ports))
        for index, family in enumerate(families * draw(st.integers(0, 2)))
    ]
    return [service(name, ip=[ips[family] for family in families], ports=ports, **spec), *slices]


@st.composite
def _slices(draw: st.DrawFn, of: str, name: str, family: str, ports: list[dict[str, Any]]) -> dict[str, Any]:
    address = "10.244.0.{}" if family == IPV4 else "fd00:244::{:x}"
    endpoints = [
        endpoint(
            address.format(number),
            draw(st.sampled_from(NODES)),
            ready=draw(st.booleans()),
            serving=draw(st.booleans()),
            terminating=draw(st.booleans()),
            zones=draw(_HINTS),
            nodes=draw(st.lists(st.sampled_from(NODES), max_size=2, unique=True)),
        )
        for number in draw(st.lists(st.integers(1, 12), max_size=6, unique=True))
    ]
    offered = [
        {"name": port["name"], "protocol": port["protocol"], "port": 8080 + index} for index, port in enumerate(ports)
    ]
    return endpoint_slice(*endpoints, of=of, name=name, family=family, ports=offered)


@st.composite
def _pods(draw: st.DrawFn, number: int) -> dict[str, Any]:
    port = {
        "containerPort": 9100,
        "hostPort": 9200 + number,
        "protocol": draw(st.sampled_from(PROTOCOLS)),
        "hostIP": draw(st.sampled_from(["", "10.0.0.10", "127.0.0.1", "fd00:10::10", "::1"])),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"p{number}", "namespace": "shop", "uid": f"6b3a-{number}"},
        "spec": {"nodeName": draw(st.sampled_from(NODES)), "containers": [{"ports": [port]}]},
        "status": {"podIPs": [{"ip": f"10.244.9.{number + 1}"}, {"ip": f"fd00:244::9:{number + 1}"}]},
    }


def _some(values: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), unique=True, max_size=len(values))


def variables() -> st.SearchStrategy[dict[str, Any]]:
    """Sound ``sluice_*`` variables of the tests' node."""
    cidrs = _some(["10.244.0.0/16", "10.244.0.0/24", "fd00:244::/64"])
    return st.fixed_dictionaries(
        {
            "sluice_node_name": st.sampled_from(NODES),
            "sluice_node_addresses": st.just(["10.0.0.10", "192.168.50.10", "127.0.0.1", "fd00:10::10", "::1"]),
            "sluice_compat": st.sampled_from(["1.18", "1.20", "1.36"]),
            "sluice_ip_families": st.just([IPV4, IPV6]),
        },
        optional={
            "sluice_labels": st.fixed_dictionaries({"topology.kubernetes.io/zone": st.sampled_from(["a", "b"])}),
            "sluice_node_ips": st.just(["192.168.50.10", "fd00:10::10"]),
            "sluice_cluster_cidrs": cidrs,
            "sluice_service_cidrs": cidrs,
            "sluice_masquerade_all": st.booleans(),
            "sluice_masquerade_bit": st.integers(0, 31).filter(lambda bit: bit != 15),
            "sluice_nodeport_addresses": _some(["primary", "10.0.0.0/8", "127.0.0.0/8", "0.0.0.0/0", "::/0"]),
            "sluice_localhost_nodeports": st.booleans(),
            "sluice_conntrack_tcp_be_liberal": st.booleans(),
            "sluice_affinity_clients": st.integers(0, 1_000_000),
            "sluice_endpoint_comments": st.sampled_from(["auto", "always", "never"]),
            "sluice_iptables_variant": st.sampled_from(["auto", "nft", "legacy"]),
            "sluice_nodeport_range": st.sampled_from(["30000-32767", "1-65535"]),
            "sluice_takeover": st.booleans(),
            "sluice_confirm_timeout": st.integers(0, 3600),
        },
    )


NASTY = (
    "-j ACCEPT",
    '" -j ACCEPT',
    "x\n-A INPUT -j ACCEPT",
    "\nCOMMIT\n*filter\n-F",
    "x\r-A INPUT -j ACCEPT",
    "a\u2028-A INPUT",
    "\x00",
    "\ud800",
    "\uff11\uff12\uff17.0.0.1",
    "10.0.0.1/32 -j ACCEPT",
    "fe80::1%eth0",
    "fe80::%x -j ACCEPT/64",
    "10.0.0.0/\uff18",
    "{{ lookup('pipe', 'id') }}",
    "'",
    "\\",
    " ",
    "\n",
    "",
    "None",
    "²",
)
"""Text that would like to be something else."""

HOSTILE = st.sampled_from(NASTY) | st.text(alphabet=st.sampled_from("ab0.:/-\"'\\ \t\n\r\0%é٣²-j*"), max_size=12)
"""More of it."""

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**500) | HOSTILE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
    max_leaves=5,
)
"""Anything that YAML can say."""
