"""A catalogue and settings to a node's files, and what the settings of all nodes say about the catalogue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import strategies
from support import catalogue, endpoint_slice, node, service

from sluice import render
from sluice.addresses import IPV4, IPV6
from sluice.backends import registry
from sluice.catalogue import model
from sluice.faults import InputError
from sluice.settings import Settings

WEB = catalogue(service(), endpoint_slice("10.244.1.1"))


def test_a_view_for_each_family() -> None:
    assert list(render.views(WEB, node(ip_families=[IPV6, IPV4]))) == [IPV6, IPV4]
    assert list(render.views(WEB, node())) == [IPV4]


@pytest.mark.parametrize("backend", registry.BACKENDS)
def test_files_are_those_of_the_backend_s_layers(backend: str) -> None:
    own = node(backend=backend, ip_families=[IPV4, IPV6])
    found = render.render(render.views(WEB, own), own)
    names = {name for layer in registry.BACKENDS[backend].layers for name in layer.files(own.ip_families)}
    assert set(found) == {"settings.json", *names}
    assert json.loads(found["settings.json"])["backend"] == backend


def test_a_release_that_the_backend_does_not_know() -> None:
    own = Settings(backend="nftables", compat="1.20")
    for call in (lambda: render.render({}, own), lambda: render.checks_for([own])):
        with pytest.raises(InputError, match=r"sluice_compat: backend nftables is not there for 1\.20"):
            call()


def test_unknown_backend() -> None:
    own = Settings(backend="nobody")
    for call in (
        lambda: render.render({}, own),
        lambda: render.needs({}, own, (6, 1)),
        lambda: render.checks_for([own]),
    ):
        with pytest.raises(InputError, match="sluice_backend: must be one of iptables, ipvs, nftables, is 'nobody'"):
            call()


def test_needs_are_of_the_backend() -> None:
    assert "dummy" not in render.needs({}, node(), (6, 1)).modules
    assert "dummy" in render.needs({}, node(backend="ipvs"), (6, 1)).modules


@pytest.mark.parametrize(
    ("kind", "health", "pings"), [("icmp", True, True), ("tcpSocket", True, False), ("icmp", False, False)]
)
def test_who_asks_by_icmp_may_do_so(kind: str, health: bool, pings: bool) -> None:
    asked = catalogue(
        service(annotations={"sluice.io/health-check": json.dumps({kind: {}})}), endpoint_slice("10.1.1.1")
    )
    own = node(health=health)
    found = render.needs(render.views(asked, own), own, (6, 1)).sysctls
    assert found.get("net.ipv4.ping_group_range") == ("0 2147483647" if pings else None)
    assert found["net.ipv4.ip_forward"] == "1"


def test_a_node_port_has_to_be_in_the_range_of_every_node() -> None:
    nodes = [Settings(nodeport_range=(30000, 31000)), Settings(nodeport_range=(30500, 32767))]
    assert render.checks_for(nodes).nodeport_range == (30500, 31000)


def test_checks_of_several_nodes() -> None:
    nodes = [
        Settings(backend="ipvs", ipvs_scheduler="sh", service_cidrs=("10.96.0.0/12",), node_addresses=("10.0.0.1",)),
        Settings(backend="ipvs", ipvs_scheduler="sh", node_addresses=("10.0.0.2", "10.0.0.1")),
        Settings(ipvs_scheduler="mh"),
    ]
    checks = render.checks_for(nodes)
    assert checks.schedulers == ("sh",), "the iptables backend has none"
    assert checks.service_cidrs == ("10.96.0.0/12",)
    assert checks.node_addresses == ("10.0.0.1", "10.0.0.2")


# --- the last step: whatever has made the catalogue

PORT = model.ServicePort("http", "TCP", 80, "http", 30080)
SLICE = model.EndpointSlice(
    IPV4,
    (model.SlicePort("http", "TCP", 8080),),
    (model.Endpoint("10.244.1.1", "node1", weight=3), model.Endpoint("10.244.1.2")),
)
FULL = model.Service(
    *("shop", "web", "LoadBalancer", ("10.96.0.1",), (PORT,), (SLICE,), ("198.51.100.1",)),
    (model.Ingress("192.0.2.1"),),
    source_ranges=("203.0.113.0/24",),
    affinity_seconds=60,
    health_check_node_port=32000,
)
POD = model.HostPort("shop", "agent", "6b3a", "node1", "TCP", "10.0.0.10", 92, ("10.244.0.9",), 91)
NASTY = [text for text in strategies.NASTY if text]


def spoilt(value: Any, bad: str) -> Iterator[Any]:
    """``value`` with each text in it in turn replaced by ``bad``, and with ``bad`` before it and behind it."""
    if isinstance(value, str):
        yield from (bad, bad + value, value + bad)
    elif isinstance(value, tuple):
        for index, entry in enumerate(value):
            for other in spoilt(entry, bad):
                changed = (*value[:index], other, *value[index + 1 :])
                yield type(value)(*changed) if hasattr(value, "_fields") else changed


@pytest.mark.parametrize("bad", NASTY)
@pytest.mark.parametrize("backend", registry.BACKENDS)
def test_nothing_but_names_and_numbers_gets_into_a_file(backend: str, bad: str) -> None:
    """Catalogues that no validation has seen: refused, or none of their text is in a file."""
    refused = 0
    for found in spoilt(model.Catalogue((FULL,), (POD,)), bad):
        own = node(backend=backend)
        try:
            rendered = render.render(render.views(found, own), own)
        except InputError as error:
            refused += 1
            assert all(str(fault).isprintable() for fault in error.faults)
        else:
            for text in rendered.values():
                assert bad not in text or bad in (" ", "\n", "-j ACCEPT", "\\", "'")
                assert "INPUT -j ACCEPT" not in text
                assert text.count("\n") == len(text.splitlines())
    assert refused > 10


@pytest.mark.parametrize("backend", registry.BACKENDS)
def test_settings_of_no_form(backend: str) -> None:
    """Also those that nothing has read from variables."""
    for field, value in (
        ("cluster_cidrs", ("10.0.0.0/8 -j ACCEPT",)),
        ("node_addresses", ("10.0.0.1\n-A INPUT",)),
        ("nodeport_addresses", ("10.0.0.0/8\n-j",)),
        ("ipvs_scheduler", "rr -p 1"),
        ("compat", "1.36\n"),
        ("iptables_variant", "nft\n"),
        ("masquerade_bit", 99),
    ):
        own = node(backend=backend)._replace(**{field: value})
        for call in (lambda own=own: render.render({}, own), lambda own=own: render.needs({}, own, (6, 1))):
            with pytest.raises(InputError, match=f"sluice_{field}"):
                call()


def test_flags_of_another_scheduler_are_a_line() -> None:
    """Which scheduler a Service has may be the node's to say, and what was compiled does not know the node."""
    own = node(backend="ipvs", ipvs_scheduler="rr")
    found = model.Catalogue((FULL._replace(annotations=(("scheduler-flags", "sh-port"),)),))
    views = render.views(found, own)
    line = "catalogue: Service shop/web:http: metadata.annotations: scheduler rr takes none, not 'sh-port'"
    for call in (lambda: render.render(views, own), lambda: render.needs(views, own, (6, 1))):
        with pytest.raises(InputError) as caught:
            call()
        assert str(caught.value) == line


def test_more_checks_than_a_node_can_do_are_refused() -> None:
    own = node(health=True, health_check={"tcpSocket": {}, "periodSeconds": 0.1}, health_max_per_second=10)
    found = catalogue(service(), endpoint_slice("10.244.1.1", "10.244.1.2"))
    with pytest.raises(InputError) as caught:
        render.render(render.views(found, own), own)
    (fault,) = caught.value.faults
    assert fault.field == "sluice_health_max_per_second"
    assert fault.message.startswith("20.0 health checks a second, more than 10: ")
