"""Units of systemd: which there are, and the links by which they start."""

from __future__ import annotations

import configparser
import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import script

import sluice
from sluice.node import installation, units

pytestmark = pytest.mark.usefixtures("node_root")


def write(wanted: dict[str, str | None]) -> None:
    for path, text in wanted.items():
        if text is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(text)


def names(wanted: dict[str, str | None]) -> set[str]:
    return {os.path.basename(path) for path, text in wanted.items() if text is not None}


def test_which_there_are() -> None:
    assert names(units.contents(0)) == {"sluice.service"}
    assert names(units.contents(30)) == {"sluice.service", "sluice-repair.service", "sluice-repair.timer"}
    assert names(units.contents(30, present=False)) == set()
    health = {"sluice-health.service", "sluice-health-checker.service"}
    assert names(units.contents(0, checker="sluice-health")) == {"sluice.service", *health}
    metrics = {"sluice-metrics.service", "sluice-metrics.timer"}
    assert names(units.contents(0, metrics=METRICS)) == {"sluice.service", *metrics}
    assert names(units.contents(0, present=False, checker="sluice-health", metrics=METRICS)) == set()


METRICS = units.Metrics("/var/lib/node-exporter/sluice.prom", 15)


def parsed(text: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string(text)
    return found


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="NOT TESTED: systemd-analyze is not here")
def test_systemd_knows_all_that_they_say(tmp_path: Path) -> None:
    script(tmp_path / "sluice", "exit 0")
    paths = []
    for path, text in units.contents(30, checker="root", metrics=METRICS).items():
        paths.append(tmp_path / os.path.basename(path))
        paths[-1].write_text(re.sub(r"=\S*/usr/local/sbin/sluice", f"={tmp_path}/sluice", str(text)))
    done = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if str(tmp_path) in line]) == (0, [])


def test_they_call_the_command() -> None:
    for path, text in units.contents(45).items():
        if text is None:
            continue
        found = parsed(text)
        if path.endswith(".timer"):
            assert found["Timer"]["OnUnitActiveSec"] == "45"
        else:
            assert found["Service"]["ExecStart"].startswith("/usr/local/sbin/sluice apply")
            assert found["Service"]["NoNewPrivileges"] == "yes"
            assert all(line in text.splitlines() for line in units.HARDENING)
            assert ("LogLevelMax" in found["Service"]) is path.endswith("sluice-repair.service")
            assert found["Unit"]["ConditionPathExists"] == "/etc/sluice/settings.json"
            assert {f"{key}={value}" for key, value in found["Service"].items()} >= set(units.HARDENING)


def test_metrics_are_written_every_so_often_and_nothing_else_is() -> None:
    found = units.contents(0, metrics=METRICS)
    timer, service = (parsed(str(found[f"{units.FOLDER}/sluice-metrics.{each}"])) for each in ("timer", "service"))
    assert timer["Timer"]["OnUnitActiveSec"] == "15"
    assert service["Service"]["ExecStart"] == f"/usr/local/sbin/sluice status --metrics --out {METRICS.file}"
    text = str(found[f"{units.FOLDER}/sluice-metrics.service"])
    assert all(line in text.splitlines() for line in units.HARDENING)
    assert text.rpartition("ReadWritePaths=\nReadWritePaths=")[2] == "/run -/var/lib/node-exporter\n", "after a reset"


def test_a_file_that_is_not_written_any_more() -> None:
    there = units.contents(0, metrics=METRICS)
    assert units.abandoned(there) == ""
    write(there)
    other = units.contents(0, metrics=METRICS._replace(file="/run/other.prom"))
    assert units.abandoned(there) == ""
    assert units.abandoned(units.contents(0, metrics=METRICS._replace(seconds=60))) == ""
    for wanted in (other, units.contents(0), units.contents(0, present=False)):
        assert units.abandoned(wanted) == METRICS.file


def test_the_node_says_that_it_repairs_by_itself() -> None:
    """So that a repair is no person's, and quiet where there is nothing to do."""
    found = units.contents(30)
    repair = "/usr/local/sbin/sluice apply --repair\n"
    assert f"ExecStart={repair}" in str(found[f"{units.FOLDER}/sluice-repair.service"])
    assert f"ExecReload={repair}" in str(found[f"{units.FOLDER}/sluice.service"])


def test_nothing_has_to_be_made_before_they_start() -> None:
    """A node whose /var cannot be written to has its rules all the same."""
    lines = dict(line.split("=", 1) for line in units.HARDENING)
    assert not [key for key in lines if key.startswith("PrivateTmp") or key.endswith("Directory")]
    paths = lines["ReadWritePaths"].split()
    assert {path for path in paths if not path.startswith("-")} == {"/run", "/etc", "/var/lib"}
    assert {"-/etc/sluice", "-/var/lib/sluice"} <= set(paths)


