"""The parts of a table that no Service changes."""

from __future__ import annotations

import pytest
from support import node

from sluice.addresses import IPV4, IPV6
from sluice.backends.nftables import layout, skeleton
from sluice.backends.nftables.skeleton import Guard, Way

OPEN, SHUT = Guard(node_ports=True, host_ports=True), Guard(node_ports=False, host_ports=False)


def chains(family: str = IPV4, guard: Guard = SHUT, **variables: object) -> str:
    return "\n".join(skeleton.chains(family, node(**variables), guard))


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 5000, 250_000])
def test_a_set_has_twice_the_room(count: int) -> None:
    """A power of two: a set whose size changes is made anew, so that is seldom."""
    size = skeleton.size_for(count)
    assert size >= max(1024, 2 * count)
    assert size & (size - 1) == 0
    assert size <= max(1024, 4 * count)


def test_each_set_is_defined_once() -> None:
    lines = list(skeleton.sets(IPV6, {"lists": 4096}, 1000))
    heads = [line.split()[1] for line in lines if line.endswith("{")]
    assert heads == [*layout.SHAPES, layout.AFFINITY, layout.MADE_OF]
    text = "\n".join(lines)
    assert "map lists {\n\t\ttype classid : classid\n\t\tsize 4096\n" in text
    assert "size 1000\n\t\tflags dynamic,timeout" in text


def test_every_kind_of_address_has_its_chain() -> None:
    for chain in layout.KINDS.values():
        assert f"chain {chain} {{" in chains()


def test_masquerading() -> None:
    mark = "meta mark set meta mark | 0x4000"
    assert "chain inside {\n\t\tgoto to-cluster" in chains()
    assert f"chain inside {{\n\t\tip saddr != 10.1.0.0/16 {mark}\n" in chains(cluster_cidrs=["10.1.0.0/16"])
    assert f"chain inside {{\n\t\t{mark}\n" in chains(masquerade_all=True, cluster_cidrs=["10.1.0.0/16"])
    assert "meta mark & 0x8 == 0x8 meta mark set meta mark & 0xfffffff7 masquerade" in chains(masquerade_bit=3)


@pytest.mark.parametrize(("family", "guard", "closed"), [(IPV4, OPEN, True), (IPV4, SHUT, False), (IPV6, SHUT, False)])
def test_what_opens_loopback_closes_it_to_neighbours(family: str, guard: Guard, closed: bool) -> None:
    text = chains(family, guard)
    assert ("ct status & dnat == 0 drop" in text) is closed
    assert ("saddr 127.0.0.0/8 masquerade" in text) is closed


def test_packets_that_conntrack_does_not_know() -> None:
    assert "ct state invalid drop" in chains()
    assert "ct state invalid drop" not in chains(conntrack_tcp_be_liberal=True)


@pytest.mark.parametrize(
    ("way", "name", "plain"),
    [
        (Way("random", 5), "random-5", True),
        (Way("random", 2000), "random-2000", False),
        (Way("source", 16381), "source-16381", False),
        (Way("random", 3, 600, local=True), "random-3-sticky-local-600", False),
    ],
)
def test_ways(way: Way, name: str, plain: bool) -> None:
    text = "\n".join(skeleton.way_chain(way, IPV4))
    assert (way.chain, way.is_plain) == (name, plain)
    assert text.startswith(f"\tchain {name} {{\n")
    assert f"mod {way.slots} " in text
    # The first slot is always there, whatever becomes of the list meanwhile.
    assert ("numgen random mod 1 map" in text) is (way.slots > 1)


def test_health_checks_pass_by_conntrack() -> None:
    """Before conntrack sees them, which is at priority -200."""
    text = chains(health=True)
    assert "\tchain checks {\n\t\ttype filter hook output priority raw;" in text
    assert "\t\ttcp sport 61440-61695 notrack\n" in text
    assert " != syn socket wildcard 0 notrack\n" in text
    assert "notrack" not in chains() + chains(health=True, health_notrack=False)
