"""``make test`` runs all of its steps and ends with what they came to (``tools/run_steps.py``)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STEPS = Path(__file__).resolve().parents[3] / "tools/run_steps.py"
WAIT = "for i in $$(seq 600); do [ -e {} ] && exit; sleep 0.1; done; exit 1"
MAKEFILE = f"""
good: ; @echo all went well
bad: ; @echo this went wrong; exit 3
skips: ; @echo 'SKIPPED [2] tests/test_a.py:7: there is no kernel'; echo '    msg: SKIPPED: no machine, no test'
one: ; @touch one; {WAIT.format("two")}
two: ; @touch two; {WAIT.format("one")}
long: ; @touch long; sleep 600
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Makefile").write_text(MAKEFILE, encoding="utf-8")
    return tmp_path


def start(folder: Path, *lanes: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, STEPS, *lanes],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def steps(folder: Path, *lanes: str) -> tuple[int, list[str]]:
    """The exit code, and the lines without their seconds."""
    with start(folder, *lanes) as process:
        said = process.communicate()[0]
    return process.returncode, re.sub(r" +\d+ s  ", " ", said).splitlines()


def test_all_went_well(folder: Path) -> None:
    code, said = steps(folder, "good skips")
    assert code == 0
    assert said == [
        "ok good",
        "ok skips",
        "",
        "ok good",
        "ok skips",
        "skips: SKIPPED [2] tests/test_a.py:7: there is no kernel",
        "skips: SKIPPED: no machine, no test",
        "steps: 2 passed, 0 failed",
    ]


def test_what_comes_behind_a_failure_runs(folder: Path) -> None:
    code, said = steps(folder, "bad good")
    assert code == 1
    assert "this went wrong" in said
    assert "all went well" not in said
    assert said[-4:] == ["", "FAILED bad", "ok good", "steps: 1 passed, 1 failed"]
    assert (folder / ".cache/log/test/good.log").read_text() == "all went well\n"


def test_lanes_run_side_by_side(folder: Path) -> None:
    assert steps(folder, "one", "two")[1][-1] == "steps: 2 passed, 0 failed"


def test_a_lane_that_is_done_takes_of_what_is_for_all(folder: Path) -> None:
    """Each lane takes one of the two, which wait for each other."""
    code, said = steps(folder, "good", "skips", "--then", "one two")
    assert code == 0
    assert sorted(said[2:4]) == ["ok one", "ok two"]
    assert said[5:9] == ["ok good", "ok skips", "ok one", "ok two"]


def test_who_ends_it_is_told_what_did_not_run(folder: Path) -> None:
    """As a CI does when its time is over, and whoever presses Ctrl-C."""
    with start(folder, "good long bad") as process:
        while not (folder / "long").exists():
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGTERM)
        said = process.communicate()[0].splitlines()
    assert process.returncode == 1
    assert "this went wrong" not in said
    assert said[-2:] == ["FAILED, was not run  bad", "steps: 1 passed, 2 failed"]
