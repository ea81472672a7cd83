"""A node is prepared once, keeps it over a reboot, and check mode only says so."""

from __future__ import annotations

import os

import hosts

from sluice.node import preparation
from sluice.system import linux

NAME = "net.ipv4.conf.all.arp_ignore"
WANTED = ((), {NAME: "1"}, (), {})


def test_sysctls_are_set_now_and_at_boot(node: hosts.Node) -> None:
    def value() -> str | None:
        return node.call(lambda: linux.sysctl(NAME))

    before = value()
    predicted = node.call(lambda: preparation.prepare(*WANTED, check=True))
    assert value() == before != "1"
    assert not node.call(lambda: os.path.exists(preparation.SYSCTL_FILE))

    done = node.call(lambda: preparation.prepare(*WANTED))
    assert done == predicted
    assert done.changed
    assert [entry["after"] for entry in done.diff] == [f"# Written by Sluice.\n{NAME} = 1\n", f"{NAME} = 1\n"]
    assert value() == "1"
    assert node.shell(f"cat {preparation.SYSCTL_FILE}") == done.diff[0]["after"]
    assert not node.call(lambda: preparation.prepare(*WANTED)).changed


def test_what_is_not_needed_any_more_leaves_the_files_and_stays_in_the_kernel(node: hosts.Node) -> None:
    node.call(lambda: preparation.prepare(*WANTED))
    assert node.call(lambda: preparation.prepare((), {}, (), {})).changed
    assert not node.call(lambda: os.path.exists(preparation.SYSCTL_FILE))
    assert node.call(lambda: linux.sysctl(NAME)) == "1"
    assert not node.call(lambda: preparation.prepare((), {}, (), {})).changed


def test_a_sysctl_that_the_kernel_does_not_have_is_kept_for_later(node: hosts.Node) -> None:
    done = node.call(lambda: preparation.prepare((), {"net.ipv4.vs.nobody_has_it": "1"}, (), {}))
    assert [entry["after_header"] for entry in done.diff] == [preparation.SYSCTL_FILE]
    assert not node.call(lambda: preparation.prepare((), {"net.ipv4.vs.nobody_has_it": "1"}, (), {})).changed
