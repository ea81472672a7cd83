"""Catalogues for tests against the kernel: Services by number, and the files that a node gets for them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import support

from sluice.backends.iptables.kernel import VARIANTS

NODE_ADDRESS = "10.0.0.10"
CLIENT_ADDRESS = "10.0.0.2"
PODS = tuple(f"10.1.0.{number}" for number in range(11, 17))
"""Addresses that answer, in the network of endpoints."""


class Service(NamedTuple):
    """One Service with one port. Its number gives its addresses and its target port.

    ``ending``: those of its endpoints that are terminating, and serve until they are gone.
    """

    number: int
    endpoints: tuple[str, ...] = PODS[:2]
    protocol: str = "TCP"
    node_port: int = 0
    more: tuple[tuple[str, Any], ...] = ()
    ending: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"s{self.number}"

    @property
    def address(self) -> str:
        return f"10.96.{self.number // 250}.{self.number % 250 + 1}"

    @property
    def target_port(self) -> int:
        return 8000 + self.number

    def objects(self, *, both: bool) -> Iterable[dict[str, Any]]:
        port = {"port": 80, "targetPort": self.target_port, "protocol": self.protocol}
        spec = dict(self.more)
        if self.node_port:
            port["nodePort"] = self.node_port
            spec["type"] = "NodePort"
        ports = [{"name": "", "port": self.target_port, "protocol": self.protocol}]
        addresses = [self.address, mapped(self.address)] if both else self.address
        yield support.service(self.name, ip=addresses, ports=[port], **spec)
        yield support.endpoint_slice(*map(self._endpoint, self.endpoints), of=self.name, ports=ports)
        if both:
            six = [self._endpoint(address, mapped(address)) for address in self.endpoints]
            yield support.endpoint_slice(*six, of=self.name, ports=ports, family="IPv6")

    def _endpoint(self, address: str, own: str = "") -> dict[str, Any]:
        state = {"ready": False, "serving": True, "terminating": True} if address in self.ending else {}
        return support.endpoint(own or address, **state)


PLANES = (*VARIANTS, "nftables")
"""Where the rules may be that rewrite packets: in either variant of iptables, or in flat nftables."""


def settings_of(plane: str) -> dict[str, Any]:
    """The settings of a node that has its rules there."""
    return {"backend": plane} if plane == "nftables" else {"iptables_variant": plane}


def mapped(address: str) -> str:
    """An IPv6 address for an IPv4 one."""
    return "fd00::" + ":".join(address.split("."))


def rendered(services: Iterable[Service], **variables: Any) -> dict[str, str]:
    """A node's files for ``services``; ``variables`` are settings without their prefix."""
    both = len(variables.get("ip_families", [])) > 1
    objects = [entry for service in services for entry in service.objects(both=both)]
    settings = support.node(**{"ip_families": ["IPv4"], **variables})
    return support.rendered(support.catalogue(*objects), settings)


def random_services(source: random.Random, numbers: Iterable[int]) -> dict[int, Service]:
    """Services of mixed kinds, by number."""
    return {number: random_service(source, number) for number in numbers}


def random_service(source: random.Random, number: int) -> Service:
    more: dict[str, Any] = {}
    if source.random() < 0.3:
        more["sessionAffinity"] = "ClientIP"
    if source.random() < 0.3:
        more["externalIPs"] = [f"198.18.{number // 250}.{number % 250 + 1}"]
    return Service(
        number,
        endpoints=tuple(source.sample(PODS, source.choice([0, 1, 2, 3, 6]))),
        protocol=source.choice(["TCP", "UDP"]),
        node_port=source.choice([0, 30000 + number]) if number < 2768 else 0,
        more=tuple(more.items()),
    )


def random_step(source: random.Random, services: Mapping[int, Service], numbers: range) -> dict[int, Service]:
    """Some Services changed, added and removed."""
    found = dict(services)
    for number in source.sample(numbers, source.choice([0, 1, 1, 2, 5])):
        if number in found and source.random() < 0.4:
            del found[number]
        else:
            found[number] = random_service(source, number)
    return dict(sorted(found.items()))
