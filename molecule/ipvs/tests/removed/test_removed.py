"""Nothing of Sluice is left."""

from __future__ import annotations

import typing

from conftest import FOREIGN

if typing.TYPE_CHECKING:
    from conftest import Node


def test_only_the_virtual_server_of_others_is_left(node: Node) -> None:
    assert list(node.virtual_servers()) == [f"tcp {FOREIGN}"]


def test_only_the_set_of_others_is_left(node: Node) -> None:
    assert list(node.sets()) == ["ACME"]


def test_no_rule_is_left(node: Node) -> None:
    for table in ("filter", "nat", "mangle"):
        saved = node.host.check_output("iptables-save -t %s", table)
        assert "KUBE-" not in saved
        assert "SLUICE-" not in saved


def test_no_device_is_left(node: Node) -> None:
    assert node.host.run("ip link show kube-ipvs0").rc == 1


def test_no_file_and_no_unit_is_left(node: Node) -> None:
    places = "/etc /usr/local /var/lib /run/systemd"
    assert node.host.run(f"find {places} -name '*sluice*'").stdout == ""
    assert "sluice" not in node.host.check_output("systemctl list-units --all --plain --no-legend --no-pager")


def test_systemd_misses_nothing(node: Node) -> None:
    assert node.host.check_output("systemctl list-units --failed --plain --no-legend --no-pager") == ""


def test_the_loopback_is_the_node_s_own_again(node: Node) -> None:
    assert node.host.check_output("sysctl -n net.ipv4.conf.all.route_localnet") == "0"
