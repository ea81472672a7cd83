"""``allocations.yml``: what Services were given, for ever. One line a Service, by name, so that versions of it merge.

shop/web: {clusterIPs: [10.104.9.31], nodePorts: {80: 31205}, loadBalancerIPs: [203.0.113.17]}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .. import addresses
from ..faults import Fault, InputError
from ..forms import LABEL
from . import manifests, syntax
from .reader import short
from .syntax import Path

HEAD = """\
# Addresses and ports that Sluice gave to Services whose manifests declare none, and that they keep. Commit this file.
# To have something given anew, delete its line.
"""


class Given(NamedTuple):
    """What one Service was given; ``node_ports`` by the number of its port."""

    cluster_ips: tuple[str, ...] = ()
    node_ports: tuple[tuple[int, int], ...] = ()
    health_check_node_port: int = 0
    load_balancer_ips: tuple[str, ...] = ()


class Allocations(NamedTuple):
    """What a file of allocations says, by Service (``namespace/name``). ``name`` is the file's, ``""`` for none."""

    name: str = ""
    given: Mapping[str, Given] = {}
    text: str = ""

    def families(self, service: str) -> list[str]:
        """The families of the cluster IPs that a Service was given."""
        return [addresses.family_of(text) for text in self.given.get(service, Given()).cluster_ips]

    def line(self, *path: str | int) -> int:
        """The line at which an entry stands."""
        return 1 + syntax.line(self.text, path)


NOTHING_GIVEN = Allocations()


def text(given: Mapping[str, Given]) -> str:
    """The file that says ``given``."""
    return HEAD + "".join(f"{name}: {{{_line(given[name])}}}\n" for name in sorted(given) if given[name] != Given())


def _line(given: Given) -> str:
    parts = []
    if given.cluster_ips:
        parts.append(f"clusterIPs: {_list(given.cluster_ips)}")
    if given.node_ports:
        parts.append(f"nodePorts: {{{', '.join(f'{port}: {number}' for port, number in sorted(given.node_ports))}}}")
    if given.health_check_node_port:
        parts.append(f"healthCheckNodePort: {given.health_check_node_port}")
    if given.load_balancer_ips:
        parts.append(f"loadBalancerIPs: {_list(given.load_balancer_ips)}")
    return ", ".join(parts)


def _list(texts: tuple[str, ...]) -> str:
    """YAML takes IPv6 addresses without quotes, but for those that begin or end with a colon."""
    return f"[{', '.join(each if each.strip(':') == each else repr(each) for each in texts)}]"


def read(text: str, name: str) -> Allocations:
    """What the file ``name`` with this ``text`` says. Raises InputError with every fault."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(("<<<<<<< ", ">>>>>>> ")):
            raise InputError([Fault(name, number, "", "", "a merge was not finished: resolve it, line by line")])
    entries = manifests.mapping(name, text, "Services")
    found = Allocations(name, {}, text)
    faults = [
        Fault(name, found.line(service, *path), f"Service {service}", ".".join(map(str, path)), message)
        for service, entry in entries.items()
        for path, message in _faults(service, entry)
    ]
    if faults:
        raise InputError(faults)
    return found._replace(given={service: _given(entry) for service, entry in entries.items()})


def _faults(service: Any, entry: Any) -> Iterator[tuple[Path, str]]:
    parts = service.split("/") if isinstance(service, str) else []
    if len(parts) != 2 or not all(map(LABEL.fullmatch, parts)):
        yield (), "is not namespace/name of a Service"
    if not isinstance(entry, dict):
        yield (), f"must be a mapping, is {short(entry)}"
        return
    for key, value in entry.items():
        if key in ("clusterIPs", "loadBalancerIPs"):
            if not isinstance(value, list) or not all(map(addresses.address, value)):
                yield (key,), "must be a list of IP addresses"
            elif len(set(map(addresses.family_of, value))) < len(value):
                yield (key,), "has more than one address of a family"
        elif key == "nodePorts":
            pairs = value.items() if isinstance(value, dict) else [(None, None)]
            if not all(_is_port(number) for pair in pairs for number in pair):
                yield (key,), "must map ports to node ports"
            elif len({*value.values(), entry.get("healthCheckNodePort")}) <= len(value):
                yield (key,), "has a node port twice"
        elif key == "healthCheckNodePort":
            if not _is_port(value):
                yield (key,), f"must be a port, is {short(value)}"
        else:
            yield (str(key),), "nothing of that name is given"


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536


def _given(entry: Mapping[str, Any]) -> Given:
    return Given(
        cluster_ips=tuple(map(addresses.address, entry.get("clusterIPs", ()))),
        node_ports=tuple(sorted(entry.get("nodePorts", {}).items())),
        health_check_node_port=entry.get("healthCheckNodePort", 0),
        load_balancer_ips=tuple(map(addresses.address, entry.get("loadBalancerIPs", ()))),
    )
