"""A catalogue and settings to a node's files, and what the settings of all nodes say about the catalogue."""

from __future__ import annotations

import json

import pytest
from support import catalogue, endpoint_slice, node, service

from sluice import render
from sluice.addresses import IPV4, IPV6
from sluice.backends import registry
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


def test_unknown_backend() -> None:
    own = Settings(backend="nobody")
    for call in (
        lambda: render.render({}, own),
        lambda: render.needs({}, own, (6, 1)),
        lambda: render.checks_for([own]),
    ):
        with pytest.raises(InputError, match="sluice_backend: must be one of iptables, ipvs, is 'nobody'"):
            call()


def test_needs_are_of_the_backend() -> None:
    assert "dummy" not in render.needs({}, node(), (6, 1)).modules
    assert "dummy" in render.needs({}, node(backend="ipvs"), (6, 1)).modules


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
