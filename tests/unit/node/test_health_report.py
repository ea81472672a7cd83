"""What is told of checks: down first, with why and since when; the supervisor is asked, and may be away."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.health.reasons import Reason, State
from sluice.node import health_report
from sluice.node.health_report import Report, report, row, shown
from sluice.node.rendering import Use
from sluice.node.verdicts import Verdict
from sluice.system.tools import NodeError

QUESTION = '{"tcpSocket":{}}'
USES = [Use(name, "tcp", "10.1.0.1", 80, "keep") for name in ("shop/b", "shop/a", "shop/a")]
UP = row(("fd00::1", 80, QUESTION), Verdict(State.UP, Reason.FINE, 1000.0, 3), USES)
DOWN = row(("10.1.0.2", 80, QUESTION), Verdict(State.DOWN, Reason.REFUSED, 1000.0, 1), USES[:1])
NEW = row(("10.1.0.3", 0, '{"icmp":{}}'), Verdict(), USES[:1])
FOUND = Report(7, True, 250, "", (UP, DOWN, NEW))


def test_a_table_with_what_is_down_first() -> None:
    assert FOUND.table(1065.0).splitlines() == [
        "ENDPOINT       CHECK       STATE     SINCE       REASON               SERVICES",
        "10.1.0.2:80    tcpSocket   down      65s         connection refused   shop/b",
        "10.1.0.3       icmp        unknown   <unknown>   not asked yet        shop/b",
        "[fd00::1]:80   tcpSocket   up        65s         answers              shop/a,shop/b",
    ]
    assert shown(FOUND).splitlines()[-1] == "3 checks: 1 up, 1 down, 1 unknown"
    assert shown(FOUND._replace(conntrack="it has to see them")).splitlines()[-1] == "it has to see them"
    assert shown(FOUND._replace(checker=False)).endswith("; the checker does not run: this is what was known last\n")
    assert shown(Report(0, True, 0, "", ())).splitlines()[-1] == "0 checks: none"


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


def answering(server: socket.socket, text: str) -> None:
    def answer() -> None:
        link, _address = server.accept()
        with link:
            link.sendall(text.encode())

    threading.Thread(target=answer, daemon=True).start()


def test_the_supervisor_is_asked(server: socket.socket) -> None:
    answering(server, json.dumps(FOUND.fields()))
    assert report() == FOUND


def test_a_supervisor_that_says_nothing(server: socket.socket) -> None:
    answering(server, "")
    with pytest.raises(NodeError, match=r"^the supervisor of health does not answer"):
        report()


def test_no_supervisor(path: Path) -> None:
    with pytest.raises(NodeError, match=r"^the supervisor of health does not answer \(No such file or directory\)$"):
        report()
