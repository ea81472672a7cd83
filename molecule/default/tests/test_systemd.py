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


def test_units_may_do_little(node: Node) -> None:
    """They change the network's tables; 10 is a unit that may do all that root may."""
    said = node.host.check_output("systemd-analyze security --no-pager sluice.service")
    exposure = re.search(r"Overall exposure level for sluice.service: ([0-9.]+)", said)
    assert exposure and float(exposure[1]) < 4, said


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
