"""Units of systemd: which there are, and the links by which they start."""

from __future__ import annotations

import configparser
import functools
import os
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


def test_they_call_the_command() -> None:
    for path, text in units.contents(45).items():
        parsed = configparser.ConfigParser(strict=False, interpolation=None)
        parsed.optionxform = str  # type: ignore[assignment, method-assign]
        parsed.read_string(str(text))
        if path.endswith(".timer"):
            assert parsed["Timer"]["OnUnitActiveSec"] == "45"
        else:
            assert parsed["Service"]["ExecStart"].startswith("/usr/local/sbin/sluice apply")
            assert parsed["Service"]["NoNewPrivileges"] == "yes"
            assert all(line in str(text).splitlines() for line in units.HARDENING)
            assert ("LogLevelMax" in parsed["Service"]) is path.endswith("sluice-repair.service")
            assert parsed["Unit"]["ConditionPathExists"] == "/etc/sluice/settings.json"
            assert {f"{key}={value}" for key, value in parsed["Service"].items()} >= set(units.HARDENING)


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
    wanted = units.contents(30)
    write(wanted)
    links = units.links(wanted)
    assert {Path(link).relative_to(units.FOLDER).as_posix(): should for link, should in links.items()} == {
        "multi-user.target.wants/sluice.service": True,
        "timers.target.wants/sluice-repair.timer": True,
    }
    units.perform(links, wanted)
    assert all(Path(link).resolve() == Path(units.FOLDER) / Path(link).name for link in links)
    assert units.links(wanted) == {}
    fewer = units.contents(0)
    (link,) = units.links(fewer)
    units.perform({link: False}, fewer)
    assert not os.path.lexists(link)
    assert units.links(fewer) == {}
    assert list(units.links(units.contents(0, present=False)).values()) == [False]


def test_systemd_is_told(programs: Path) -> None:
    script(programs / "systemctl", f'echo "$*" >>{programs}/log')
    log = programs / "log"
    units.perform({}, units.contents(30))
    assert log.read_text().splitlines() == ["--quiet daemon-reload", "--quiet restart sluice-repair.timer"]
    log.unlink()
    units.end(units.contents(30))
    assert not log.exists()
    for wanted, gone in (
        # A repair may have failed as its files went: it would be listed as failed for ever.
        (units.contents(0), "sluice-repair.service sluice-repair.timer"),
        (units.contents(0, present=False), "sluice.service sluice-repair.service sluice-repair.timer"),
    ):
        units.end(wanted)
        units.perform({}, wanted)
        said = ["--quiet stop {}", "--quiet daemon-reload", "--quiet reset-failed {}"]
        assert log.read_text().splitlines() == [each.format(gone) for each in said]
        log.unlink()


@pytest.mark.parametrize(("seconds", "code", "idle"), [(30, 0, False), (30, 3, True), (0, 3, False)])
def test_a_timer_that_somebody_has_stopped(seconds: int, code: int, idle: bool, programs: Path) -> None:
    script(programs / "systemctl", f'[ "$*" = "--quiet is-active sluice-repair.timer" ] && exit {code}')
    assert units.is_idle(units.contents(seconds)) is idle


def test_what_goes_is_stopped_while_its_file_is_there(programs: Path) -> None:
    """systemd fails a timer whose service has gone, and counts the host as degraded then."""
    there = f"[ -e {units.FOLDER}/sluice-repair.timer ] && is=there || is=gone"
    script(programs / "systemctl", f'{there}; echo "$2: $is" >>{programs}/log')
    change = functools.partial(installation.change, sluice, sys.executable, systemd=True, repair_seconds=30)
    installation.perform(change(present=True))
    installation.perform(change(present=False))
    assert (programs / "log").read_text().splitlines()[2:] == [
        "stop: there",
        "daemon-reload: gone",
        "reset-failed: gone",
    ]
