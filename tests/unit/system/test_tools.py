"""Programs get their input, their output comes back whole, and what fails says why on one line."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from sluice.system import tools
from sluice.system.tools import NodeError


def test_input_and_output_are_whole() -> None:
    megabytes = "0123456789abcde\n" * 200_000
    assert tools.run(["cat"], megabytes).stdout == megabytes
    assert tools.output(["cat"], "ä\n") == "ä\n"


def test_several_run_at_once(tmp_path: Path) -> None:
    """Each waits for what the other writes."""
    wait = 'n=0; until [ -e "$1" ]; do [ $((n += 1)) -lt 500 ] || exit 1; sleep 0.02; done'
    finishes = [
        tools.reading(["sh", "-c", f': >"$0"; {wait}; echo "$0"', str(tmp_path / mine), str(tmp_path / other)])
        for mine, other in (("a", "b"), ("b", "a"))
    ]
    assert [finish() for finish in finishes] == [f"{tmp_path}/a\n", f"{tmp_path}/b\n"]


def test_environment_is_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LD_PRELOAD", "/nowhere.so")
    lines = tools.output(["env"]).splitlines()
    assert sorted(line for line in lines if not line.startswith(("_=", "PWD=", "SHLVL="))) == [
        "LC_ALL=C",
        f"PATH={tools.PATH}",
    ]
    assert b"XTABLES_LOCKFILE=x" in tools.start(["env"], environment={"XTABLES_LOCKFILE": "x"})().stdout


def test_failure() -> None:
    assert tools.run(["false"]).returncode == 1
    with pytest.raises(NodeError, match=r"^false: exit code 1$"):
        tools.output(["false"])
    with pytest.raises(NodeError, match=r"^sh -c echo a >&2; echo b >&2; exit 3: a b$"):
        tools.output(["sh", "-c", "echo a >&2; echo b >&2; exit 3"])
    finish = tools.reading(["false"])
    with pytest.raises(NodeError):
        finish()


def test_what_is_said_on_stderr_need_not_be_text() -> None:
    assert tools.reason(tools.run(["sh", "-c", r"printf '\377\n' >&2; exit 1"])) == "\N{REPLACEMENT CHARACTER}"


def test_what_is_not_installed(programs: Path) -> None:
    assert tools.find("true") == ""
    with pytest.raises(NodeError, match=r"^true is not installed$"):
        tools.run(["true"])
    with pytest.raises(NodeError, match=r"^true is not installed$"):
        tools.detach(["true"])
    (programs / "true").write_text("#!/bin/sh\n")
    assert tools.find("true") == "", "it may not be run"
    with pytest.raises(NodeError, match=r"^true: Permission denied$"):
        tools.run(["true"])


def test_programs_are_found_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert tools.find("sh") in ("/usr/bin/sh", "/bin/sh")
    assert tools.output(["echo", "x"]) == "x\n"


def test_what_is_detached_has_its_own_session_and_none_of_our_files(tmp_path: Path) -> None:
    with open(tmp_path / "held", "w") as stream:
        os.set_inheritable(stream.fileno(), True)
        pid = tools.detach(["sleep", "60"])
        try:
            assert os.getsid(pid) == pid
            held = {os.path.realpath(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")}
            assert str(tmp_path / "held") not in held
            assert os.readlink(f"/proc/{pid}/cwd") == "/"
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_what_is_started_inherits_what_may_be_inherited(tmp_path: Path) -> None:
    with open(tmp_path / "held", "w") as stream:
        os.set_inheritable(stream.fileno(), True)
        assert tools.output(["readlink", f"/proc/self/fd/{stream.fileno()}"]) == f"{tmp_path}/held\n"
