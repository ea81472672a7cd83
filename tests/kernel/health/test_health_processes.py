"""Health's two processes on a node without systemd: whatever kills them they are back, and no rule changes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import cases
import hosts
import load
import pytest
import support
from prometheus_client.parser import text_string_to_metric_families

import sluice
from sluice.catalogue import compiled
from sluice.health import privileges
from sluice.node import files, health_loop, installation, processes, published, supervisor
from sluice.system import linux, notify, users

A, B = cases.PODS[:2]
NOBODY = "10.1.0.200"
"""An endpoint's address that no host has."""

PROBE = {"tcpSocket": {}, "periodSeconds": 1, "retryMilliseconds": 100}
WEB = cases.Service(1, (A, B, NOBODY))
DOWN = f"{NOBODY}:{WEB.target_port} is down"


def contents(plane: str, *, health: bool = True) -> dict[str, str]:
    objects = [*WEB.objects(both=False)]
    objects[0]["metadata"]["annotations"] = {"sluice.io/health-check": json.dumps(PROBE)}
    found = support.catalogue(*objects)
    settings = support.node(**cases.settings_of(plane), ip_families=["IPv4"], health=health)
    return files.sealed({**support.rendered(found, settings), files.CATALOGUE_FILE: compiled.text(found)})


def installed(node: hosts.Node, *, health: bool = True, present: bool = True) -> bool:
    """Bring the node to it; whether something was to do."""

    def change() -> bool:
        wanted = installation.change(sluice, "/usr/bin/python3", present=present, systemd=False, health=health)
        if wanted:
            installation.perform(wanted)
        return bool(wanted)

    return node.call(change)


def pids(node: hosts.Node) -> dict[str, int]:
    """What runs as which part of the command."""
    found = {}
    for line in node.run("ps", "-eo", "pid=,args=").stdout.splitlines():
        pid, *words = line.split()
        if installation.COMMAND in words and words[-1][2:] in processes.PARTS and "-I" in words:
            found[words[-1][2:]] = int(pid)
    return found


def status(node: hosts.Node) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(node.sluice("status", "--json", check=False).stdout)["health"]
    return found


def settled(node: hosts.Node) -> bool:
    well = {"on": True, "supervisor": True, "checker": True, "checks": 3, "down": 1, "error": None}
    return status(node) == well


@pytest.fixture
def served(network: load.Network, plane: str) -> Iterator[load.Network]:
    """A node that has found out which endpoint is down."""
    network.serve([WEB])
    assert installed(network.node)
    network.node.apply(contents(plane))
    hosts.wait_for(lambda: settled(network.node), "nobody finds the endpoint down")
    yield network
    network.node.call(processes.end)


def held(node: hosts.Node, plane: str) -> list[str]:
    """What the kernel holds; of our table without the order in which its chains came, and the note of that order."""
    lines = node.save(plane).splitlines()
    return sorted(line for line in lines if ' comment "' not in line or "/" in line) if plane == "nftables" else lines


def answers(network: load.Network) -> set[str]:
    return {network.ask(WEB.address, 80, source_port=20000 + each).split()[0] for each in range(30)}


def test_both_are_back_after_a_kill_and_no_rule_changes(served: load.Network, plane: str) -> None:
    node = served.node
    hosts.wait_for(lambda: answers(served) == {A, B}, "the endpoint that is down is still asked")
    before, generation = held(node, plane), node.generation()
    for part in (*processes.PARTS, *processes.PARTS):
        old = pids(node)
        node.run("kill", "-9", str(old[part]))
        assert answers(served) == {A, B}
        hosts.wait_for(lambda part=part, old=old: pids(node).get(part, old[part]) != old[part], f"{part} is not back")
        (other,) = set(processes.PARTS) - {part}
        assert pids(node)[other] == old[other], "one goes on without the other"
        hosts.wait_for(lambda: settled(node), "they do not meet again")
        assert answers(served) == {A, B}
    assert (held(node, plane), node.differs()) == (before, ())
    if plane == "nftables":
        assert node.generation() == generation, "nothing was sent to the kernel"


def test_an_endpoint_that_came_back_meanwhile_is_found(served: load.Network, plane: str) -> None:
    """Both are killed while nobody looks; what was down is believed until it is asked again, and then is not."""
    node = served.node
    served.pods.ip(f"address add {NOBODY}/24 dev eth0")
    for pid in pids(node).values():
        node.run("kill", "-9", str(pid))
    hosts.wait_for(lambda: answers(served) == {A, B, NOBODY}, "it is not found")
    hosts.wait_for(lambda: status(node)["down"] == 0, "it is still down")
    assert node.differs() == ()


