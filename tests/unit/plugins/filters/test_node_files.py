"""The filter node_files gives what the engine renders, from a catalogue's path."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.sluice.lb.plugins.filter.node_files import FilterModule
from support import catalogue, endpoint_slice, node, rendered, service

from sluice import settings
from sluice.catalogue import compiled

node_files = FilterModule().filters()["node_files"]
WEB = catalogue(service(), endpoint_slice("10.244.1.1"))


@pytest.mark.parametrize("backend", ["iptables", "ipvs"])
def test_what_the_engine_renders(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.json"
    path.write_text(compiled.text(WEB))
    own = node(backend=backend)
    assert node_files(path, settings.to_variables(own)) == rendered(WEB, own)


def test_no_catalogue(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"missing.json: catalogue: No such file or directory$"):
        node_files(str(tmp_path / "missing.json"), {})
