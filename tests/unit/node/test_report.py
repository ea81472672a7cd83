"""What a node tells of itself for a report: with a kernel that is a folder, and no tool that prints another one."""

from __future__ import annotations

import base64
import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
from folder_backend import put_and_apply

from sluice.backends.interface import NO_COUNT
from sluice.node import files, outage, report, state, traffic
from sluice.observe import live
from sluice.system import conntrack
from sluice.system.tools import NodeError

pytestmark = pytest.mark.usefixtures("command", "programs")


@pytest.fixture(autouse=True)
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that is the kernel needs no root. What this machine tracks is not the node's."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(conntrack, "fill", lambda: (79, 1000))


@pytest.fixture
def applied(etc: Path) -> str:
    put_and_apply(etc, "web a b -\ndns a\n", with_catalogue=True)
    return str(etc)


def test_all_is_well(applied: str) -> None:
    found = report.report(applied)
    assert (found["form"], found["trouble"], found["odd"], found["out"]) == (report.FORM, [], [], [])
    assert (found["status"]["backend"], found["status"]["drift_lines"]) == ("folder", 0)
    assert len(found["catalogue"]) == 12
    assert [row["name"] for row in found["rows"]] == [row["name"] for row in found["rows"] if row["declared"]]
    assert len(found["rows"]) == 2


def test_packed(applied: str) -> None:
    told = json.loads(zlib.decompress(base64.b64decode(report.packed(applied))))
    assert told == json.loads(json.dumps({**report.report(applied), "time": told["time"]}))


def test_trouble(applied: str, folder: Path) -> None:
    for kept in folder.iterdir():
        kept.unlink()
    state.set_note("nobody confirmed it")
    outage.set_drained(["192.0.2.1"])
    found = report.report(applied)
    assert found["trouble"][0].startswith("drift: ")
    assert found["trouble"][1].startswith("a change was taken back: nobody confirmed it (")
    assert found["out"] == ["192.0.2.1 is drained"]


def test_what_cannot_be_read_is_told(applied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: Any) -> Any:
        raise NodeError("no")

    monkeypatch.setattr(live, "dump", refused)
    assert report.report(applied)["trouble"] == ["what the kernel holds cannot be read: no"]
    monkeypatch.undo()
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_a_catalogue_that_cannot_be_read(applied: str) -> None:
    (Path(applied) / files.CATALOGUE_FILE).write_text("{")
    found = report.report(applied)
    assert any(line.startswith("the catalogue among the node's files cannot be read") for line in found["trouble"])
    assert found["rows"] == []


def test_connections_of_conntrack(applied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are asked for where a layer does not count by endpoint."""
    way = conntrack.Way("10.96.0.1", 80, "10.0.0.1", 8080)
    monkeypatch.setattr(conntrack, "tcp_connections", lambda family: {way: [b"", b""]} if family == "IPv4" else {})
    monkeypatch.setattr(conntrack, "udp_flows", lambda family: {})
    port = traffic.ServicePort("ns", "web", "", "TCP")
    counted = traffic.Counted(NO_COUNT, {}, False)
    monkeypatch.setattr(traffic, "by_service", lambda *_given: {port: counted})
    assert report._flows() == {(traffic.Entry("10.96.0.1", "tcp", 80), "10.0.0.1:8080"): 2}
    assert report.report(applied)["trouble"] == []


def test_needs_root_and_files(applied: str, etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NodeError, match="was given no Services"):
        report.report(str(etc / "none"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NodeError, match="needs root"):
        report.report(applied)
