"""What a node gets for a catalogue and its settings: files, and what those need of the node."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from . import addresses, probes
from .backends import registry
from .backends.interface import Backend, Memo, Needs, Views
from .catalogue.checks import Checks
from .catalogue.model import Catalogue, Node
from .faults import Fault, InputError
from .health.check import Check, too_much
from .node import files
from .pools import Pool
from .settings import Settings, from_variables, to_variables
from .view import asked, check_form, view


def views(catalogue: Catalogue, settings: Settings) -> Views:
    """What the node sees of the catalogue, by address family: for ``render`` and ``needs``."""
    return {family: view(catalogue, settings, family) for family in settings.ip_families}


def render(views: Views, settings: Settings, catalogue: str = "") -> dict[str, str]:
    """All files of a node, by name, sealed; with the compiled ``catalogue`` as it is, if there is one.

    Whatever made ``views`` and ``settings``: nothing in them that is not of its form gets into a file. Raises
    InputError for that, and for an unknown backend.
    """
    settings = _sound(settings)
    for seen in views.values():
        check_form(seen)
    _require_few_checks(views, settings)
    values = settings._asdict()
    return files.sealed(
        {
            files.SETTINGS_FILE: files.settings_text(values),
            **({files.CATALOGUE_FILE: catalogue} if catalogue else {}),
            **_backend(settings).render(views, settings, Memo()),
        }
    )


def _require_few_checks(views: Views, settings: Settings) -> None:
    """Whether the node can ask as often as its health checks say. Raises InputError with the sums."""
    checks = {asked(port, target) for seen in views.values() for port in seen.ports for target in port.endpoints}
    wanted = [Check(*each) for each in checks if each]
    lines = too_much(wanted, settings.health_max_per_second)
    if lines:
        raise InputError([Fault("settings", 0, "", "sluice_health_max_per_second", line) for line in lines])


def needs(views: Views, settings: Settings, kernel: Sequence[int]) -> Needs:
    """What those files need of a node with this release of Linux, ``(6, 1)``. Raises InputError."""
    settings = _sound(settings)
    found = _backend(settings).needs(views, settings, kernel)
    pings = any(port.probe and port.probe.kind == probes.ICMP for seen in views.values() for port in seen.ports)
    return found._replace(sysctls={**found.sysctls, **_PINGS}) if pings else found


_PINGS = {"net.ipv4.ping_group_range": "0 2147483647"}
"""Whoever asks by ICMP needs no privilege (icmp(7)): all groups, as systemd's own sysctls have it."""


def checks_for(nodes: Collection[Settings]) -> Checks:
    """What the settings of all ``nodes`` say about the catalogue as a whole. Raises InputError."""
    ranges = {settings.nodeport_range for settings in nodes} or {Settings().nodeport_range}
    unsettled = [_backend(settings).remembers_clients for settings in nodes if not settings.affinity_clients]
    schedulers = dict.fromkeys(_backend(settings).scheduler(settings) for settings in nodes)
    return Checks(
        # A node port is served by every node, so it has to lie in the range of each.
        nodeport_range=(max(low for low, _high in ranges), min(high for _low, high in ranges)),
        ip_families=tuple(dict.fromkeys(family for settings in nodes for family in settings.ip_families)),
        service_cidrs=tuple(dict.fromkeys(net for settings in nodes for net in settings.service_cidrs)),
        load_balancer_pools=_pools(nodes),
        strict=any(settings.strict for settings in nodes),
        local_without_node=bool(nodes) and all(node.endpoints_without_node == "local" for node in nodes),
        nodes=tuple(_node(settings) for settings in nodes if settings.node_name),
        schedulers=tuple(filter(None, schedulers)),
        remembers_clients=min(filter(None, unsettled), default=0),
        node_addresses=tuple(dict.fromkeys(text for settings in nodes for text in settings.node_addresses)),
    )


def _node(settings: Settings) -> Node:
    ips = tuple(filter(None, map(settings.node_ip, addresses.FAMILIES)))
    return Node(settings.node_name, tuple(settings.labels.items()), ips)


def _pools(nodes: Iterable[Settings]) -> tuple[Pool, ...]:
    found = {pool.name: pool for settings in nodes for pool in settings.load_balancer_pools}
    for settings in nodes:
        for pool in settings.load_balancer_pools:
            if pool != found[pool.name]:
                message = f"pool {pool.name} is another one on {settings.node_name}: nodes share their pools"
                raise InputError([Fault("settings", 0, "", "sluice_load_balancer_pools", message)])
    return tuple(found.values())


def _sound(settings: Settings) -> Settings:
    """``settings`` as whoever reads variables would have made them."""
    return from_variables(to_variables(settings), backends=registry.BACKENDS)[0]


def _backend(settings: Settings) -> Backend:
    try:
        backend = registry.BACKENDS[settings.backend]
    except KeyError:
        message = f"must be one of {', '.join(registry.BACKENDS)}, is {settings.backend!r}"
        raise InputError([Fault("settings", 0, "", "sluice_backend", message)]) from None
    if backend.releases and settings.compat not in backend.releases:
        message = f"backend {backend.name} is not there for {settings.compat}"
        raise InputError([Fault("settings", 0, "", "sluice_compat", message)])
    return backend
