"""Who asks for something is known, also as root, and kept as it was said."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import pytest

from sluice.node import origin
from sluice.node.origin import Origin


def test_in_words() -> None:
    assert Origin("ansible", "ops", "lb1").text == "ops (ansible)"
    assert Origin("boot").text == "boot"
    assert [each.act for each in (Origin("command", "alice"), Origin("repair"), Origin("boot"))] == [
        "apply by alice (command)",
        "apply by repair",
        "apply by boot",
    ]
    assert Origin("rollback", "alice").act == "rollback by alice"
    assert Origin("timer").act == "rollback by timer"


def test_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice\n")
    monkeypatch.setattr(sys, "argv", ["/usr/local/sbin/sluice", "apply", "--dir", "a b"])
    assert origin.of_command() == Origin("command", r"alice\n", "sluice apply --dir 'a b'")
    monkeypatch.setattr(sys, "argv", ["sluice", "x" * 5000])
    assert len(origin.of_command().detail) == origin.LONGEST


def test_without_sudo_it_is_who_logged_in_or_runs_this(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    path = Path("/proc/self/loginuid")  # a kernel without audit has none
    uid = int(path.read_text()) if path.exists() else 2**32 - 1
    assert origin.login() == pwd.getpwuid(os.getuid() if uid == 2**32 - 1 else uid).pw_name


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)

    def nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert origin.login().isdigit()


def test_of_ansible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    handed = origin.of_run({"inventory_hostname": "lb1", "secret": "x"})
    assert handed == {"user": "alice", "node": "lb1"}
    monkeypatch.setenv("SUDO_USER", "deploy")
    assert origin.of_ansible(handed) == Origin("ansible", "alice", "lb1")
    assert origin.of_ansible(None) == Origin("ansible", "deploy")
    assert origin.of_ansible({"user": ["x"], "node": "a\nb"}) == Origin("ansible", "['x']", r"a\nb")


def test_what_was_kept() -> None:
    kept = Origin("rollback", "ops", "lb1")
    assert origin.parsed(kept._asdict()) == kept
    fields = kept._asdict()
    for strange in (None, [], {}, {**fields, "by": "nobody"}, {**fields, "user": 1}, {**fields, "more": ""}):
        assert origin.parsed(strange) is None
