"""What IPVS mode keeps outside iptables: names, files, both families together."""

from __future__ import annotations

import pytest
from support import endpoint_slice, service
from support import ipvs_state as wanted

from sluice.addresses import IPV4, IPV6
from sluice.backends.ipvs import tables
from sluice.backends.ipvs.dialect import DIALECTS


def test_both_families_share_their_tables() -> None:
    dual = service(ip=["10.96.0.1", "fd00:96::1"])
    states = [wanted(dual, family=family, ip_families=[IPV4, IPV6]) for family in (IPV4, IPV6)]
    found = tables.merged(state.tables for state in states)
    assert found.addresses == ("10.96.0.1/32", "fd00:96::1/128")
    assert set(found.sets) == {*states[0].tables.sets, *states[1].tables.sets}
    assert set(found.sets) <= tables.SET_NAMES
    assert len(found.servers) == 2


def test_names_are_cut_to_what_ipset_allows() -> None:
    assert tables.set_name("CLUSTER-IP", IPV4) == "KUBE-CLUSTER-IP"
    assert tables.set_name("LOAD-BALANCER-SOURCE-CIDR", IPV6) == "KUBE-6-LOAD-BALANCER-SOURCE-CID"
    assert all(len(name) < 32 for name in tables.SET_NAMES)
    known = [(name, family) for dialect in DIALECTS.values() for name in dialect.sets for family in (IPV4, IPV6)]
    assert len({tables.set_name(*each) for each in known}) == len(set(known)), "cut, they still differ"


def test_what_is_written_is_read() -> None:
    found = wanted(service(), endpoint_slice("10.244.1.1")).tables
    assert set(tables.files(found)) == set(tables.FILES)
    assert tables.parse_files(tables.files(found)) == found
    assert tables.parse_files({}) == tables.NO_TABLES == tables.merged([])


@pytest.mark.parametrize("name", ["ipset.conf", "ipvs.conf"])
def test_what_is_not_what_was_written(name: str) -> None:
    with pytest.raises(ValueError, match=r"^line 1: not in .* form: nonsense$"):
        tables.parse_files({name: "nonsense\n"})
