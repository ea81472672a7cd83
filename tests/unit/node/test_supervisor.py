"""The supervisor asks for what is in force, hears a checker, and says once what it cannot do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import support
from places import comes_true, journal

from sluice.catalogue import compiled
from sluice.health.reasons import Reason, State
from sluice.node import apply, converge, files, outage, supervisor
from sluice.node.origin import HEALTH
from sluice.node.supervisor import Supervisor
from sluice.system.tools import NodeError

A, B = "10.1.0.1", "10.1.0.2"


def contents(**variables: Any) -> dict[str, str]:
    found = support.catalogue(support.service(), support.endpoint_slice(A, B))
    own = support.node(backend="folder", **{"health": True, "health_check": {"tcpSocket": {}}, **variables})
    return {**files.sealed({**support.rendered(found, own), files.CATALOGUE_FILE: compiled.text(found)})}


def put(**variables: Any) -> None:
    apply.apply(lambda: files.parse(contents(**variables)))


@pytest.fixture(autouse=True)
def _here(folder: Path, node_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOOK", 0.05)
    monkeypatch.setattr(supervisor, "AGAIN", 0.05)


@pytest.fixture
def found() -> Iterator[Supervisor]:
    """A supervisor whose worker runs."""
    running = Supervisor()
    worker = threading.Thread(target=running.work)
    worker.start()
    yield running
    running.ending.set()
    running.changed.set()
    worker.join()
    running.close()


def test_what_is_in_force_is_asked_for(found: Supervisor) -> None:
    put()
    assert comes_true(lambda: len(found.asking.checks) == 2)
    assert sorted(check[:2] for check in found.asking.checks) == [(A, 8080), (B, 8080)]
    put(health=False)
    assert comes_true(lambda: not found.asking.checks)


def test_what_is_down_is_left_out_of_the_kernel(found: Supervisor, folder: Path, node_root: Path) -> None:
    put()
    assert comes_true(lambda: len(found.asking.checks) == 2)
    (check,) = [check for check in found.asking.checks if check[0] == A]
    with found.lock:
        found.verdicts.take(check, State.DOWN, Reason.REFUSED, 1, time.time())
    found.changed.set()
    assert comes_true(lambda: (folder / "shop_web").read_text() == f"{B}:8080\n")
    assert outage.current().down == {check}
    assert comes_true(lambda: any(f"{HEALTH}: " in line and f"{A}:8080 is down" in line for line in journal(node_root)))


def test_what_cannot_be_done_is_said_once_and_tried_again(
    found: Supervisor, node_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put()
    assert comes_true(lambda: len(found.asking.checks) == 2)
    tried: list[Callable[..., Any]] = []

    def refused(*_arguments: Any, **_more: Any) -> None:
        tried.append(refused)
        raise NodeError("busy")

    monkeypatch.setattr(converge, "converge", refused)
    found.changed.set()
    assert comes_true(lambda: len(tried) > 3)
    assert journal(node_root).count("health: busy") == 1
