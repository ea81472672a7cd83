"""What is asked of the catalogue where no node is known, and where all have the default settings."""

from __future__ import annotations

from sluice import render
from sluice.catalogue.checks import NO_CHECKS, Checks
from sluice.settings import Settings


def test_no_checks_are_those_of_default_settings() -> None:
    assert NO_CHECKS == Checks() == render.checks_for([])
    assert NO_CHECKS._replace(ip_families=("IPv4",), remembers_clients=100) == render.checks_for([Settings()])
