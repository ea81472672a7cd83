"""The catalogue of an inventory is what a run of Ansible compiles, variables and all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sluice import inventory
from sluice.faults import InputError
from sluice.system.tools import NodeError

ROOT = Path(__file__).resolve().parents[2]
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
    found, warnings = inventory.compiled(str(hosts))
    assert warnings == []
    (web,) = found.services
    assert web.cluster_ips
    assert [end.address for piece in web.slices for end in piece.endpoints] == ["192.0.2.21"]
    assert [(node.name, node.addresses) for node in found.nodes] == [("lb1", ("192.0.2.1",))]
    assert sorted(hosts.parent.rglob("*")) == before, "nothing is written beside it"


def test_faults_are_told(hosts: Path) -> None:
    web = hosts.parent / "services" / "web.yml"
    web.write_text(WEB.replace("80", "0"))
    with pytest.raises(InputError) as caught:
        inventory.compiled(str(hosts))
    assert list(map(str, caught.value.faults)) == [
        f"{web}:4: Service shop/web: spec.ports[0].port: 0 is not in 1-65535",
    ]
    with pytest.raises(NodeError):
        inventory.compiled(str(hosts.parent / "missing"))


def test_a_hosts_variable_is_told_where_it_stands(hosts: Path) -> None:
    hosts.write_text(HOSTS.replace("192.0.2.21,", "web1.example, sluice_ready: 'no',"))
    with pytest.raises(InputError) as caught:
        inventory.compiled(str(hosts))
    faults = [fault for fault in map(str, caught.value.faults) if "warning" not in fault]
    assert faults == [
        (
            f"{hosts}:6: host web1: sluice_endpoint_ip: 'web1.example' is not an IP address that others reach "
            "(the default is ansible_host)"
        ),
        f"{hosts}:6: host web1: sluice_ready: must be true or false, is 'no'",
    ]


def test_warnings_are_told_as_in_a_run(hosts: Path) -> None:
    web = hosts.parent / "services" / "web.yml"
    web.write_text(WEB.replace("app: web", "app: wob"))
    hosts.write_text(HOSTS.replace("sluice_labels: {app", "sluice_redy: false, sluice_labels: {app"))
    warnings = [
        f"{hosts}:6: host web1: sluice_redy: {{}}no such setting, did you mean sluice_ready?",
        (
            f"{web}:4: Service shop/web: spec.selector: {{}}no host of the inventory has these labels: "
            "connections are refused"
        ),
    ]
    assert list(map(str, inventory.compiled(str(hosts)).warnings)) == [line.format("warning: ") for line in warnings]
    with pytest.raises(InputError) as caught:
        inventory.compiled(str(hosts), strict=True)
    assert str(caught.value.faults[0]) == warnings[0].format("")


def test_a_folder_with_what_lies_beside_the_hosts(hosts: Path) -> None:
    """Services and what they were given are no hosts, nor groups."""
    (hosts.parent / "allocations.yml").write_text("shop/web: {clusterIPs: [10.96.7.7]}\n")
    found, _warnings = inventory.compiled(str(hosts.parent))
    assert found.services[0].cluster_ips == ("10.96.7.7",)
    command = ["ansible-inventory", "-i", str(hosts.parent), "--graph"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "shop" not in done.stdout
    assert done.stderr == ""


def test_a_file_that_is_no_yaml_is_told_alone(hosts: Path) -> None:
    """Not thirty lines of what each of Ansible's plugins made of it."""
    hosts.write_text(HOSTS.replace("  hosts:", "\thosts:", 1))
    with pytest.raises(InputError) as caught:
        inventory.compiled(str(hosts))
    reason = "YAML syntax: a tab stands where only blanks may: YAML indents with blanks"
    assert list(map(str, caught.value.faults)) == [f"{hosts}:2: {reason}"]
    hosts.write_text(HOSTS.replace("load_balancers:", "load_balancer:"))
    with pytest.raises(NodeError, match=r"group .load_balancers.; is load_balancer a slip of the pen"):
        inventory.compiled(str(hosts))


def test_no_ansible(hosts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory.sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NodeError, match="ansible-playbook: No such file"):
        inventory.compiled(str(hosts))


@pytest.mark.parametrize("installed", [True, False])
def test_the_engine_alone_asks_the_collection(installed: bool, hosts: Path, tmp_path: Path) -> None:
    """As pip installs it: the playbooks are not beside it."""
    shutil.copytree(Path(inventory.__file__).parent, tmp_path / "alone/lib/sluice")
    (tmp_path / "empty.cfg").touch()
    done = subprocess.run(
        [sys.executable, "-m", "sluice", "get", "services", "-A", "-o", "name", "-i", hosts],
        cwd=tmp_path,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(tmp_path / "empty.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections" if installed else tmp_path),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(tmp_path / "alone/lib"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if installed:
        assert (done.returncode, done.stdout) == (0, "service/web\n"), done.stderr
    else:
        install = "ansible-galaxy collection install sluice-lb-*.tar.gz"
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"sluice: the collection sluice.lb is not installed: {install}\n"
