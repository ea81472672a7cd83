"""Releases are data that all of it agrees on: settings and each backend know the same ones."""

from __future__ import annotations

import pytest

from sluice import settings
from sluice.backends.iptables import dialect as iptables_dialect
from sluice.backends.ipvs import dialect as ipvs_dialect
from sluice.release import RELEASES, Release


def test_each_backend_has_a_dialect_of_each_release() -> None:
    assert list(RELEASES) == list(iptables_dialect.DIALECTS) == list(ipvs_dialect.DIALECTS)


@pytest.mark.parametrize("name", RELEASES)
def test_each_release_can_be_chosen(name: str) -> None:
    assert settings.from_variables({"sluice_compat": name})[0].compat == name


def test_the_default_is_the_newest() -> None:
    assert settings.Settings().compat == list(RELEASES)[-1]


@pytest.mark.parametrize("flag", Release._fields)
def test_a_flag_tells_releases_apart(flag: str) -> None:
    """One that all have alike would be no difference."""
    assert {getattr(release, flag) for release in RELEASES.values()} == {False, True}
