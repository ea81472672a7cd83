"""What IPVS mode keeps outside iptables: names, files, both families together."""

from __future__ import annotations

from support import ipvs_state as wanted
from support import service

from sluice.addresses import IPV4, IPV6
from sluice.backends.ipvs import tables


def test_both_families_share_their_tables() -> None:
    dual = service(ip=["10.96.0.1", "fd00:96::1"])
    states = [wanted(dual, family=family, ip_families=[IPV4, IPV6]) for family in (IPV4, IPV6)]
    found = tables.merged(state.tables for state in states)
    assert found.addresses == ("10.96.0.1/32", "fd00:96::1/128")
    assert set(found.sets) == {*states[0].tables.sets, *states[1].tables.sets}
    assert set(found.sets) <= tables.SET_NAMES
    assert len(found.servers) == 2
