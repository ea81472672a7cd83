"""What the rest of Sluice relies on in each backend: the order of phases, and what its layers have together."""

from __future__ import annotations

from sluice.backends import registry
from sluice.backends.interface import Phase


def test_phases_come_in_their_order() -> None:
    """An apply sends them as the enumeration has them."""
    assert list(Phase) == sorted(Phase) == [Phase.PREPARE, Phase.SWITCH, Phase.CLEAN]


def test_devices_of_a_backend_are_those_of_its_layers() -> None:
    backends = registry.BACKENDS
    assert list(backends["iptables"].devices) == []
    assert list(backends["ipvs"].devices) == ["kube-ipvs0"]
