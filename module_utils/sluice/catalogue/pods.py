"""The host ports of a Pod, from its manifest; its containers and addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import forms
from .model import HostPort
from .reader import PROTOCOLS, ObjectReader, distinct, short
from .syntax import Path

IPV6_LOOPBACK = "::1"

MAX_COMMENT = 255
"""Bytes that an iptables comment may have (XT_MAX_COMMENT_LEN less its end)."""


def comment_length(namespace: str, name: str) -> int:
    """How long a comment the host ports of a Pod make, with the longest port."""
    return len(f"{name}_{namespace} hostport 65535")


def read_host_ports(entry: ObjectReader) -> Iterator[HostPort]:
    spec, status = entry.mapping(entry.value, "spec", ()), entry.mapping(entry.value, "status", ())
    if entry.flag(spec, "hostNetwork", ("spec",), False) or status.get("phase") in ("Succeeded", "Failed"):
        return
    found = [
        (path, value)
        for where, container in running_containers(entry, spec)
        for path, value in entry.mappings(container, "ports", where)
        if entry.number(value, "hostPort", path, 0, 65535, 0)
    ]
    node, written = entry.node_name(spec, "nodeName", ("spec",)), pod_addresses(entry, status)
    texts = distinct(entry.outward(value, path) for path, value in written)
    if not found or (status.get("phase") == "Pending" and not written):
        return
    if not written and not spec.get("nodeName"):
        message = "left out: it is on no node and has no address, and a host port is one node's"
        entry.fault(("spec", "nodeName"), message, warning=True)
        return
    if not spec.get("nodeName"):
        entry.fault(("spec", "nodeName"), "is missing: a host port is one node's")
    if not written:
        entry.fault(("status", "podIP"), "is missing: a host port leads to the Pod's address")
    uid = entry.text(entry.metadata, "uid", ("metadata",)) or f"{entry.namespace}/{entry.name}"
    if not forms.POD_ID.fullmatch(uid):
        entry.fault(("metadata", "uid"), f"{short(uid)} is not a uid")
    # Both halves of the name go into a rule's comment with the port, and the kernel keeps 255 bytes of it.
    longest = comment_length(entry.namespace, entry.name)
    if longest > MAX_COMMENT:
        entry.fault(("metadata", "name"), f"makes a comment of {longest} bytes, iptables takes {MAX_COMMENT}")
    taken: set[tuple[str, str, int]] = set()
    for path, value in found:
        number = value["hostPort"]
        protocol = entry.choice(value, "protocol", path, PROTOCOLS, "TCP")
        port = entry.port(value, "containerPort", path)
        host_ip = value.get("hostIP")
        host_ip = "" if host_ip in (None, "", "0.0.0.0", "::") else entry.address(host_ip, (*path, "hostIP"))
        if host_ip == IPV6_LOOPBACK:
            # There is no route_localnet for IPv6: what the Pod answers would have no route to ::1, and clients hang.
            message = f"{host_ip} cannot lead to a Pod, Linux routes no answers to it: the port is left out"
            entry.fault((*path, "hostIP"), message, warning=True)
        elif (host_ip, protocol, number) in taken and value.get("protocol") in (None, "", protocol):
            entry.fault((*path, "hostPort"), f"host port {number}/{protocol} is there twice")
        elif port and not entry.faulty:
            taken.add((host_ip, protocol, number))
            yield HostPort(entry.namespace, entry.name, uid, node, protocol, host_ip, number, texts, port)


def running_containers(entry: ObjectReader, spec: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Those that run as long as the Pod: sidecars, which are init containers that restart (KEP-753), among them."""
    yield from entry.mappings(spec, "containers", ("spec",))
    for where, container in entry.mappings(spec, "initContainers", ("spec",)):
        if container.get("restartPolicy") == "Always":
            yield where, container


def pod_addresses(entry: ObjectReader, status: dict[str, Any]) -> list[tuple[Path, Any]]:
    """podIP and podIPs, which repeats it, as they are written, each with its path."""
    found: list[tuple[Path, Any]] = [(("status", "podIP"), status.get("podIP"))]
    found += (((*path, "ip"), value.get("ip")) for path, value in entry.mappings(status, "podIPs", ("status",)))
    return [(path, value) for path, value in found if value not in (None, "")]