def test_links_are_made_and_removed(programs: Path) -> None:
    wanted = units.contents(30, checker="nobody", metrics=METRICS)
    write(wanted)
    links = units.links(wanted)
    assert {Path(link).relative_to(units.FOLDER).as_posix(): should for link, should in links.items()} == {
        "multi-user.target.wants/sluice.service": True,
        "multi-user.target.wants/sluice-health.service": True,
        "multi-user.target.wants/sluice-health-checker.service": True,
        "timers.target.wants/sluice-repair.timer": True,
        "timers.target.wants/sluice-metrics.timer": True,
    }
    units.perform(links, wanted)
    assert all(Path(link).resolve() == Path(units.FOLDER) / Path(link).name for link in links)
    assert units.links(wanted) == {}
    fewer = units.contents(0)
    gone = units.links(fewer)
    assert list(gone.values()) == [False] * 4
    units.perform(gone, fewer)
    assert not any(map(os.path.lexists, gone))
    assert units.links(fewer) == {}
    assert list(units.links(units.contents(0, present=False)).values()) == [False]


def test_systemd_is_told(programs: Path) -> None:
    script(programs / "systemctl", f'echo "$*" >>{programs}/log')
    log, metrics = programs / "log", "sluice-metrics.service sluice-metrics.timer"
    units.perform({}, units.contents(30))
    assert log.read_text().splitlines() == [
        "--quiet daemon-reload",
        f"--quiet reset-failed {metrics} sluice-health.service sluice-health-checker.service",
        "--quiet restart sluice-repair.timer",
    ]
    log.unlink()
    health = "sluice-health.service sluice-health-checker.service"
    timers = "sluice-repair.timer sluice-metrics.timer"
    for anew, word in ((True, "restart"), (False, "start")):
        units.perform({}, units.contents(30, checker="nobody", metrics=METRICS), anew=anew)
        assert log.read_text().splitlines()[-1] == f"--quiet {word} {timers} {health}"
    log.unlink()
    units.end(units.contents(30, checker="nobody", metrics=METRICS))
    assert not log.exists()
    for wanted, gone in (
        # A repair may have failed as its files went: it would be listed as failed for ever.
        (units.contents(0), f"sluice-repair.service sluice-repair.timer {metrics} {health}"),
        (
            units.contents(0, present=False),
            f"sluice.service sluice-repair.service sluice-repair.timer {metrics} {health}",
        ),
    ):
        units.end(wanted)
        units.perform({}, wanted)
        said = ["--quiet stop {}", "--quiet daemon-reload", "--quiet reset-failed {}"]
        assert log.read_text().splitlines() == [each.format(gone) for each in said]
        log.unlink()


@pytest.mark.parametrize(
    ("said", "stopped"),
    [
        ("active active active", []),
        ("inactive active active", ["sluice-repair.timer"]),
        ("active failed inactive", ["sluice-health.service", "sluice-health-checker.service"]),
        # systemd is about to start it again.
        ("active activating active", []),
        ("", []),
    ],
)
def test_what_somebody_has_stopped(said: str, stopped: list[str], programs: Path) -> None:
    should = "sluice-repair.timer sluice-health.service sluice-health-checker.service"
    script(programs / "systemctl", f'[ "$*" = "is-active {should}" ] && printf "%s\\n" {said}; exit 3')
    assert units.stopped(units.contents(30, checker="nobody")) == stopped


def test_what_should_not_run_is_not_stopped(programs: Path) -> None:
    script(programs / "systemctl", "echo inactive; exit 3")
    assert units.stopped(units.contents(30))
    assert not units.stopped(units.contents(0))


def test_what_goes_is_stopped_while_its_file_is_there(programs: Path) -> None:
    """systemd fails a timer whose service has gone, and counts the host as degraded then."""
    there = f"[ -e {units.FOLDER}/sluice-repair.timer ] && is=there || is=gone"
    script(programs / "systemctl", f'{there}; echo "$2: $is" >>{programs}/log')
    change = functools.partial(
        installation.change, sluice, sys.executable, systemd=True, repair_seconds=30, health=True, metrics=METRICS
    )
    installation.perform(change(present=True))
    installation.perform(change(present=False))
    assert (programs / "log").read_text().splitlines()[2:] == [
        "stop: there",
        "daemon-reload: gone",
        "reset-failed: gone",
    ]
