"""Services in Sluice's flat table: weights and session affinity, as the kernel lists them."""

from __future__ import annotations

from fractions import Fraction

import pytest
import support

from sluice import render
from sluice.backends.interface import Memo
from sluice.backends.nftables.backend import BACKEND
from sluice.backends.nftables.text import FILE
from sluice.observe.services import services
from sluice.observe.snapshot import snapshot

pytestmark = pytest.mark.usefixtures("needs_root")


def test_slots_are_shares_and_ways_have_seconds() -> None:
    weights = {"sluice.io/weight": "10.1.0.1=3"}
    ports = support.service("even", ip="10.96.0.2", sessionAffinity="ClientIP")
    objects = [
        support.service("web", annotations=weights),
        support.endpoint_slice("10.1.0.1", "10.1.0.2"),
        ports,
        support.endpoint_slice("10.1.0.1", of="even"),
    ]
    own = support.node(backend="nftables", ip_families=["IPv4"])
    views = render.views(support.catalogue(*objects), own)
    text = BACKEND.render(views, own, Memo())[FILE]
    listed = support.in_a_namespace("nft -f - && nft -j list ruleset", text)
    even, web = services(snapshot([("nft", listed)]))
    assert (even.affinity_seconds, even.entries) == (10800, 4)
    assert [each.share for each in web.endpoints] == [Fraction(3, 4), Fraction(1, 4)]
    assert web.entries == 1 + 1 + 4, "an address, a list, and its slots"
