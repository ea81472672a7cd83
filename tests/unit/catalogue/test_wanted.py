"""What a Service asks for, by its fields and annotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from support import service

from sluice.catalogue.checks import NO_CHECKS, Checks
from sluice.catalogue.manifests import inline
from sluice.catalogue.reader import ObjectReader
from sluice.catalogue.services import read_service
from sluice.catalogue.wanted import Wanted, wanted
from sluice.faults import Fault

V4, V6 = "IPv4", "IPv6"
DUAL = Checks(ip_families=(V4, V6))
SINGLE = Checks(ip_families=(V4,))


def asks(checks: Checks = NO_CHECKS, ip: Any = "", had: Sequence[str] = (), **spec: Any) -> tuple[Wanted, list[str]]:
    faults: list[Fault] = []
    (manifest,) = inline([service(ip=ip, **spec)])[0]
    entry = ObjectReader(manifest, "Service", faults)
    found = wanted(entry, read_service(entry, checks), checks, had)
    return found, [fault.message for fault in faults]


@pytest.mark.parametrize(
    ("checks", "spec", "families"),
    [
        (NO_CHECKS, {}, [V4]),
        (SINGLE, {}, [V4]),
        (DUAL, {}, [V4]),
        (Checks(ip_families=(V6, V4)), {}, [V6]),
        (DUAL, {"ipFamilies": [V6]}, [V6]),
        (DUAL, {"ipFamilies": [V6, V4]}, [V6, V4]),
        (DUAL, {"ipFamilyPolicy": "SingleStack", "ipFamilies": [V6]}, [V6]),
        (SINGLE, {"ipFamilyPolicy": "PreferDualStack"}, [V4]),
        (NO_CHECKS, {"ipFamilyPolicy": "PreferDualStack"}, [V4, V6]),
        (DUAL, {"ipFamilyPolicy": "PreferDualStack"}, [V4, V6]),
        (DUAL, {"ipFamilyPolicy": "PreferDualStack", "ipFamilies": [V6]}, [V6, V4]),
        (DUAL, {"ipFamilyPolicy": "RequireDualStack", "ip": "fd00::1"}, [V6, V4]),
        (DUAL._replace(service_cidrs=("10.0.0.0/16",)), {"ipFamilyPolicy": "PreferDualStack"}, [V4]),
        (DUAL, {"ip": ["10.96.0.1", "fd00::1"]}, [V4, V6]),
    ],
)
def test_families(checks: Checks, spec: dict[str, Any], families: list[str]) -> None:
    found, faults = asks(checks, **spec)
    assert (list(found.families), faults) == (families, [])


def test_what_was_given_stays_in_a_run_that_knows_only_some_of_the_nodes() -> None:
    assert asks(Checks(ip_families=(V6,)), had=[V4])[0].families == (V4,)
    assert asks(SINGLE, had=[V4, V6], ipFamilyPolicy="PreferDualStack")[0].families == (V4, V6)
    assert asks(SINGLE, had=[V4, V6], ipFamilyPolicy="RequireDualStack")[0].families == (V4, V6)
    assert asks(SINGLE, had=[V4, V6])[0].families == (V4,)
    assert asks(DUAL, had=[V4], ipFamilies=[V6])[0].families == (V6,)


def test_families_that_there_are_not() -> None:
    assert "RequireDualStack needs both families" in asks(SINGLE, ipFamilyPolicy="RequireDualStack")[1][0]
    (warning,) = asks(SINGLE, ipFamilies=[V6])[1]
    assert "no node programs IPv6" in warning
    assert asks(SINGLE, ip="fd00::1", ipFamilies=[V6])[1] == [], "what is declared is not looked at"


@pytest.mark.parametrize(
    ("spec", "node_ports", "health_check", "balancer"),
    [
        ({}, False, False, False),
        ({"type": "NodePort"}, True, False, False),
        ({"type": "NodePort", "externalTrafficPolicy": "Local"}, True, False, False),
        ({"type": "LoadBalancer"}, True, False, True),
        ({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False}, False, False, True),
        ({"type": "LoadBalancer", "externalTrafficPolicy": "Local"}, True, True, True),
        ({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30001}, True, False, True),
        ({"type": "LoadBalancer", "loadBalancerIP": "192.0.2.1"}, True, False, False),
        ({"type": "LoadBalancer", "ingress": ["192.0.2.1"]}, True, False, False),
        ({"type": "LoadBalancer", "annotations": {"sluice.io/load-balancer-ips": "192.0.2.1"}}, True, False, False),
        ({"type": "LoadBalancer", "loadBalancerClass": "example.com/lb"}, True, False, False),
        ({"type": "LoadBalancer", "loadBalancerClass": "sluice.io/lb"}, True, False, True),
    ],
)
def test_node_ports_and_balancer(spec: dict[str, Any], node_ports: bool, health_check: bool, balancer: bool) -> None:
    found, faults = asks(**spec)
    assert (found.node_ports, found.health_check, found.balancer, faults) == (node_ports, health_check, balancer, [])


def test_a_host_name_in_the_status_is_an_address_that_somebody_gave() -> None:
    manifest = service(ip="", type="LoadBalancer")
    manifest["status"] = {"loadBalancer": {"ingress": [{"hostname": "a.example.com"}]}}
    (read,) = inline([manifest])[0]
    entry = ObjectReader(read, "Service", [])
    assert not wanted(entry, read_service(entry, NO_CHECKS), NO_CHECKS).balancer


@pytest.mark.parametrize("prefix", ["sluice.io/", "metallb.io/", "metallb.universe.tf/"])
def test_annotations(prefix: str) -> None:
    pool = "pool" if prefix == "sluice.io/" else "address-pool"
    found, faults = asks(annotations={f"{prefix}{pool}": "public", f"{prefix}allow-shared-ip": "key"})
    assert (found.pool, found.sharing, faults) == ("public", "key", [])


@pytest.mark.parametrize(
    "key", ["sluice.io/load-balancer-ips", "metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs"]
)
def test_addresses_by_annotation(key: str) -> None:
    (manifest,) = inline([service(type="LoadBalancer", annotations={key: "192.0.2.1, FD00::1"})])[0]
    found = read_service(ObjectReader(manifest, "Service", []), NO_CHECKS)
    assert [each.address for each in found.ingress] == ["192.0.2.1", "fd00::1"]
