"""The hosts of these tests start alike, whatever the machine is used for."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import cases
import hosts
import namespaces
import network
import pytest
import support

import sluice
from sluice import command
from sluice.backends.iptables import kernel as iptables_kernel
from sluice.node import installation
from sluice.node.preparation import MODULES_FILE, NETWORK_MANAGER_FILE, NETWORKD_FILE, SYSCTL_FILE

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
"""The number of the last process that was born in the writer's PID namespace; the next has the one after."""

LISTED = "find /etc /usr/local -name '*sluice*'; find /var/lib -maxdepth 1 -name '*sluice*'"


def test_a_sluice_of_the_machine_is_not_seen(node: hosts.Node) -> None:
    """A node stands for the machine, with all that Sluice has on one; a host is started there."""
    node.call(install_all)
    node.apply(cases.rendered([cases.Service(1)]))
    before = node.shell(LISTED).split()
    assert {"/etc/sluice", "/var/lib/sluice", installation.COMMAND, SYSCTL_FILE, NETWORKD_FILE} < set(before)
    try:
        assert node.call(listed_within) == ""
    except OSError as error:
        pytest.skip(f"NOT TESTED: hosts within hosts, which are overlays of overlays, do not start here: {error}")
    assert node.shell(LISTED).split() == before


def install_all() -> None:
    installed = installation.change(
        sluice, namespaces.PYTHON, present=True, systemd=True, repair_seconds=60, documents=command.documents()
    )
    installation.perform(installed)
    for name in (SYSCTL_FILE, MODULES_FILE, NETWORK_MANAGER_FILE, NETWORKD_FILE):
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("# The machine's.\n", encoding="ascii")


def listed_within() -> str:
    with hosts.Host("inner") as inner:
        return inner.shell(LISTED)


def test_the_lock_of_the_machine_is_not_waited_for(node: hosts.Node) -> None:
    """A node stands for the machine again: somebody holds the lock of iptables-legacy there."""
    node.hold(iptables_kernel.LOCK_FILE)
    look = "iptables-legacy --wait 1 -S INPUT"
    assert node.run(*look.split(), check=False).returncode == 4
    assert node.call(lambda: support.in_a_namespace(look)) == "-P INPUT ACCEPT\n"


@pytest.mark.usefixtures("needs_root")
def test_hosts_end_with_tests_that_are_killed() -> None:
    """With all that runs there: a client would go on for ever, and take its time from the next run."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, str(hosts.Host("left").pid).encode())
        signal.pause()
    left = int(os.read(reader, 100))
    assert network.start_time(left)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    hosts.wait_for(lambda: not Path(f"/proc/{left}/ns/net").exists(), "the host is still there")
    for descriptor in (reader, writer):
        os.close(descriptor)


def test_a_process_may_have_the_number_of_this_one(node: hosts.Node) -> None:
    """Hosts have PID namespaces: sooner or later a task is born with the number that its forker has outside."""
    own = os.getpid()

    def be_next() -> None:
        namespaces.mount("none", "/proc/sys", flags=namespaces.MS_BIND | namespaces.MS_REMOUNT)
        LAST_PID.write_text(str(own - 1), encoding="ascii")

    if not LAST_PID.exists():
        pytest.skip("NOT TESTED: this kernel does not let a process choose the next one's number")
    node.call(be_next)
    assert node.call(os.getpid) == own
    assert node.call(os.getpid) == own + 1
