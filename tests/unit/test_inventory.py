"""The catalogue of an inventory is what a run of Ansible compiles, variables and all."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice import inventory
from sluice.system.tools import NodeError

HOSTS = """\
load_balancers:
  hosts:
    lb1: {ansible_host: 192.0.2.1, sluice_node_ips: ["{{ ansible_host }}"], sluice_labels: {zone: a}}
endpoints:
  hosts:
    web1: {ansible_host: 192.0.2.21, sluice_labels: {app: web}}
"""
WEB = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "web.yml").write_text(WEB)
    path = tmp_path / "hosts.yml"
    path.write_text(HOSTS)
    return path


def test_what_a_run_would_compile(hosts: Path) -> None:
    before = sorted(hosts.parent.rglob("*"))
    found = inventory.catalogue(str(hosts))
    (web,) = found.services
    assert web.cluster_ips
    assert [end.address for piece in web.slices for end in piece.endpoints] == ["192.0.2.21"]
    assert [(node.name, node.addresses) for node in found.nodes] == [("lb1", ("192.0.2.1",))]
    assert sorted(hosts.parent.rglob("*")) == before, "nothing is written beside it"


def test_faults_are_told(hosts: Path) -> None:
    (hosts.parent / "services" / "web.yml").write_text(WEB.replace("80", "0"))
    with pytest.raises(NodeError, match=r"web.yml:4: Service shop/web: spec.ports\[0\].port: 0 is not in 1-65535"):
        inventory.catalogue(str(hosts))
    with pytest.raises(NodeError):
        inventory.catalogue(str(hosts.parent / "missing"))


def test_no_ansible(hosts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory.sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NodeError, match="ansible-playbook: No such file"):
        inventory.catalogue(str(hosts))
