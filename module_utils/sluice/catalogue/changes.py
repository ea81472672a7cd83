"""What differs between two catalogues, in lines by Service: what a person wants to know before any rule.

``shop/web:http: + 10.78.0.24:8080, - 10.78.0.21:8080`` is a service port with other endpoints,
``shop/web: type ClusterIP -> NodePort`` a Service with another field.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ..addresses import host_port
from ..faults import printable
from ..names import display_name
from .counts import several
from .model import Catalogue, Endpoint, HostPort, Ingress, Service, ServicePort
from .objects import EXTERNAL_NAME

SHOWN = 8
"""How many of what was added, of what was removed and of what was changed one line names."""

READY = "ready"

Thing = TypeVar("Thing")
_Key = tuple[str, str]


def lines(before: Catalogue, after: Catalogue) -> list[str]:
    """A line for each Service, service port, host port and Node that differs: Services by name, the others behind them.

    Nothing where the catalogues are the same, or say the same in another order.
    """
    found = [*_services(before, after), *_host_ports(before, after), *_nodes(before, after)]
    return list(map(printable, found))


def cut(found: Sequence[str], most: int, hint: str = "") -> list[str]:
    """The first ``most`` of ``found``, and how many more there are, with a ``hint`` at how to see them."""
    return [*found[:most], f"… and {len(found) - most} more{hint}"] if len(found) > most else list(found)


def _differing(was: Mapping[Thing, Any], now: Mapping[Thing, Any]) -> list[Thing]:
    """The keys of what differs: those of ``now`` in its order, then those that only ``was`` has."""
    return [key for key in {**now, **was} if was.get(key) != now.get(key)]


def _listed(was: Mapping[Thing, str], now: Mapping[Thing, str], told: Callable[[Thing], Sequence[str]]) -> list[str]:
    """``+`` and ``-`` for what only one has, by its text; what ``told`` says of those that both have."""
    added = [f"+ {now[key]}" for key in now if key not in was]
    removed = [f"- {was[key]}" for key in was if key not in now]
    changed = [line for key in now if key in was for line in told(key)]
    return [line for several in (added, removed, changed) for line in cut(several, SHOWN)]


# --- fields

_WORDS = {
    "cluster_ips": "cluster IPs",
    "external_ips": "external IPs",
    "ingress": "load balancer IPs",
    "affinity_seconds": "session affinity",
    "external_local": "external traffic policy",
    "internal_local": "internal traffic policy",
    "ip_family_policy": "IP family policy",
    "pod_id": "Pod's id",
}
"""What fields are called, where that is not their name."""

_TEXTS: dict[str, Callable[[Any], str]] = {
    "affinity_seconds": lambda value: f"{value} s" if value else "none",
    "external_local": lambda value: "Local" if value else "Cluster",
    "internal_local": lambda value: "Local" if value else "Cluster",
    "weight": lambda value: "default" if value is None else f"{value}",
}


def _fields(before: Any, after: Any, omitted: Iterable[str] = ()) -> Iterator[str]:
    """What differs between two NamedTuples of one type, field by field: ``node port none -> 30080``."""
    for name, was, now in zip(before._fields, before, after):
        if was != now and name not in omitted:
            word = _WORDS.get(name) or name.replace("_", " ")
            if isinstance(was, tuple):
                yield f"{word} {_entries(was, now)}"
            else:
                text = _TEXTS.get(name, _plain)
                yield f"{word} {text(was)} -> {text(now)}"


def _plain(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value}" if value else "none"


def _entries(before: Iterable[Any], after: Iterable[Any]) -> str:
    """What was added to a list and removed from it; the whole of both where only their order differs."""
    was, now = ({_entry(value): _entry(value) for value in several} for several in (before, after))
    return ", ".join(_listed(was, now, lambda key: ())) or f"{', '.join(was)} -> {', '.join(now)}"


def _entry(value: Any) -> str:
    if isinstance(value, Ingress):
        return value.address if value.mode == "VIP" else f"{value.address} ({value.mode})"
    return "=".join(value) if isinstance(value, tuple) else value


# --- Services and their ports


def _services(before: Catalogue, after: Catalogue) -> Iterator[str]:
    was, now = _by_name(before), _by_name(after)
    for key in sorted(_differing(was, now)):
        name = display_name(*key)
        if key not in was:
            yield f"+ {name} ({_told(now[key][0])})"
        elif key not in now:
            yield f"- {name}"
        else:
            (old, programmed), (new, programs) = was[key], now[key]
            found = [*_fields(old, new, ("ports", "slices"))]
            if programmed != programs:
                found.append("is programmed now" if programs else "is not programmed any more")
            if found:
                yield f"{name}: {', '.join(found)}"
            yield from _ports(old, new)


def _by_name(catalogue: Catalogue) -> dict[_Key, tuple[Service, bool]]:
    """Each Service, and whether it programs anything."""
    found = {(service.namespace, service.name): (service, False) for service in catalogue.idle}
    found.update(((service.namespace, service.name), (service, True)) for service in catalogue.services)
    return found


def _told(service: Service) -> str:
    if service.type == EXTERNAL_NAME:
        return f"{service.type} {service.external_name}"
    ends = {end.address: end for piece in service.slices for end in piece.endpoints}
    reached = [*(service.cluster_ips or ["None"]), *(one.address for one in service.ingress), *service.external_ips]
    reached += [f"node port {port.node_port}" for port in service.ports if port.node_port]
    return f"{service.type} {', '.join(cut(reached, SHOWN))}, {_counted(ends.values())}"


def _counted(ends: Iterable[Endpoint]) -> str:
    """``3 endpoints, 1 not ready``."""
    states = collections.Counter(map(_state, ends))
    others = "".join(f", {states[state]} {state}" for state in sorted(states) if state != READY)
    return several(sum(states.values()), "endpoint") + others


def _ports(before: Service, after: Service) -> Iterator[str]:
    was, now = (_ports_by_key(service) for service in (before, after))
    old_ends, new_ends = (_endpoints(service) for service in (before, after))
    for key in {**now, **was, **new_ends, **old_ends}:
        old, new, ends = was.get(key), now.get(key), new_ends.get(key, {})
        found: list[str] = []
        if new and not old:
            found.append(f"+ port {new.port}/{new.protocol} ({_counted(ends.values())})")
        elif old and not new:
            found.append(f"- port {old.port}/{old.protocol}")
        else:
            found += _fields(old, new) if old and new else ()
            found += _ends(old_ends.get(key, {}), ends)
        if found:
            yield f"{display_name(after.namespace, after.name, key[0])}: {', '.join(found)}"


def _ports_by_key(service: Service) -> dict[_Key, ServicePort]:
    return {(port.name, port.protocol): port for port in service.ports}


def _endpoints(service: Service) -> dict[_Key, dict[str, Endpoint]]:
    """By port of the endpoints and by ``address:port``. The better entry counts where two have one address."""
    found: dict[_Key, dict[str, Endpoint]] = {}
    for piece in service.slices:
        for name, protocol, port in piece.ports or (("", "", 0),):
            ends = found.setdefault((name, protocol), {})
            for end in piece.endpoints:
                text = host_port(end.address, port) if port else end.address
                ends[text] = max(ends.get(text, end), end, key=_worth)
    return found


def _worth(end: Endpoint) -> tuple[object, ...]:
    return not end.terminating, end.ready, end.serving, repr(end)


def _ends(was: Mapping[str, Endpoint], now: Mapping[str, Endpoint]) -> list[str]:
    def told(text: str) -> Iterator[str]:
        old, new = was[text], now[text]
        if old == new:
            return
        found = [f"{_state(old)} -> {_state(new)}"] if _state(old) != _state(new) else []
        found += _fields(old, new, ("address", "ready", "serving", "terminating"))
        if found:
            yield f"{text} {' and '.join(found)}"

    return _listed(_with_states(was), _with_states(now), lambda text: list(told(text)))


def _with_states(ends: Mapping[str, Endpoint]) -> dict[str, str]:
    return {text: text if _state(ends[text]) == READY else f"{text} ({_state(ends[text])})" for text in sorted(ends)}


def _state(end: Endpoint) -> str:
    if end.terminating:
        return "terminating" if end.serving else "terminating and not serving"
    if not end.ready:
        return "not ready"
    return "drained" if end.weight == 0 else READY


# --- host ports and Nodes


def _host_ports(before: Catalogue, after: Catalogue) -> Iterator[str]:
    was, now = ({_host_port_key(port): port for port in each.host_ports} for each in (before, after))
    for key in sorted(_differing(was, now)):
        if key in was and key in now:
            told = ", ".join(_fields(was[key], now[key]))
        else:
            told = f"- {_pod(was[key])}" if key in was else f"+ {_pod(now[key])}"
        node, address, port, protocol = key
        where = host_port(address, port) if address else f"{port}"
        yield f"host port {where}/{protocol} on {node}: {told}"


def _host_port_key(port: HostPort) -> tuple[str, str, int, str]:
    return port.node, port.host_ip, port.host_port, port.protocol


def _pod(port: HostPort) -> str:
    return f"{port.namespace}/{port.pod} ({', '.join(host_port(address, port.port) for address in port.addresses)})"


def _nodes(before: Catalogue, after: Catalogue) -> Iterator[str]:
    was, now = ({node.name: node for node in each.nodes} for each in (before, after))
    for name in sorted(_differing(was, now)):
        if name not in was or name not in now:
            yield f"{'-' if name in was else '+'} Node {name}"
        else:
            yield f"Node {name}: {', '.join(_fields(was[name], now[name]))}"
