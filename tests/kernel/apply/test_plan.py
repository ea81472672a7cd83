"""A change is as small as what differs, on the kernel's own count."""

from __future__ import annotations

import socket

import cases
import hosts
import kills
import pytest
import support

from sluice.backends.iptables import kernel as iptables_kernel

MANY = [cases.Service(number) for number in range(60)]
NFT = iptables_kernel.NFT


def test_nothing_changed_writes_nothing(node: hosts.Node, variant: str) -> None:
    files = cases.rendered(MANY, iptables_variant=variant)
    assert node.apply(files).changed
    held, generation = node.save(variant), node.generation()
    for _ in range(3):
        again = node.apply(files)
        assert (again.changed, again.counts()["lines"], again.counts()["bytes"]) == (False, 0, 0)
        assert node.differs() == ()
    assert (node.save(variant), node.generation()) == (held, generation)


@pytest.mark.parametrize("dispatch", ["linear", "prefix"])
def test_one_endpoint_changes_its_chains(node: hosts.Node, variant: str, dispatch: str) -> None:
    settings = {"iptables_variant": variant, "iptables_dispatch": dispatch}
    node.apply(cases.rendered(MANY, **settings))
    changed = [service._replace(endpoints=cases.PODS[1:3]) if service.number == 7 else service for service in MANY]
    generation = node.generation()
    result = node.apply(cases.rendered(changed, **settings))
    touched = {change.thing.split()[-1][:9] for change in result.changes}
    assert touched <= {"KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-SEP-"}, result.changes
    assert [change.verb for change in result.changes].count("add") == 1
    assert [change.verb for change in result.changes].count("remove") == 1
    assert 0 < result.counts()["lines"] <= 20
    assert node.generation() - generation == (variant == NFT)  # one transaction of one table
    assert node.differs() == ()


def test_one_service_is_inserted(node: hosts.Node, variant: str) -> None:
    without = [service for service in MANY if service.number != 30]
    node.apply(cases.rendered(without, iptables_variant=variant))
    result = node.apply(cases.rendered(MANY, iptables_variant=variant))
    changed = {change.thing: change for change in result.changes if change.verb == "change"}
    services = f"iptables-{variant} -t nat KUBE-SERVICES"
    assert set(changed) == {services}
    assert not changed[services].removed
    assert len(changed[services].added) == 1
    assert 0 < result.counts()["lines"] <= 20
    assert node.differs() == ()
    gone = node.apply(cases.rendered(without, iptables_variant=variant))
    assert 0 < gone.counts()["lines"] <= 20
    assert node.differs() == ()


MOST = 5000
"""Endpoints of one Service."""


def test_a_service_with_many_endpoints(node: hosts.Node, variant: str) -> None:
    """Back and forth, all of them and one: what the kernel holds is what is wanted, and nothing else."""
    endpoints = tuple(f"10.2.{number // 250}.{number % 250 + 1}" for number in range(MOST))
    affinity = (("sessionAffinity", "ClientIP"),)
    for count, more in [(MOST, ()), (1, ()), (MOST, ()), (MOST - 1, ()), (MOST, affinity), (0, ())]:
        contents = cases.rendered([cases.Service(1, endpoints[:count], more=more)], iptables_variant=variant)
        assert node.apply(contents).changed
        assert kills.not_wanted(node, contents) == []
        assert not node.apply(contents).changed


def test_a_service_with_many_ports(node: hosts.Node, variant: str) -> None:
    for first, last, count in [(0, 100, 3), (1, 100, 3), (0, 100, 2), (0, 1, 2), (0, 100, 3)]:
        numbers = range(first, last)
        ports = [{"name": f"p{number}", "port": 1000 + number, "targetPort": 8000 + number} for number in numbers]
        targets = [{"name": f"p{number}", "port": 8000 + number} for number in numbers]
        objects = support.service(ports=ports), support.endpoint_slice(*cases.PODS[:count], ports=targets)
        contents = support.rendered(support.catalogue(*objects), support.node(iptables_variant=variant))
        result = node.apply(contents)
        assert result.changed
        assert kills.not_wanted(node, contents) == []
        if first:
            assert result.counts()["lines"] <= 20, "one port went"


def send(address: str) -> None:
    """The first packet of a connection."""
    with socket.socket() as connection:
        connection.setblocking(False)
        connection.connect_ex((address, 80))


def test_counters_of_other_chains_go_on(node: hosts.Node, variant: str) -> None:
    """A chain that is not touched keeps its counters, so it was not rewritten."""
    node.apply(cases.rendered(MANY, iptables_variant=variant))
    node.shell("ip address add 10.1.0.1/24 dev lo; ip route add 10.96.0.0/16 dev lo")
    node.call(lambda: send(MANY[0].address))

    def counted() -> dict[str, str]:
        lines = node.run(f"iptables-{variant}-save", "-c", "-t", "nat").stdout.splitlines()
        return {line.partition("] ")[2]: line.partition("]")[0] for line in lines if "/s0" in line and "-A" in line}

    before = counted()
    assert any(count != "[0:0" for count in before.values())
    node.apply(cases.rendered([*MANY[:-1], MANY[-1]._replace(endpoints=())], iptables_variant=variant))
    after = counted()
    assert after.keys() == before.keys()
    assert all(after[rule] != "[0:0" for rule, count in before.items() if count != "[0:0")
