"""The units of health. What systemd makes of them, and what they may still do, is tested in Molecule's scenario."""

from __future__ import annotations

import configparser

from sluice.node import health_units, units

COMMAND = "/usr/local/sbin/sluice"
SUPERVISOR = health_units.supervisor(COMMAND, units.HARDENING)
CHECKER = health_units.checker(COMMAND, "nobody")


def parsed(text: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string(text)
    return found


def test_the_supervisor_may_do_a_little_more_than_the_others() -> None:
    assert set(units.HARDENING) <= set(SUPERVISOR.splitlines())
    own = {line for line in SUPERVISOR.splitlines() if line.startswith(("CapabilityBoundingSet", "IPAddressAllow"))}
    assert own - set(units.HARDENING) == {"CapabilityBoundingSet=CAP_CHOWN", "IPAddressAllow=any"}
    service = parsed(SUPERVISOR)["Service"]
    assert (service["ExecStart"], service["Type"]) == (f"{COMMAND} health --supervise", "notify")


def test_the_checker_may_do_nothing() -> None:
    service = parsed(CHECKER)["Service"]
    assert service["ExecStart"] == f"{COMMAND} health --check"
    assert (service["User"], service["CapabilityBoundingSet"]) == ("nobody", "")


def test_both_are_back_whatever_happens_to_them() -> None:
    for text in (SUPERVISOR, CHECKER):
        found = parsed(text)
        assert found["Unit"]["StartLimitIntervalSec"] == "0"
        assert (found["Service"]["Restart"], found["Service"]["RestartSec"]) == ("always", "1")
        assert found["Service"]["NoNewPrivileges"] == "yes"
        # The files of a node that is prepared for the first time come later.
        assert "ConditionPathExists" not in text
        assert not {"PartOf", "BindsTo", "Requires"} & set(found["Unit"]), "the end of one is not that of the other"
