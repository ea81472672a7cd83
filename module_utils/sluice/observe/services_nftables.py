"""Services in the nftables tables of kube-proxy (1.29 and later): chains by name, maps of verdicts."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ..addresses import host_port
from .nft_values import Value, pattern
from .nftables import Table
from .service_ports import (
    CLUSTER,
    KUBE_PROXY,
    LOCAL,
    NO_ENDPOINTS,
    NO_LOCAL_ENDPOINTS,
    Endpoints,
    ServicePort,
    evenly,
)
from .services_flat import elements, networks

TABLE = "kube-proxy"
OF_A_SERVICE = re.compile(r"(service|local|external|firewall|endpoint|affinity)-(\w+)-(.*)")
WAYS = ("service-ips", "service-nodeports", "no-endpoint-services", "no-endpoint-nodeports", "firewall-ips")
"""The maps that lead to Services, or refuse what is for them."""

_NUMBERS: Mapping[Value, str] = {6: "tcp", 17: "udp", 132: "sctp"}
_NAME = re.compile(r"([^/]+)/([^/]+)/(tcp|udp|sctp)/([^_/]*)")


def ports(table: Table) -> Iterator[ServicePort]:
    """The service ports in a table of kube-proxy; none in any other."""
    if table.name != TABLE:
        return
    found: dict[tuple[str, str], dict[str, Any]] = {}
    inside = _cluster_ips(table)
    here = {host_port(key[0], key[3]) for key, _data, _about in elements(table, "hairpin-connections")}
    for kind in WAYS:
        for key, data, about in elements(table, kind):
            name, digest = whose(data, about)
            if name:
                protocol = _NUMBERS.get(key[-2], key[-2])  # as nft -n lists it
                of = found.setdefault((name, protocol), {"digest": "", "ways": []})
                of["digest"] = of["digest"] or digest
                of["ways"].append((kind, key, data))
    own = tuple(sorted(map(str, (key for key, _data, _about in elements(table, "nodeport-ips")))))
    for (name, protocol), of in found.items():
        port = ServicePort(KUBE_PROXY, name, protocol, entries=len(of["ways"]))
        ips = inside if "cluster-ips" in table.listed else _nearest(of["ways"], inside)
        for kind, key, data in of["ways"]:
            port = _with_way(port, kind, key, leads_to(data), ips)
        port = _with_chains(table, port, of["digest"])
        yield port._replace(
            node_addresses=own if port.node_port else (),
            # A port with source ranges has them for all of its load balancer's addresses.
            unsure_ips=() if port.source_ranges else port.external_ips,
            # With policy Local its own rules tell which they are.
            on_node=frozenset(
                () if LOCAL in (port.internal_policy, port.external_policy) else here.intersection(port.all_endpoints)
            ),
        )


def _cluster_ips(table: Table) -> set[Value]:
    """Of kube-proxy 1.29, which has no set of them, those that serve somebody."""
    if "cluster-ips" in table.listed:
        return {key for key, _data, _about in elements(table, "cluster-ips")}
    ways = elements(table, "service-ips")
    return {key[0] for key, data, _about in ways if leads_to(data).startswith(_INSIDE)}


def _nearest(ways: Iterable[tuple[str, Any, Any]], known: Collection[Value]) -> set[Value]:
    """The cluster IP of a service port, if only by its likeness to others: they are of one network."""
    own: set[Value] = {key[0] for kind, key, _data in ways if kind in ("service-ips", "no-endpoint-services")}
    served = own.intersection(known)
    if served or not own or not known:
        return served or set(sorted(own, key=str)[:1])
    other = int(ipaddress.ip_address(str(min(known, key=str))))
    return {min(own, key=lambda each: (int(ipaddress.ip_address(str(each))) ^ other, str(each)))}


_INSIDE = ("service-", "local-")
"""Chains that cluster IPs lead to."""


def leads_to(data: Any) -> str:
    """The chain that a verdict leads to, or the verdict itself."""
    for kind, of in data.items():
        return str(of["target"]) if kind in ("goto", "jump") else str(kind)
    return ""


def whose(data: Any, about: str) -> tuple[str, str]:
    """The name of the service port, and what all of its chains end in."""
    found = OF_A_SERVICE.match(leads_to(data))
    name = _NAME.match(found[3]) if found else None
    if not found or not name:
        return about.rstrip(":"), ""
    return f"{name[1]}/{name[2]}" + (f":{name[4]}" if name[4] else ""), f"{found[2]}-{found[3]}"


def _with_way(port: ServicePort, kind: str, key: tuple[Any, ...], to: str, inside: set[Value]) -> ServicePort:
    if kind == "firewall-ips":
        vips = (*port.load_balancer_ips, key[0])
        return port._replace(
            load_balancer_ips=vips, external_ips=tuple(each for each in port.external_ips if each not in vips)
        )
    refusal = NO_LOCAL_ENDPOINTS if to == "drop" else NO_ENDPOINTS
    of_node = kind.endswith("nodeports")
    port = port._replace(node_port=key[-1]) if of_node else port._replace(port=key[-1])
    if kind.startswith("no-"):
        if not of_node and key[0] in inside:
            policy = LOCAL if to == "drop" else port.internal_policy
            return port._replace(cluster_ip=key[0], inside=refusal, internal_policy=policy)
        policy = LOCAL if to == "drop" else port.external_policy
        port = port._replace(outside=refusal, external_policy=policy)
    elif not of_node and (key[0] in inside or to.startswith(_INSIDE)):
        return port._replace(cluster_ip=key[0], internal_policy=LOCAL if to.startswith("local-") else CLUSTER)
    if not of_node and key[0] not in (*port.external_ips, *port.load_balancer_ips):
        port = port._replace(external_ips=(*port.external_ips, key[0]))
    return port


def _with_chains(table: Table, port: ServicePort, digest: str) -> ServicePort:
    chains = {part: f"{part}-{digest}" for part in ("service", "local", "external", "firewall")} if digest else {}
    rules = {part: table.rules.get(name, []) for part, name in chains.items()}
    external = rules.get("external", [])
    policy = port.external_policy
    if external and not policy:
        # Policy Cluster masquerades everybody; policy Local asks where a client is first.
        policy = CLUSTER if any(is_mark(rule[0]) for rule in external if rule) else LOCAL
    ends = {end for part in ("service", "local") for rule in rules.get(part, ()) for end in _ends(table, rule)}
    timeouts = [table.listed.get(end.replace("endpoint-", "affinity-", 1), {}).get("timeout") for end in ends]
    vips = port.load_balancer_ips
    ranges = [each for rule in rules.get("firewall", ()) for each in _ranges(rule)]
    return port._replace(
        endpoints=_endpoints(table, rules.get("service", [])),
        local_endpoints=_endpoints(table, rules.get("local", [])),
        external_policy=policy,
        affinity_seconds=next((int(each) for each in timeouts if each), 0),
        # A node that may enter does so from the load balancer's own address.
        source_ranges=tuple(each for each in ranges if each not in vips),
        node_may_enter=any(each in vips for each in ranges),
        entries=port.entries + sum(map(len, rules.values())) + sum(len(table.rules.get(end, ())) for end in ends),
    )


def is_mark(statement: Mapping[str, Any]) -> bool:
    """Whether a statement marks what is to be masqueraded."""
    target = statement.get("jump", {}).get("target", "")
    return "mangle" in statement or target == "mark-for-masquerade"


def _endpoints(table: Table, rules: Iterable[Any]) -> Endpoints:
    for rule in rules:
        found = list(_slots(table, rule))
        if found:
            return evenly(found)
    return ()


def _slots(table: Table, rule: Iterable[Any]) -> Iterator[str]:
    """The endpoints between which a rule chooses by chance; one that asks for a known client chooses nobody."""
    for statement in rule:
        for kind, of in statement.items():
            if kind == "match":
                if isinstance(of["right"], str) and of["right"].startswith("@affinity-"):
                    return
            elif kind == "vmap":
                for _key, verdict in inline(of["data"]):
                    yield from _of_chain(table, leads_to(verdict))
            elif kind in ("goto", "jump") and of["target"].startswith("endpoint-"):
                yield from _of_chain(table, of["target"])
            elif kind == "dnat":
                yield from destinations(of)


def _ends(table: Table, rule: Iterable[Any]) -> Iterator[str]:
    """The chains of endpoints that a rule leads to."""
    for statement in rule:
        for kind, of in statement.items():
            targets = [of["target"]] if kind in ("goto", "jump") else []
            if kind == "vmap":
                targets = [leads_to(verdict) for _key, verdict in inline(of["data"])]
            yield from (each for each in targets if each.startswith("endpoint-") and each in table.rules)


def _of_chain(table: Table, chain: str) -> Iterator[str]:
    for rule in table.rules.get(chain, ()):
        for statement in rule:
            if "dnat" in statement:
                yield from destinations(statement["dnat"])


def destinations(of: Mapping[str, Any]) -> Iterator[str]:
    """Where a ``dnat`` sends to."""
    where = of["addr"]
    if isinstance(where, dict) and "map" in where:
        for _key, data in inline(where["map"]["data"]):
            yield host_port(*pattern(data))
    elif "port" in of:
        yield host_port(str(pattern(where)), int(pattern(of["port"])))


def inline(data: Any) -> Iterable[Any]:
    """The pairs of a map that stands in a rule."""
    return data["set"] if isinstance(data, dict) else ()


def _ranges(rule: Iterable[Any]) -> Iterator[str]:
    """The networks that a chain ``firewall-`` lets in: it drops all others."""
    for statement in rule:
        match = statement.get("match", {})
        if match.get("op") == "!=" and match.get("left", {}).get("payload", {}).get("field") == "saddr":
            right = match["right"]
            for each in right["set"] if isinstance(right, dict) and "set" in right else [right]:
                yield from networks(each)
