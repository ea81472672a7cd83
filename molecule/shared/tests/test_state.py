"""The node is as its files say, whatever programs the Services in its kernel."""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from conftest import Node


def test_no_difference(node: Node) -> None:
    result = node.host.run("sluice diff --dir /etc/sluice")
    assert (result.rc, result.stderr) == (0, "")


def test_nothing_to_apply(node: Node) -> None:
    result = node.host.run("sluice apply --dir /etc/sluice --check")
    assert result.rc == 0, result.stderr
    assert result.stdout.splitlines()[-1].split()[0] == "changed=0"


def test_forwarding(node: Node) -> None:
    assert node.host.sysctl("net.ipv4.ip_forward") == 1
