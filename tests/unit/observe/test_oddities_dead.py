"""Endpoints that do not answer, and real servers that get no new connections, with the Services that share them."""

from __future__ import annotations

from planted import odd, recorded, said

from sluice.observe.explain import explain
from sluice.observe.snapshot import snapshot

RULES = recorded("08-multi-port-named")[".rules"]


def test_neighbour_that_several_services_send_to() -> None:
    (found,) = odd(RULES, "10.244.2.10 dev cni0 FAILED\n10.244.9.9 dev cni0 FAILED\n")
    assert (found.what, found.hurts) == ("dead endpoint that 2 Services share", True)
    assert found.where.startswith("10.244.2.10: default/web:")


def test_endpoint_that_health_checks_know() -> None:
    held = snapshot([("rules", RULES)])
    end = next(iter(explain(held).ports[0].all_endpoints))
    (found,) = explain(held._replace(dead=frozenset({end}))).oddities
    assert (found.what, found.hurts) == ("dead endpoint", True)
    assert not explain(held._replace(dead=frozenset({f"{end}0", "192.0.2.1"}))).oddities


def test_weight_0_of_several_virtual_servers() -> None:
    held = recorded("16-loadbalancer", "ipvs")
    out = held[".ipvs"].replace("-r 10.244.2.10:8080 -m -w 1", "-r 10.244.2.10:8080 -m -w 0")
    found = said(*{**held, ".ipvs": out}.values())
    assert "- endpoint of weight 0 that 4 virtual servers share: ipvs: 10.244.2.10:8080" in found
    assert "still" not in found
    some = held[".ipvs"].replace("-r 10.244.2.10:8080 -m -w 1", "-r 10.244.2.10:8080 -m -w 0", 1)
    assert "it still gets those of tcp" in said(*{**held, ".ipvs": some}.values())
