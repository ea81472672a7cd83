"""What the tests against the kernel share: nodes, and a small network around one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import cases
import hosts
import load

from sluice.backends.iptables.kernel import VARIANTS


@pytest.fixture
def node(needs_root: None) -> Iterator[hosts.Node]:
    """A node without a network."""
    with hosts.Node("node") as found:
        yield found


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    """Both variants of iptables, one after the other."""
    return str(request.param)


@pytest.fixture(params=cases.PLANES)
def plane(request: pytest.FixtureRequest) -> str:
    """Both variants, and flat nftables."""
    return str(request.param)


@pytest.fixture
def network(node: hosts.Node) -> Iterator[load.Network]:
    """The node between a client and a host that has the addresses of all endpoints."""
    with load.around(node) as found:
        yield found
