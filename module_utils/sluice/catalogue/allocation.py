"""What an API server would add: cluster IPs, node ports and load balancers' addresses for Services that declare none.

What was given before is kept, whatever else changes. What is new is chosen by the hash of the Service's name, so that
it is the same on any machine as long as two names do not meet; and what is declared is never given to another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from .. import addresses, pools
from ..faults import Fault
from ..pools import Pool
from . import allocations_file, numbers
from .allocations_file import NOTHING_GIVEN, Allocations, Given
from .checks import DEFAULT_SERVICE_CIDRS, Checks
from .conflicts import Declared, service_addresses, service_node_ports
from .model import HostPort, Ingress, Service
from .numbers import Numbers
from .reader import ObjectReader, short
from .services import declared_at
from .syntax import Path
from .wanted import POOL, Wanted, wanted

__all__ = ["NOTHING_GIVEN", "Allocated", "Allocations", "allocate"]


class Allocated(NamedTuple):
    """``services`` with what they were given, in their order; ``given`` is all of it, as it is to be kept.

    ``new``: the Services that got something which they had not before.
    """

    services: list[Service]
    given: Mapping[str, Given]
    new: Sequence[str]
    faults: list[Fault]

    @property
    def text(self) -> str:
        """The file that keeps it."""
        return allocations_file.text(self.given)

    def differs(self, before: Allocations) -> bool:
        """Whether the file ``before`` is to be written anew; one without a name is never.

        Without any Service nothing is given back: a folder that is empty by mistake shall not cost the addresses.
        """
        return bool(before.name and self.services) and self.text != before.text and bool(self.given or before.text)

    def unwritten(self, name: str, reason: str) -> Fault:
        """A warning: what the file does not say was chosen by hash."""
        few = ", ".join(self.new[:5]) + (", …" if self.new[5:] else "")
        message = f"{reason}; {_count(len(self.new))} by hash and may move when others come: {few}"
        return Fault(name, 0, "", "", message if self.new else reason, warning=True)


def allocate(
    services: Sequence[tuple[ObjectReader, Service]],
    idle: Sequence[Service],
    host_ports: Iterable[HostPort],
    checks: Checks,
    before: Allocations,
) -> Allocated:
    """Give ``services`` what their manifests declare not.

    ``idle`` ones get nothing, but keep what they declare, as ``host_ports`` are. Faults of a Service's manifest are its
    reader's; the result has those of the file ``before``.
    """
    giver = _Giver(checks, before)
    asking = [
        (entry, service, wanted(entry, service, checks, before.families("/".join(entry.key))))
        for entry, service in services
    ]
    for each in asking:
        giver.declare(*each)
    for service in idle:
        giver.avoid(text for _path, text in service_addresses(service))
        giver.avoid_ports(number for _path, number, _protocol in service_node_ports(service))
    giver.avoid(checks.node_addresses)
    giver.avoid_ports(port.host_port for port in host_ports)
    # Where two names meet, the first in this order has the number; in that of the files, a moved file would move it.
    by_name = sorted(asking, key=lambda each: each[0].key)
    kept = {entry.key: giver.keep(service, wants) for entry, service, wants in by_name}
    if any(_lacks(service, wants, kept[entry.key]) for entry, service, wants in by_name):
        for service in (*idle, *(service for _entry, service, _wants in asking)):
            giver.avoid(endpoint.address for piece in service.slices for endpoint in piece.endpoints)
    given = {entry.key: giver.give(entry, service, wants, kept[entry.key]) for entry, service, wants in by_name}
    giver.conclude()
    return Allocated(
        services=[_filled(service, wants, given[entry.key]) for entry, service, wants in asking],
        given={"/".join(key): found for key, found in given.items() if found != Given()},
        new=["/".join(key) for key, found in given.items() if found != kept[key]],
        faults=giver.faults,
    )


def _lacks(service: Service, wants: Wanted, kept: Given) -> bool:
    """Whether there is an address to choose for the Service."""
    of_balancer = len(wants.families) if wants.balancer else 0
    wanting = len(_families(service, wants)) > len(kept.cluster_ips)
    return wanting or of_balancer > len(kept.load_balancer_ips)


def _filled(service: Service, wants: Wanted, given: Given) -> Service:
    own = {addresses.family_of(text): text for text in (*given.cluster_ips, *service.cluster_ips)}
    by_port = {port.port: port.node_port for port in service.ports if port.node_port and wants.node_ports}
    by_port.update(given.node_ports)
    return service._replace(
        cluster_ips=tuple(own[family] for family in wants.families if family in own),
        ports=tuple(
            port if port.node_port else port._replace(node_port=by_port.get(port.port, 0)) for port in service.ports
        ),
        health_check_node_port=service.health_check_node_port or given.health_check_node_port,
        ingress=service.ingress + tuple(map(Ingress, given.load_balancer_ips)),
    )


class _Giver:
    """Who has what. Everything declared is told first, then what was given before; only then something is chosen."""

    def __init__(self, checks: Checks, before: Allocations) -> None:
        self.faults: list[Fault] = []
        self._before = before
        self._checks = checks
        self._pools = checks.load_balancer_pools
        self._cidrs = checks.service_cidrs or DEFAULT_SERVICE_CIDRS
        self._cluster = {
            family: Numbers(map(_usable, _of(self._cidrs, family)), numbers.ADDRESSES) for family in addresses.FAMILIES
        }
        self._ports = Numbers([checks.nodeport_range], numbers.NODE_PORTS)
        self._balancers = {
            (pool.name, family): Numbers(
                map(pools.bounds, _of(pool.blocks, family)),
                numbers.ADDRESSES,
                _is_buggy if pool.avoid_buggy_ips and family == addresses.IPV4 else numbers.nothing,
            )
            for pool in self._pools
            for family in addresses.FAMILIES
        }
        self._declared: dict[str, Declared] = {}
        self._declared_ports: dict[tuple[int, str], Declared] = {}
        self._holders: dict[str | int, str] = {}
        """The Service that was given an address or a node port before."""
        self._shared: dict[str, list[tuple[str, Service]]] = defaultdict(list)
        """Load balancers' addresses that are shared under a key, each with the Services that have it."""
        self._outside: dict[str, list[tuple[Service, Path, object]]] = defaultdict(list)
        self._lacking: dict[str, list[Declared]] = defaultdict(list)

    # --- what is not to be given

    def declare(self, entry: ObjectReader, service: Service, wants: Wanted) -> None:
        for path, text in service_addresses(service):
            self._declared.setdefault(text, (entry, path))
            self._take(text)
        for path, number, protocol in service_node_ports(service):
            self._declared_ports.setdefault((number, protocol), (entry, path))
            self._ports.take(number)
        for ingress in service.ingress:
            self._share(wants, ingress.address, service)

    def avoid(self, texts: Iterable[str]) -> None:
        for text in texts:
            self._take(text)

    def avoid_ports(self, several: Iterable[int]) -> None:
        for number in several:
            self._ports.take(number)

    def _take(self, text: str) -> None:
        family, number = addresses.family_of(text), pools.number(text)
        self._cluster[family].take(number)
        for pool in self._pools:
            self._balancers[pool.name, family].take(number)

    # --- what was given before

    def keep(self, service: Service, wants: Wanted) -> Given:
        """What the Service was given and has use for still; nobody else gets it."""
        old = self._before.given.get(service.full_name)
        if not old:
            return Given()
        lacking = dict(_lacking_ports(service, wants))
        cluster_ips = [text for text in old.cluster_ips if addresses.family_of(text) in _families(service, wants)]
        return Given(
            cluster_ips=tuple(text for text in cluster_ips if self._keeps_cluster_ip(service, text)),
            node_ports=tuple(
                (port, number)
                for port, number in old.node_ports
                if port in lacking and self._keeps_port(service, ("nodePorts", port), number, lacking[port])
            ),
            health_check_node_port=(
                old.health_check_node_port
                if old.health_check_node_port
                and wants.health_check
                and self._keeps_port(service, ("healthCheckNodePort",), old.health_check_node_port, ["TCP"])
                else 0
            ),
            load_balancer_ips=tuple(
                text
                for text in old.load_balancer_ips
                if wants.balancer and self._keeps_balancer_ip(service, wants, text)
            ),
        )

    def _keeps_cluster_ip(self, service: Service, text: str) -> bool:
        path = ("clusterIPs",)
        if pools.number(text) not in self._cluster[addresses.family_of(text)]:
            self._outside[f"sluice_service_cidrs ({', '.join(self._cidrs)})"].append((service, path, text))
        return self._holds(service, path, text)

    def _keeps_balancer_ip(self, service: Service, wants: Wanted, text: str) -> bool:
        family, number = addresses.family_of(text), pools.number(text)
        within = {pool.name for pool in self._pools if number in self._balancers[pool.name, family]}
        if family not in wants.families or (wants.pool and wants.pool not in within):
            return False
        path = ("loadBalancerIPs",)
        if not within:
            self._outside["any pool of sluice_load_balancer_pools"].append((service, path, text))
        if not self._joins(wants, text, service) and not self._holds(service, path, text):
            return False
        self._take(text)
        self._holders.setdefault(text, service.full_name)
        self._share(wants, text, service)
        return True

    def _keeps_port(self, service: Service, path: Path, number: int, protocols: Iterable[str]) -> bool:
        low, high = self._checks.nodeport_range
        if number not in self._ports:
            self._outside[f"the range of node ports ({low}-{high})"].append((service, path, number))
        taken = [self._declared_ports[number, each] for each in protocols if (number, each) in self._declared_ports]
        return self._is_free(service, path, f"node port {number}", number, taken)

    def _holds(self, service: Service, path: Path, text: str) -> bool:
        several = [self._declared[text]] if text in self._declared else []
        declared = [(entry, declared_at(entry, field, text)) for entry, field in several]
        return self._is_free(service, path, text, text, declared)

    def _is_free(self, service: Service, path: Path, what: str, key: str | int, declared: Sequence[Declared]) -> bool:
        """Whether nobody declares, or was given, what this Service was given; it is the Service's from now on."""
        name = service.full_name
        if declared:
            entry, where = declared[0]
            file = f"{self._before.name}:{self._before.line(name, *path)}"
            message = f"{what} was given to Service {name} ({file}): declare another one"
            entry.fault(where, f"{message}, or delete it there, so that {name} gets another")
            return False
        other = self._holders.setdefault(key, name)
        if other != name:
            line = self._before.line(other)
            message = f"{what} is Service {other}'s as well (line {line}): delete one of them, it gets another"
            self._fault(service, path, message)
            return False
        if isinstance(key, int):
            self._ports.take(key)
        else:
            self._take(key)
        return True

    def _fault(self, service: Service, path: Path, message: str, *, warning: bool = False) -> None:
        before, name = self._before, service.full_name
        line, field = before.line(name, *path), ".".join(map(str, path))
        self.faults.append(Fault(before.name, line, f"Service {name}", field, message, warning))

    # --- what is new

    def give(self, entry: ObjectReader, service: Service, wants: Wanted, kept: Given) -> Given:
        """What is kept, and what the Service lacks besides."""
        if entry.faulty:
            return kept
        name = service.full_name
        cluster_ips = {addresses.family_of(text): text for text in kept.cluster_ips}
        for family in _families(service, wants):
            if family not in cluster_ips:
                found = self._cluster[family].choose(f"{name} {family}")
                if found is None:
                    self._lacking[self._no_cluster_ip(family)].append((entry, ("spec", "clusterIP")))
                else:
                    cluster_ips[family] = self._chosen(found, family)
        node_ports = dict(kept.node_ports)
        for port, _protocols in _lacking_ports(service, wants):
            if port not in node_ports:
                node_ports[port] = self._port(entry, ("spec", "ports"), f"{name} {port}")
        health_check = kept.health_check_node_port
        if wants.health_check and not health_check:
            health_check = self._port(entry, ("spec", "healthCheckNodePort"), f"{name} healthCheckNodePort")
        return Given(
            cluster_ips=tuple(cluster_ips.values()),
            node_ports=tuple(sorted(node_ports.items())),
            health_check_node_port=health_check,
            load_balancer_ips=self._balancer_ips(entry, service, wants, kept) if wants.balancer else (),
        )

    def _chosen(self, number: int, family: str) -> str:
        text = pools.address(number, family)
        self._take(text)
        return text

    def _port(self, entry: ObjectReader, path: Path, key: str) -> int:
        found = self._ports.choose(key)
        if found is None:
            low, high = self._checks.nodeport_range
            self._lacking[f"no node port is left in {low}-{high}"].append((entry, path))
        return found or 0

    def _no_cluster_ip(self, family: str) -> str:
        networks = ", ".join(_of(self._cidrs, family))
        if networks:
            return f"no address is left in {networks} (sluice_service_cidrs)"
        return f"there is no {family} network in sluice_service_cidrs"

    def _balancer_ips(self, entry: ObjectReader, service: Service, wants: Wanted, kept: Given) -> tuple[str, ...]:
        found = {addresses.family_of(text): text for text in kept.load_balancer_ips}
        mine = self._pools_for(entry, service, wants)
        full: list[Pool] = []
        for family in wants.families:
            if family not in found:
                there = [pool for pool in mine if self._balancers[pool.name, family].size]
                text = self._balancer_ip(service, wants, family, there)
                if text:
                    found[family] = text
                full += [] if text else there
        if full:
            named = ", ".join(dict.fromkeys(pool.name for pool in full))
            self._lacking[f"no address is left in pool {named}"].append((entry, ("spec",)))
        elif not found and self._checks.ip_families and not entry.faulty:
            message = "no address for it: give it a loadBalancerIP, or a pool (sluice_load_balancer_pools)"
            entry.fault(("spec", "type"), message, warning=True)
        return tuple(found.values())

    def _pools_for(self, entry: ObjectReader, service: Service, wants: Wanted) -> list[Pool]:
        labels = dict(service.labels)
        if not wants.pool:
            return [pool for pool in self._pools if pool.auto and pool.is_for(service.namespace, labels)]
        found = [pool for pool in self._pools if pool.name == wants.pool]
        path = ("metadata", "annotations", entry.first_annotation(POOL)[0])
        if not found and self._checks.ip_families:
            known = ", ".join(pool.name for pool in self._pools) or "none at all"
            entry.fault(path, f"there is no pool {short(wants.pool)} in sluice_load_balancer_pools, but {known}")
        elif found and not found[0].is_for(service.namespace, labels):
            entry.fault(path, f"pool {wants.pool} is not for this Service, by its namespaces or selector")
            return []
        return found

    def _balancer_ip(self, service: Service, wants: Wanted, family: str, mine: Sequence[Pool]) -> str:
        for text, _user in self._shared[wants.sharing] if wants.sharing else ():
            within = not wants.pool or any(pools.number(text) in self._balancers[pool.name, family] for pool in mine)
            if addresses.family_of(text) == family and within and self._joins(wants, text, service):
                self._share(wants, text, service)
                return text
        for pool in mine:
            found = self._balancers[pool.name, family].choose(f"{service.full_name} {family}")
            if found is not None:
                text = self._chosen(found, family)
                self._share(wants, text, service)
                return text
        return ""

    def _share(self, wants: Wanted, text: str, service: Service) -> None:
        if wants.sharing:
            self._shared[wants.sharing].append((text, service))

    def _joins(self, wants: Wanted, text: str, service: Service) -> bool:
        """Whether others have the address under the Service's key, and the Service can have it with all of them.

        As MetalLB has it: no port twice, and with policy Local only those who have the same endpoints, since the
        address is somewhere only then.
        """
        others = [other for found, other in self._shared[wants.sharing] if found == text] if wants.sharing else []
        own = {(port.port, port.protocol) for port in service.ports}
        return bool(others) and not any(
            own & {(port.port, port.protocol) for port in other.ports}
            or ((service.external_local or other.external_local) and not _same_endpoints(service, other))
            for other in others
        )

    # --- what is said once

    def conclude(self) -> None:
        """Say what is wrong with many of them, in one line each."""
        for where, several in self._outside.items():
            service, path, what = several[0]
            more = f" (and {len(several) - 1} more)" if several[1:] else ""
            message = f"{what} is not in {where}: it stays{more}; delete it here to have another"
            self._fault(service, path, message, warning=True)
        for message, those in self._lacking.items():
            entry, field = those[0]
            entry.fault(field, message + (f", also not for {len(those) - 1} more" if those[1:] else ""))