@pytest.mark.parametrize("plane", ["nft"])
def test_metrics_are_there_for_everybody(served: load.Network, plane: str) -> None:
    node = served.node

    def values() -> dict[str, float]:
        text = node.run("setpriv", "--reuid=65534", "--clear-groups", "cat", published.FILE).stdout
        samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
        return {" ".join([each.name, *each.labels.values()]): each.value for each in samples}

    hosts.wait_for(lambda: values().get("sluice_health_checks down") == 1, "nobody is told what is down")
    hosts.wait_for(lambda: values().get("sluice_health_checker_up") == 1, "nobody is told who asks")
    told = values()
    port = f"shop {WEB.name}"
    assert [told[f"sluice_health_service_endpoints{what} {port}  IPv4"] for what in ("", "_down")] == [3, 1]
    assert node.sluice("health", "--metrics").stdout.splitlines()[:2] == [
        "# HELP sluice_health_checks Checks, by what they say of their endpoint.",
        "# TYPE sluice_health_checks gauge",
    ]


@pytest.mark.parametrize("plane", ["nft"])
def test_they_are_as_the_settings_say(served: load.Network, plane: str) -> None:
    node = served.node
    assert not installed(node), "nothing is to be done where both run"
    paths = (supervisor.FOLDER, supervisor.SOCKET, published.FILE)
    told = [node.run("stat", "-c", "%a %U", path).stdout for path in paths]
    assert told == ["755 root\n", "660 root\n", "644 root\n"]
    checker = node.shell(f"cat /proc/{pids(node)['check']}/status")
    # The user that was made where there are the means, which this machine has or not.
    user = privileges.USER if node.call(lambda: users.exists(privileges.USER)) else privileges.NOBODY
    uid = node.run("id", "-u", user).stdout.strip()
    assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in checker
    assert "CapEff:\t0000000000000000\n" in checker

    node.apply(contents(plane, health=False))
    assert installed(node, health=False)
    assert (pids(node), status(node)["on"], installed(node, health=False)) == ({}, False, False)
    with_it = node.run("sluice", "status", check=False).stdout
    assert "\nhealth       off\n" in with_it

    assert node.sluice("health", "--metrics", check=False).stderr == "sluice: the supervisor of health does not run\n"
    assert not node.call(lambda: os.path.exists(published.FILE))

    assert installed(node)
    hosts.wait_for(lambda: pids(node).keys() == set(processes.PARTS), "they are not back")
    assert installed(node, present=False)
    assert pids(node) == {}
    assert not node.call(lambda: users.exists(privileges.USER))


@pytest.mark.parametrize("plane", ["nft"])
def test_who_has_killed_a_loop_is_told_and_it_is_mended(served: load.Network) -> None:
    node = served.node
    loop = node.call(lambda: processes._noted("supervise")[0])
    node.run("kill", "-9", str(loop))
    node.run("kill", "-9", str(pids(node)["supervise"]))
    assert (status(node)["supervisor"], status(node)["checker"]) == (False, False)
    done = node.run("sluice", "status", check=False)
    assert done.returncode == 1
    assert "the supervisor does not run" in done.stdout
    assert installed(node)
    hosts.wait_for(lambda: settled(node), "it is not mended")


def test_systemd_is_told_as_long_as_both_threads_are_well(node: hosts.Node) -> None:
    """READY when it listens and has looked; WATCHDOG no more when the thread that changes the kernel is stuck."""

    def supervise() -> None:
        looks = iter(range(5))

        def look(_self: supervisor.Supervisor) -> None:
            if next(looks, None) is None:
                threading.Event().wait()

        supervisor.Supervisor._look = look  # type: ignore[method-assign]
        supervisor.BEAT = supervisor.LOOK = 0.1
        supervisor.STUCK = 2.0
        os._exit(health_loop.main())

    def play() -> tuple[bool, list[bytes]]:
        said = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind("/run/notify")
            os.environ["NOTIFY_SOCKET"] = "/run/notify"
            systemd.settimeout(hosts.PATIENCE)
            child = os.fork()
            if not child:
                supervise()
            try:
                said.append(systemd.recv(100))
                listens = linux.unix_socket(supervisor.SOCKET)[0]
                systemd.settimeout(10)
                with contextlib.suppress(socket.timeout):
                    while True:
                        said.append(systemd.recv(100))
                alive = os.waitpid(child, os.WNOHANG) == (0, 0)
            finally:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        return listens and alive, said

    fine, said = node.call(play)
    assert fine
    assert set(said) == {f"{notify.READY}\n{notify.WATCHDOG}".encode()}
