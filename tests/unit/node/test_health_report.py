"""What is told of checks: down first, with why and since when; the supervisor is asked, and may be away."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.health.reasons import Reason, State
from sluice.health.wire import Heartbeat
from sluice.node import health_report
from sluice.node.answers import Health
from sluice.node.findings import Findings, Unheeded
from sluice.node.health_report import report, shown, summary, told
from sluice.node.rendering import Use
from sluice.node.verdicts import Verdict
from sluice.outages import Asked
from sluice.system.tools import NodeError

QUESTION = '{"tcpSocket":{}}'
USES = [Use(name, "tcp", "10.1.0.1", 80, "keep") for name in ("shop/b", "shop/a", "shop/a")]
UP: Asked = ("fd00::1", 80, QUESTION)
DOWN: Asked = ("10.1.0.2", 80, QUESTION)
NEW: Asked = ("10.1.0.3", 0, '{"icmp":{}}')
KNOWN = {
    UP: Verdict(State.UP, Reason.FINE, 1000.0, 3),
    DOWN: Verdict(State.DOWN, Reason.REFUSED, 1000.0, 1),
    NEW: Verdict(),
}
CHECKS = {UP: USES, DOWN: USES[:1], NEW: USES[:1]}
FOUND = Findings(7, CHECKS, KNOWN, {}, Heartbeat(7, 100, 2, 250), Unheeded(), "", 0, Health())


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(health_report, "SOCKET", str(tmp_path / "socket"))
    return tmp_path / "socket"


@pytest.fixture
def server(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        yield listening


def answering(server: socket.socket, *parts: bytes) -> None:
    def answer() -> None:
        link, _address = server.accept()
        with link, contextlib.suppress(OSError):
            for part in parts:
                link.sendall(part)

    threading.Thread(target=answer, daemon=True).start()


def test_a_table_with_what_is_down_first(server: socket.socket) -> None:
    answering(server, *told(FOUND))
    found = report()
    assert found.table(1065.0).splitlines() == [
        "ENDPOINT       CHECK       STATE     SINCE       REASON               SERVICES",
        "10.1.0.2:80    tcpSocket   down      65s         connection refused   shop/b",
        "10.1.0.3       icmp        unknown   <unknown>   not asked yet        shop/b",
        "[fd00::1]:80   tcpSocket   up        65s         answers              shop/a,shop/b",
    ]
    assert shown(found).splitlines()[-1] == "3 checks: 1 up, 1 down, 1 unknown"


def test_for_programs(server: socket.socket) -> None:
    answering(server, *told(FOUND))
    fields = json.loads(json.dumps(report().fields()))
    assert [each.pop("address") for each in fields.pop("checks")] == ["fd00::1", "10.1.0.2", "10.1.0.3"]
    assert fields == {
        "generation": 7,
        "checker": True,
        "late": 250,
        "up": 1,
        "down": 1,
        "unknown": 1,
        "unheeded": {"dropped": 0, "stale": 0, "refused": 0},
        "error": "",
        "conntrack": "",
    }


def test_more_checks_than_are_told_in_one_go(server: socket.socket) -> None:
    checks: list[Asked] = [(f"10.2.{number // 250}.{number % 250}", 80, QUESTION) for number in range(1201)]
    many = FOUND._replace(checks=dict.fromkeys(checks, USES), known=dict.fromkeys(checks, KNOWN[UP]))
    answering(server, *told(many))
    assert [(row.address, row.port) for row in report().checks] == [check[:2] for check in checks]


def test_the_summary_is_read_without_the_rest(server: socket.socket) -> None:
    answering(server, next(iter(told(FOUND))), b"this is not JSON\n")
    assert summary().checks == 3


@pytest.mark.parametrize("part", [b"", b"{}\n", b"[]\n", b"nonsense\n", b'{"generation": 1, "checks": []}\n'])
def test_a_supervisor_that_says_nothing_that_is_understood(server: socket.socket, part: bytes) -> None:
    answering(server, part)
    with pytest.raises(NodeError, match=r"^the supervisor of health does not answer \("):
        report()


def test_a_supervisor_that_ends_in_the_middle(server: socket.socket) -> None:
    answering(server, b"".join(told(FOUND)).rpartition(b"\n[")[0] + b"\n")
    with pytest.raises(NodeError, match=r"does not answer \(after 2 of 3 checks\)$"):
        report()


def test_no_supervisor(path: Path) -> None:
    with pytest.raises(NodeError, match=r"^the supervisor of health does not answer \(No such file or directory\)$"):
        summary()
