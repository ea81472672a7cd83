"""Each kind that a probe may name can be asked."""

from __future__ import annotations

from sluice import probes
from sluice.health.kinds import KINDS


def test_each_kind_is_there() -> None:
    assert set(KINDS) == set(probes._KINDS)
