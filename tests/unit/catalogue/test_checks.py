"""Where no node is known, the catalogue is checked as if all nodes had the default settings."""

from __future__ import annotations

from sluice import render
from sluice.catalogue.checks import NO_CHECKS, Checks
from sluice.settings import Settings


def test_no_checks_are_those_of_default_settings() -> None:
    assert NO_CHECKS == Checks() == render.checks_for([]) == render.checks_for([Settings()])
