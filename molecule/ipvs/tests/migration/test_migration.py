"""The other backend and back, under load, by the playbook that people use: nothing fails, nothing is left."""

from __future__ import annotations

import os
import subprocess
import time
import typing

import pytest
from conftest import SCENARIO, load

if typing.TYPE_CHECKING:
    from conftest import Node

ROOT = SCENARIO.parent.parent
TARGETS = ["10.96.0.70:80@198.51.100.2", "198.51.100.1:30090@198.51.100.3"]
INVENTORY = os.path.join(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "inventory")


def migrate(backend: str) -> None:
    command = ["ansible-playbook", f"--inventory={INVENTORY}", f"--inventory={SCENARIO / 'hosts'}"]
    playbook = [str(ROOT / "playbooks/migrate.yml"), "--extra-vars", f"sluice_backend={backend}"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    result = subprocess.run([*command, *playbook], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def left_of_ipvs(node: Node) -> dict[str, object]:
    return {
        "servers": node.virtual_servers(),
        "sets": [name for name in node.sets() if name.startswith("KUBE-")],
        "device": node.host.run("ip link show kube-ipvs0").rc == 0,
        "files": node.host.check_output("ls /etc/sluice").split(),
        "timer": "sluice-drain" in node.host.check_output("systemctl list-timers --all --no-legend --no-pager"),
    }


@pytest.mark.parametrize("backend", ["iptables", "ipvs"])
def test_migration_under_load(node: Node, backend: str) -> None:
    """Connections last 10 s, so some are there at every moment of the change, and end before the drain has to."""
    began = time.monotonic()
    with load(rate=30, held=12, targets=TARGETS, last=10) as clients, node.udp("10.96.0.53", 53) as ask:
        assert ask()
        migrate(backend)
        assert ask()
        # A quick machine is done before there were enough requests to tell.
        time.sleep(max(0, 25 - (time.monotonic() - began)))
    assert clients.seen["faults"] == {}
    assert set(clients.seen["new"]) == set(clients.seen["held"]) == {"pod-11", "pod-25", "pod-30"}
    assert sum(clients.seen["new"].values()) > 500
    left = left_of_ipvs(node)
    chains = [rule for rule in node.rules("nat") if "KUBE-SEP-" in rule]
    if backend == "iptables":
        assert left == {
            "servers": {},
            "sets": [],
            "device": False,
            "files": ["catalogue.json", "iptables.rules", "settings.json"],
            "timer": False,
        }
        assert chains
    else:
        assert left["servers"]
        assert left["timer"] is False
        assert chains == []
    assert node.host.run("sluice diff").stdout == ""
    assert "changed=0" in node.host.check_output("sluice apply")