def _same_endpoints(one: Service, other: Service) -> bool:
    return bool(one.selector) and one.selector == other.selector


def _families(service: Service, wants: Wanted) -> list[str]:
    """Those in which the Service declares no cluster IP and wants one."""
    declared = {addresses.family_of(text) for text in service.cluster_ips}
    return [family for family in wants.families if family not in declared]


def _lacking_ports(service: Service, wants: Wanted) -> Iterator[tuple[int, list[str]]]:
    """The ports without a node port that want one, with their protocols: one number serves all of a port's."""
    declared = {port.port for port in service.ports if port.node_port}
    found: dict[int, list[str]] = defaultdict(list)
    for port in service.ports:
        if wants.node_ports and port.port not in declared:
            found[port.port].append(port.protocol)
    yield from found.items()


def _count(services: int) -> str:
    return "1 Service has its addresses" if services == 1 else f"{services} Services have their addresses"


def _of(texts: Iterable[str], family: str) -> list[str]:
    return [text for text in texts if addresses.family_of(text) == family]


def _usable(network: str) -> numbers.Range:
    """The addresses of a network but its own, and IPv4's broadcast address."""
    first, last = pools.bounds(network)
    if last - first < 2:
        return first, last
    return first + 1, last - (addresses.family_of(network) == addresses.IPV4)


def _is_buggy(number: int) -> bool:
    return number & 0xFF in (0, 0xFF)
