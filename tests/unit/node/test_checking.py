"""What a node says of its checks: by the files in force, by who listens, and by what was found to be down."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import support

from sluice.catalogue import compiled
from sluice.health.reasons import Reason, State
from sluice.node import checking, files, state, supervisor, verdicts
from sluice.node.checking import Checking
from sluice.node.origin import Origin
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


@pytest.fixture
def both_run() -> Iterator[socket.socket]:
    """A supervisor's socket, with a checker that is connected; the checker's end."""
    kind = socket.SOCK_SEQPACKET
    with socket.socket(socket.AF_UNIX, kind) as server, socket.socket(socket.AF_UNIX, kind) as link:
        server.bind(supervisor.SOCKET)
        server.listen(1)
        link.connect(supervisor.SOCKET)
        with server.accept()[0]:
            yield link


def down(*found: Asked) -> None:
    os.makedirs(locks.RUN)
    known = verdicts.Verdicts()
    known.known = {check: verdicts.Verdict(State.DOWN, Reason.REFUSED, 1.0) for check in found}
    known.keep()


def test_a_node_that_asks_nobody() -> None:
    assert checking.checking() == checking.OFF
    keep()
    found = checking.checking()
    assert (found, found.text, found.well) == (checking.OFF, "off", True)


def test_all_is_well(both_run: socket.socket) -> None:
    keep(health=True)
    found = checking.checking()
    assert found.fields() == {"on": True, "supervisor": True, "checker": True, "checks": 2, "down": 0}
    assert (found.text, found.well) == ("on: 2 checks, 0 down", True)


def test_what_is_down(both_run: socket.socket) -> None:
    keep(health=True)
    ((question, *_),) = {(each[2],) for each in supervisor._asking(state.active()).checks}
    down((A, 8080, question), ("10.9.9.9", 80, question))
    assert checking.checking().text == "on: 2 checks, 1 down"


def test_processes_that_do_not_run(both_run: socket.socket) -> None:
    keep(health=True)
    both_run.close()
    # The supervisor's end is there until it has noticed.
    os.unlink(supervisor.SOCKET)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        supervisor.SOCKET += "2"
        try:
            assert checking.checking().text == "on: 2 checks, 0 down, the supervisor does not run"
            other.bind(supervisor.SOCKET)
            other.listen(1)
            found = checking.checking()
            assert (found.text, found.well) == ("on: 2 checks, 0 down, the checker does not run", False)
        finally:
            supervisor.SOCKET = supervisor.SOCKET[:-1]


def test_files_that_cannot_be_made_anew(both_run: socket.socket) -> None:
    own = support.node(health=True)
    contents = files.sealed(support.rendered(WEB, own))
    state.keep(state.prepare(contents, state.digest(contents), 0, Origin()), Origin())
    found = checking.checking()
    assert (found.checks, found.down) == (None, None)
    assert found.text.startswith("on: none is asked: generation 1: there is no catalogue")


def test_only_root_is_told_what_is_down(both_run: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(health=True)
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    found = checking.checking()
    assert found == Checking(True, True, True, 2, None, "only root is told which are down")
    assert found.text == "on: 2 checks, only root is told which are down"
