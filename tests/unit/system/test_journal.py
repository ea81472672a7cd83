"""A line in the journal is one line, whatever it is about."""

from __future__ import annotations

import syslog

import pytest

from sluice.system import journal


def test_a_line_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own journal gets nothing here: what would be sent is looked at."""
    sent: list[object] = []
    for name in ("openlog", "syslog", "closelog"):
        monkeypatch.setattr(syslog, name, lambda *given, name=name: sent.append((name, *given)))
    journal.say("apply by ops\nsshd: forged\x1b[2J")
    journal.say("x" * 5000)
    assert sent[:3] == [
        ("openlog", "sluice", 0, syslog.LOG_DAEMON),
        ("syslog", syslog.LOG_NOTICE, r"apply by ops\nsshd: forged\x1b[2J"),
        ("closelog",),
    ]
    assert sent[4] == ("syslog", syslog.LOG_NOTICE, "x" * journal.LONGEST)
