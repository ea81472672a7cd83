"""Which Services a node's rules tell of, in every recorded dump: those of the case's manifests, and no others."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import support
import yaml

from sluice import addresses, render, settings, view
from sluice.addresses import IPV4, IPV6
from sluice.backends.interface import Memo
from sluice.backends.nftables.backend import BACKEND
from sluice.backends.nftables.text import FILE
from sluice.catalogue import sources
from sluice.observe.service_ports import ServicePort
from sluice.observe.services import services
from sluice.observe.snapshot import Snapshot, snapshot
from sluice.view import PortView, Target

HERE = Path(__file__).parent
RECORDED = sorted(
    {(path.parents[1].name, path.parents[0].name, path.stem) for path in HERE.glob("[0-9]*/*/*.rules")},
)
CASES = sorted(path.stem for path in (HERE / "1.36" / "iptables").glob("*.rules"))


def dump(version: str, mode: str, case: str) -> Snapshot:
    """All that was recorded of a case."""
    found = sorted((HERE / version / mode).glob(f"{case}.*"))
    return snapshot((path.name, path.read_text()) for path in found if path.suffix != ".held")


@functools.cache
def views(version: str, mode: str, case: str) -> dict[str, view.View]:
    """What the case's node programs, by family."""
    variables: dict[str, Any] = yaml.safe_load((HERE / "settings.yaml").read_text())[case]
    variables |= {"sluice_compat": version, "sluice_backend": mode}
    variables |= variables.pop("per_version", {}).get(version, {})
    node, _warnings = settings.from_variables(variables, case)
    manifests = sources.read([str(HERE / "cases" / f"{case}.yaml")])
    catalogue, _ = sources.catalogue_of(manifests, (), render.checks_for([node]))
    return {family: view.view(catalogue, node, family) for family in node.ip_families}


def _texts(targets: Iterable[Target]) -> list[str]:
    return sorted({target.text for target in targets})


def _wanted(port: PortView) -> dict[str, Any]:
    """What rules with names tell of a service port."""
    inside = port.has_endpoints and not (port.internal_local and not port.local)
    outside = port.has_endpoints and not (port.external_local and not port.local)
    refusal = "has no local endpoints" if port.has_endpoints else "has no endpoints"
    return {
        "name": port.display_name,
        "protocol": port.protocol,
        "cluster_ip": port.cluster_ip,
        "port": port.port,
        "node_port": port.node_port,
        "outer": sorted({*port.external_ips, *port.load_balancer_ips}),
        "endpoints": _texts(port.cluster),
        "local": _texts(port.local),
        "inside": "" if inside else refusal,
        "outside": "" if outside or not port.external else refusal,
        "ranges": sorted(port.source_ranges) if port.has_endpoints and port.load_balancer_ips else [],
        "affinity": port.affinity_seconds if port.targets else 0,
    }


def _found(port: ServicePort) -> dict[str, Any]:
    return {
        "name": port.name,
        "protocol": port.protocol,
        "cluster_ip": port.cluster_ip,
        "port": port.port,
        "node_port": port.node_port,
        "outer": sorted({*port.external_ips, *port.load_balancer_ips}),
        "endpoints": sorted(each.text for each in port.endpoints),
        "local": sorted(each.text for each in port.local_endpoints),
        "inside": port.inside,
        "outside": port.outside,
        "ranges": sorted(each if "/" in each else addresses.host_network(each) for each in port.source_ranges),
        "affinity": port.affinity_seconds,
    }


def _key(port: dict[str, Any]) -> tuple[str, str]:
    return port["name"], port["cluster_ip"]


def _agrees(found: list[ServicePort], seen: dict[str, view.View]) -> None:
    wanted = [_wanted(port) for each in seen.values() for port in each.ports]
    assert sorted(map(_found, found), key=_key) == sorted(wanted, key=_key)
    by_name = {
        (port.display_name, port.protocol, port.cluster_ip): port for each in seen.values() for port in each.ports
    }
    for each in found:
        port = by_name[each.name, each.protocol, each.cluster_ip]
        if each.internal_policy:
            assert each.internal_policy == ("Local" if port.internal_local else "Cluster")
        if each.external_policy:
            assert each.external_policy == ("Local" if port.external_local else "Cluster")
        for endpoints in (each.endpoints, each.local_endpoints):
            assert not endpoints or sum(one.share for one in endpoints) == 1
            assert len({one.share for one in endpoints}) <= 1, "kube-proxy shares evenly"


@pytest.mark.parametrize(("version", "mode", "case"), [each for each in RECORDED if each[1] == "iptables"])
def test_services_in_rules_of_iptables(version: str, mode: str, case: str) -> None:
    _agrees(services(dump(version, mode, case)), views(version, mode, case))


@pytest.mark.parametrize(("version", "mode", "case"), [each for each in RECORDED if each[1] == "ipvs"])
def test_services_in_virtual_servers(version: str, mode: str, case: str) -> None:
    """They have no names, and do not tell why nobody answers."""
    held = dump(version, mode, case)
    found = services(held)
    wanted = [port for each in views(version, mode, case).values() for port in each.ports]
    assert sorted((each.cluster_ip, each.port, each.protocol) for each in found if each.cluster_ip) == sorted(
        (port.cluster_ip, port.port, port.protocol) for port in wanted
    )
    by_address = {(port.cluster_ip, port.port, port.protocol): port for port in wanted}
    for each in found:
        port = by_address.get((each.cluster_ip, each.port, each.protocol))
        if port is None:
            # Of several with the same endpoints nobody can tell whose an address is.
            assert not each.cluster_ip
            continue
        inside = port.local if port.internal_local else port.cluster
        assert sorted(one.text for one in each.endpoints) in (_texts(inside), _texts(port.cluster))
        assert each.affinity_seconds == port.affinity_seconds
        assert set(each.external_ips) <= set(port.external_ips)
        assert set(each.load_balancer_ips) <= set(port.load_balancer_ips)
        assert each.node_port in (0, port.node_port)
        if each.local_endpoints:
            assert sorted(one.text for one in each.local_endpoints) == _texts(port.local)
    assert {ip for each in found for ip in each.external_ips} == {ip for port in wanted for ip in port.external_ips}
    assert {ip for each in found for ip in each.load_balancer_ips} == {
        ip for port in wanted for ip in port.load_balancer_ips
    }
    assert {each.node_port for each in found} - {0} == {port.node_port for port in wanted} - {0}


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("case", CASES)
def test_services_in_sluices_own_table(case: str) -> None:
    """As the kernel gives it back."""
    variables: dict[str, Any] = yaml.safe_load((HERE / "settings.yaml").read_text())[case]
    variables |= {"sluice_compat": "1.36", "sluice_backend": "nftables"}
    variables |= variables.pop("per_version", {}).get("1.36", {})
    node, _warnings = settings.from_variables(variables, case)
    manifests = sources.read([str(HERE / "cases" / f"{case}.yaml")])
    catalogue, _ = sources.catalogue_of(manifests, (), render.checks_for([node]))
    text = BACKEND.render(render.views(catalogue, node), node, Memo())[FILE]
    listed = support.in_a_namespace("nft -f - && nft -j list ruleset", text)
    seen = {family: view.view(catalogue, node, family) for family in node.ip_families}
    _agrees(services(snapshot([("nft", listed)])), seen)


def test_families_were_seen() -> None:
    found = services(dump("1.36", "iptables", "37-dual-stack"))
    assert {each.family for each in found} == {IPV4, IPV6}
