"""The module catalogue compiles in Ansible's own process, and reports all that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support import NODE, service

from sluice.catalogue import sources


def test_a_catalogue_is_compiled(act: Any, tmp_path: Path) -> None:
    path = tmp_path / "out" / "catalogue.json"
    web = service(selector={"app": "web"}, type="LoadBalancer", ingress=["10.0.0.10"])
    hosts = [{"name": "a", "labels": {"app": "web"}, "endpoint_ip": "10.0.0.1"}]
    done = act("catalogue", manifests=[web], endpoint_hosts=hosts, nodes=[NODE], path=str(path))
    assert (done["changed"], done["services"], done["endpoints"]) == (False, 1, 1)
    assert "10.0.0.10 is a node's own address" in str(done["warnings"])
    assert [each.full_name for each in sources.compiled(str(path)).services] == ["shop/web"]


def test_every_fault_is_a_line(act: Any, tmp_path: Path) -> None:
    bad = [service("a", ports=[{"port": 0}]), service("b", ip="10.96.0.2", type="nothing")]
    done = act("catalogue", manifests=bad, paths=[str(tmp_path / "missing")], path=str(tmp_path / "catalogue.json"))
    head, *lines = done["msg"].splitlines()
    assert head.endswith("The catalogue is not valid; nothing was changed.")
    assert len(lines) == 3
    assert not (tmp_path / "catalogue.json").exists()
