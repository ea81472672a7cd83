"""Where no systemd runs a node, processes of their own are its timers; where one does, transient units."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from places import comes_true, runs, script

from sluice.node import timer, units
from sluice.system import linux
from sluice.system.tools import NodeError

pytestmark = pytest.mark.usefixtures("node_root")


def called(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_a_change_is_taken_back_by_its_name(command: Path) -> None:
    armed = timer.arm(0, "1a2b")
    assert comes_true(lambda: called(command) == ["rollback --unconfirmed 1a2b"])
    timer.disarm(armed)  # it has ended, and that is fine


def test_a_timer_that_is_stopped_calls_nobody(command: Path) -> None:
    armed = timer.arm(3600, "1a2b")
    pid = int(armed.split()[0])
    assert os.getsid(pid) == pid, "it outlives who started it"
    timer.disarm(armed)
    assert comes_true(lambda: not runs(pid))
    assert not command.exists()


@pytest.mark.parametrize("name", ["{own} 1", "{own} {start}", "", "nobody", "4194305 "])
def test_somebody_else_s_process_is_left_alone(name: str) -> None:
    own = os.getpid()
    timer.disarm(name.format(own=own, start=linux.start_time(own)))


def test_nothing_is_armed_without_the_command() -> None:
    with pytest.raises(NodeError, match=r"/usr/local/sbin/sluice is not installed"):
        timer.arm(1, "1a2b")


def test_what_repeats_ends_with_its_files(command: Path, node_root: Path) -> None:
    waits, unit = node_root / "it's waiting", "drain"
    waits.write_text("")
    timer.repeat(unit, 0, [f"{node_root}/missing", str(waits)], "drain")
    assert comes_true(lambda: called(command)[:3] == ["drain"] * 3)
    timer.repeat(unit, 0, [str(waits)], "second")
    waits.unlink()
    ended = subprocess.run(["flock", "--wait", "60", f"{node_root}/run/sluice/drain.lock", "true"], check=False)
    assert ended.returncode == 0
    assert "second" not in called(command), "one runs already"


def test_units_of_systemd(command: Path, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of systemd; that it does so is what Molecule's scenario on a virtual machine tests."""
    monkeypatch.setattr(linux, "has_systemd", lambda: True)
    for name in ("systemd-run", "systemctl"):
        script(programs / name, f'echo "{name} $*" >>{programs}/log')
    armed = timer.arm(30, "1a2b")
    timer.repeat("sluice-drain", 5, [], "drain")
    timer.disarm(armed)
    timer.end("sluice-drain")
    shell = f"/bin/sh -c {timer._UNTIL_DONE} sluice-rollback"
    hardened = " ".join(f"--property={each}" for each in units.HARDENING)
    run, late = "systemd-run --quiet --collect --unit=", f"--timer-property=AccuracySec=100ms {hardened}"
    assert (programs / "log").read_text().splitlines() == [
        f"{run}{armed} --on-active=30 {late} {shell} {timer.COMMAND} rollback --unconfirmed 1a2b",
        f"{run}sluice-drain --on-active=5 --on-unit-inactive=5 {late} {timer.COMMAND} drain",
        f"systemctl stop {armed}.timer",
        "systemctl stop sluice-drain.timer",
    ]
    script(programs / "systemd-run", f'echo "$*" >>{programs}/old; case "$*" in *--property=*) exit 1 ;; esac')
    armed = timer.arm(30, "1a2b")
    assert len((programs / "old").read_text().splitlines()) == 2, "an older systemd may not know all properties"
    assert armed
    script(programs / "systemd-run", "echo Access denied >&2; exit 1")
    with pytest.raises(NodeError, match=r"^systemd-run: Access denied$"):
        timer.arm(30, "1a2b")


def test_it_is_tried_until_it_is_done(command: Path, node_root: Path) -> None:
    """What fails is called again, with growing pauses."""
    fails = node_root / "fails"
    script(Path(timer.COMMAND), f'echo "$*" >>{command}; [ ! -e {fails} ]')
    fails.touch()
    timer.arm(0, "1a2b")
    assert comes_true(lambda: len(called(command)) == 3)
    fails.unlink()
    assert comes_true(lambda: len(called(command)) == 4)
    assert set(called(command)) == {"rollback --unconfirmed 1a2b"}


def test_a_command_that_is_removed_is_not_called_for_ever(command: Path) -> None:
    script(Path(timer.COMMAND), f'echo "$*" >>{command}; rm "$0"; exit 1')
    armed = timer.arm(0, "1a2b")
    assert comes_true(lambda: not runs(int(armed.split()[0])))
    assert len(called(command)) == 1
