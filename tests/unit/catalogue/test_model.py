"""A catalogue that was compiled comes back whole, or not at all."""

from __future__ import annotations

from pathlib import Path

from bad_input import GOOD
from support import endpoint, endpoint_slice, service

from sluice.catalogue import model, sources
from sluice.catalogue.model import Catalogue, Node


def test_compiled_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "good.yml"
    path.write_text(GOOD)
    hinted = [service("hinted", ip="10.96.0.9"), endpoint_slice(endpoint("10.244.3.1", zones=["a"]), of="hinted")]
    found, _ = sources.catalogue_of(sources.read([str(path)], hinted))
    found = found._replace(nodes=(Node("node1", (("zone", "a"),), ("10.0.0.1",)),))
    assert model.load_compiled(model.compiled(found)) == found
    assert all((found.services, found.host_ports, found.nodes))


def test_another_format_is_none() -> None:
    text = model.compiled(Catalogue())
    assert model.load_compiled(text) == Catalogue()
    assert model.load_compiled(text.replace(model.FORMAT, "sluice-catalogue-0")) is None
    assert model.load_compiled("") is None


def test_a_node_that_the_catalogue_has() -> None:
    found = Catalogue(nodes=(Node("a", (("zone", "x"),), ("10.0.0.1",)),))
    assert (found.node_labels("a"), found.node_ips("a")) == ({"zone": "x"}, ("10.0.0.1",))
    assert (found.node_labels("b"), found.node_ips("b")) == ({}, ())
