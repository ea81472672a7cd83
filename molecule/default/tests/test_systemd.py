"""What systemd does on the node without Ansible: restore at boot, take an unconfirmed change back."""

from __future__ import annotations

import re
import time
import typing

import pytest

if typing.TYPE_CHECKING:
    from conftest import Node


def test_unit_restores_before_the_network(node: Node) -> None:
    unit = node.host.check_output("systemctl show sluice.service -p UnitFileState,Before")
    assert "UnitFileState=enabled" in unit
    assert "network-pre.target" in unit
    node.host.check_output("iptables-%s -t nat -F KUBE-SERVICES", node.variant)
    assert node.host.run("sluice diff").rc == 1
    node.host.check_output("systemctl restart sluice.service")
    assert node.host.run("sluice diff").rc == 0


def exposure(node: Node, unit: str) -> float:
    """What a unit may do; 10 is one that may do all that root may."""
    said = node.host.check_output("systemd-analyze security --no-pager %s", unit)
    found = re.search(rf"Overall exposure level for {unit}: ([0-9.]+)", said)
    assert found, said
    return float(found[1])


def test_units_may_do_little(node: Node) -> None:
    """They change the network's tables."""
    assert exposure(node, "sluice.service") < 4


HEALTH = ("sluice-health.service", "sluice-health-checker.service")


def pids(node: Node) -> list[int]:
    """The processes of health, of those that are about to start again 0."""
    shown = node.host.check_output("systemctl show --value -p MainPID %s %s", *HEALTH)
    return [int(line) for line in shown.split()]


def test_the_processes_of_health(node: Node) -> None:
    """One load balancer has them: what they may do, and that they are back whatever happens to them."""
    states = node.host.run("systemctl is-enabled %s %s", *HEALTH).stdout.split()
    if node.variant != "nft":
        assert (states, node.host.user("sluice-health").exists) == ([], False)
        return
    assert states == ["enabled"] * 2
    assert exposure(node, HEALTH[0]) < 4
    assert exposure(node, HEALTH[1]) <= 2
    about = node.host.file(f"/proc/{pids(node)[1]}/status").content_string
    assert re.search(r"^CapEff:\t0+$", about, re.MULTILINE)
    assert f"\nUid:\t{node.host.user('sluice-health').uid}\t" in about
    for at in range(2):
        before = pids(node)
        node.host.check_output("kill -9 %s", str(before[at]))
        deadline = time.monotonic() + 120
        while (now := pids(node))[at] in (0, before[at]) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert now[at] not in (0, before[at])
        assert now[1 - at] == before[1 - at], "one goes on without the other"
    assert node.host.run("sluice diff").rc == 0


@pytest.fixture
def change(node: Node) -> typing.Iterator[str]:
    """Files without the walkthrough's dispatch, in a folder of their own."""
    folder = node.host.check_output("mktemp -d")
    node.host.check_output("cp -r /etc/sluice/. %s", folder)
    node.host.check_output("sed -i '/-A KUBE-SERVICES .*kubernetes-lb/d' %s/iptables.rules", folder)
    yield folder
    node.host.check_output("rm -r %s", folder)


def served(node: Node) -> bool:
    return any("-A KUBE-SERVICES -d 192.168.11.23/32 " in rule for rule in node.rules("nat"))


def test_unconfirmed_change_is_taken_back(node: Node, change: str) -> None:
    node.host.check_output("sluice apply --force --dir %s --confirm 20", change)
    assert node.host.check_output("systemctl list-units --no-legend --state=active 'sluice-rollback-*.timer'")
    assert not served(node)
    deadline = time.monotonic() + 120
    while not served(node) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert served(node)
    assert node.host.run("sluice diff").rc == 0
    assert "not confirmed" in node.host.file("/var/lib/sluice/rolled-back.json").content_string


def test_confirmed_change_stays(node: Node, change: str) -> None:
    node.host.check_output("sluice apply --force --dir %s --confirm 10", change)
    assert node.host.check_output("sluice confirm") == "confirmed"
    time.sleep(11)
    assert not served(node)
    node.host.check_output("sluice rollback")
    assert served(node)
    assert node.host.run("sluice diff").rc == 0
