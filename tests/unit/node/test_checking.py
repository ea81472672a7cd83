"""What a node says of its checks: by the files in force, by who listens, and by what the supervisor tells."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import support

from sluice.catalogue import compiled
from sluice.health.reasons import Reason, State
from sluice.node import checking, effective, files, health_report, state, supervisor, verdicts
from sluice.node.answers import Health
from sluice.node.checking import Checking
from sluice.node.findings import Findings, Unheeded
from sluice.node.origin import Origin
from sluice.node.verdicts import Verdict
from sluice.outages import Asked
from sluice.system import locks

A, B = "10.244.1.1", "10.244.1.2"
PROBE = {"sluice.io/health-check": json.dumps({"tcpSocket": {}})}
WEB = support.catalogue(support.service(annotations=PROBE), support.endpoint_slice(A, B))


def keep(**settings: object) -> None:
    """Have files in force that were made of WEB."""
    own = support.node(**settings)
    contents = files.sealed({**support.rendered(WEB, own), files.CATALOGUE_FILE: compiled.text(WEB)})
    state.keep(state.prepare(contents, state.digest(contents), 0, Origin()), Origin())


@pytest.fixture(autouse=True)
def as_root(node_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    # The path of a socket has 107 characters at most.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(supervisor, "SOCKET", os.path.relpath(tmp_path / "s"))


@contextlib.contextmanager
def both_run() -> Iterator[socket.socket]:
    """A supervisor's socket, with a checker that is connected; the checker's end."""
    kind = socket.SOCK_SEQPACKET
    with socket.socket(socket.AF_UNIX, kind) as server, socket.socket(socket.AF_UNIX, kind) as link:
        server.bind(supervisor.SOCKET)
        server.listen(1)
        link.connect(supervisor.SOCKET)
        with server.accept()[0]:
            yield link


@contextlib.contextmanager
def told(*states: State, error: str = "") -> Iterator[None]:
    """A supervisor that tells, as often as it is asked, what these checks say."""
    checks: dict[Asked, Verdict] = {(f"10.244.1.{at}", 80, "{}"): Verdict(state) for at, state in enumerate(states)}
    found = Findings(1, dict.fromkeys(checks, ()), checks, {}, None, Unheeded(), error, 0, Health())
    os.makedirs(locks.RUN, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(health_report.SOCKET)
        server.listen()

        def tell() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with server.accept()[0] as link:
                        link.sendall(next(iter(health_report.told(found))))

        telling = threading.Thread(target=tell)
        telling.start()
        yield
        server.shutdown(socket.SHUT_RDWR)
        telling.join(60)


def test_a_node_that_asks_nobody() -> None:
    assert checking.checking() == checking.OFF
    keep()
    found = checking.checking()
    assert (found, found.text, found.well) == (checking.OFF, "off", True)


def test_all_is_well() -> None:
    keep(health=True)
    with both_run(), told(State.UP, State.UNKNOWN):
        found = checking.checking()
    fields = {"on": True, "supervisor": True, "checker": True, "checks": 2, "down": 0, "error": None}
    assert found.fields() == fields
    assert (found.text, found.well) == ("on: 2 checks, 0 down", True)


def test_what_is_down() -> None:
    keep(health=True)
    with both_run(), told(State.UP, State.DOWN):
        found = checking.checking()
    assert (found.text, found.well) == ("on: 2 checks, 1 down", True)


def test_nothing_is_rendered_to_count_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    keep(health=True)
    monkeypatch.delattr(effective, "rendering")
    with both_run(), told(State.UP):
        assert checking.checking().checks == 1


def test_processes_that_do_not_run() -> None:
    keep(health=True)
    os.makedirs(locks.RUN)
    known = verdicts.Verdicts()
    known.known = {(A, 8080, "{}"): Verdict(State.DOWN, Reason.REFUSED, 1.0)}
    known.keep()
    found = checking.checking()
    none = "does not run: nothing is found down, or up again"
    assert (found.text, found.well) == (f"on: 1 down, the supervisor {none}", False)
    assert (found.checks, found.supervisor, found.checker) == (None, False, False)

    with both_run() as link, told(State.UP, State.UP):
        link.close()
        # The supervisor's end is there until it has noticed.
        supervisor.SOCKET += "2"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
                other.bind(supervisor.SOCKET)
                other.listen(1)
                found = checking.checking()
        finally:
            supervisor.SOCKET = supervisor.SOCKET[:-1]
    assert (found.text, found.well) == (f"on: 2 checks, 0 down, the checker {none}", False)


def test_a_supervisor_that_cannot_do_what_it_should() -> None:
    keep(health=True)
    error = "health: generation 1: there is no catalogue.json: no endpoint is asked"
    with both_run(), told(error=error):
        found = checking.checking()
    assert (found.text, found.well) == (f"on: 0 checks, 0 down, {error}", False)
    assert found.fields()["error"] == error


def test_a_supervisor_that_does_not_answer() -> None:
    keep(health=True)
    with both_run():
        found = checking.checking()
    assert found.text == "on: the supervisor of health does not answer (No such file or directory)"
    assert (found.well, found.checks, found.down) == (False, None, None)


def test_only_root_is_told_what_they_find(monkeypatch: pytest.MonkeyPatch) -> None:
    keep(health=True)
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    with both_run(), told(State.DOWN):
        found = checking.checking()
    assert found == Checking(True, True, True)
    assert (found.text, found.well) == ("on: only root is told what they find", True)
