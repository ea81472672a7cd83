"""What a node is, in one answer that a person and a script can use: with a kernel that is a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from folder_backend import put_and_apply

import sluice
from sluice.node import checking, files, pending, rollback, state, status, unrouted
from sluice.node.origin import Origin
from sluice.system import conntrack, linux
from sluice.system.tools import NodeError

OPS = Origin("ansible", "ops", "lb1")
UTC = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"

pytestmark = pytest.mark.usefixtures("command")


@pytest.fixture(autouse=True)
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that is the kernel needs no root. What this machine tracks is not the node's."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(conntrack, "fill", lambda: (79, 100))


@pytest.fixture
def applied(etc: Path) -> str:
    put_and_apply(etc, "web a b -\ndns a\n", with_catalogue=True, origin=OPS)
    return str(etc)


def test_all_is_well(applied: str) -> None:
    found = status.status(applied)
    fields = found.fields()
    assert re.fullmatch(UTC, fields.pop("since"))
    assert fields == {
        "node": os.uname().nodename,
        "backend": "folder",
        "generation": 1,
        "by": {"by": "ansible", "user": "ops", "detail": "lb1"},
        "pending": None,
        "services": 2,
        "endpoints": 4,
        "ready": 3,
        "unrouted": [],
        "health": {"on": False, "supervisor": False, "checker": False, "checks": None, "down": None, "error": None},
        "drained": [],
        "drained_node": False,
        "proxies": [],
        "connections": 79,
        "connections_max": 100,
        "drift": False,
        "drift_unknown": None,
        "rolled_back": None,
        "last_error": None,
        "version": sluice.__version__,
    }
    assert (found.well, found.asked) == (True, True)


def test_for_a_person(applied: str) -> None:
    lines = status.status(applied).lines()
    lines[2] = re.sub(r"20\d\d-\d\d-\d\d \d\d:\d\d UTC", "WHEN", lines[2])
    assert lines == [
        f"node         {os.uname().nodename}",
        "backend      folder",
        "generation   1, since WHEN, by ops (ansible)",
        "pending      nothing",
        "Services     2 Services, 4 endpoints (1 not ready)",
        "routes       to all endpoints",
        "health       off",
        "drained      nothing",
        "conntrack    79 of 100 connections",
        "proxies      no other one on this node",
        "drift        none",
        "rolled back  none",
        "last error   none",
        f"version      {sluice.__version__}",
    ]


def test_endpoints_without_a_route(applied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "unrouted", lambda _files: {"10.0.0.1": "shop/web"})
    found = status.status(applied)
    assert (found.fields()["unrouted"], found.well) == (["10.0.0.1"], False)
    assert f"routes       {unrouted.warning(found.unrouted)}" in found.lines()


def test_endpoints_that_nobody_asks(applied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "checking", lambda: checking.Checking(on=True, checks=3, down=0))
    found = status.status(applied)
    assert (found.fields()["health"]["checks"], found.well) == (3, False)
    text = "on: 3 checks, 0 down, the supervisor does not run: nothing is found down, or up again"
    assert f"health       {text}" in found.lines()


@pytest.mark.parametrize(
    ("fill", "well", "line"),
    [
        ((0, 0), True, "conntrack    not in this kernel"),
        ((80, 100), False, "conntrack    conntrack has 80 connections"),
    ],
)
def test_conntrack(fill: tuple[int, int], well: bool, line: str, applied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conntrack, "fill", lambda: fill)
    found = status.status(applied)
    assert found.well is well
    assert any(each.startswith(line) for each in found.lines())


def test_a_node_that_was_given_nothing(etc: Path) -> None:
    line = f"there is no {etc}/settings.json: this node was given no Services"
    with pytest.raises(NodeError, match=f"^{re.escape(line)}$"):
        status.status(str(etc))


def test_drift(applied: str, folder: Path) -> None:
    (folder / "web").write_text("x\n")
    found = status.status(applied)
    assert (found.fields()["drift"], found.well) == (True, False)
    assert found.drift.text == "5 lines of difference (sluice diff)"


def test_what_cannot_be_compared(applied: str) -> None:
    Path(applied, "folder.conf").write_text("")
    found = status.status(applied)
    assert (found.drift.lines, found.well, found.asked) == (None, True, False)
    assert found.drift.text.startswith(f"not known: {applied}/folder.conf is empty")
    assert found.fields()["drift_unknown"] in found.drift.text


def test_a_change_that_waits(etc: Path, applied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put_and_apply(etc, "web c\n", confirm=3600)
    waiting = pending.waiting()
    assert waiting
    found = status.status(applied)
    said = found.fields()["pending"]
    assert (said["change"], 0 < said["seconds_left"] <= 3600, found.well) == (waiting.change, True, True)
    assert any("has to be confirmed within" in line for line in found.lines())
    monkeypatch.setattr(linux, "uptime", lambda: waiting.until)
    found = status.status(applied)
    assert (found.fields()["pending"]["seconds_left"], found.well) == (0, False)
    assert any("is going to be taken back" in line for line in found.lines())


def test_a_change_that_was_taken_back(etc: Path, applied: str) -> None:
    put_and_apply(etc, "web c\n", confirm=3600)
    rollback.roll_back(applied, origin=Origin("command", "alice"))
    found = status.status(applied)
    assert found.fields()["rolled_back"]["reason"] == "somebody took it back before it was confirmed"
    assert (found.well, found.in_force.generation, found.fields()["by"]["by"]) == (False, 1, "rollback")
    assert any(line.startswith("rolled back  20") for line in found.lines())


def test_the_last_error(applied: str) -> None:
    with pytest.raises(NodeError), state.keeping_errors():
        raise NodeError("busy")
    found = status.status(applied)
    error = found.fields()["last_error"]
    assert (error["message"], found.well) == ("busy", True)
    assert re.fullmatch(UTC, error["time"])
    assert [line for line in found.lines() if re.fullmatch(r"last error   20..-..-.. ..:.. UTC: busy", line)]


def test_without_a_catalogue(etc: Path) -> None:
    """As an earlier version left it."""
    put_and_apply(etc, "web a\n")
    found = status.status(str(etc))
    assert [found.fields()[name] for name in ("services", "endpoints", "ready")] == [None] * 3
    assert "Services     not known: no catalogue that this version reads is among the files" in found.lines()


def test_settings_that_are_damaged(applied: str) -> None:
    Path(applied, files.SETTINGS_FILE).write_text("{")
    found = status.status(applied)
    assert (found.backend, found.asked) == ("?", False)


def test_only_root_is_told_of_drift(applied: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "web").write_text("x\n")
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    found = status.status(applied)
    assert found.drift.text == "not known: only root can compare the kernel"
    assert (found.fields()["drift"], found.fields()["services"], found.well, found.asked) == (None, 2, True, True)
