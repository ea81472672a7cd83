"""Endpoints that an operator drains get no new connections, keep those they have, and stay out until undrained."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping

import cases
import load
import pytest
import support
from watched import answers, held

from sluice.catalogue import compiled
from sluice.node import files

A, B, C = cases.PODS[:3]
WEB, DNS, ALONE = cases.Service(1, (A, B)), cases.Service(2, (A, B), "UDP", 30002), cases.Service(3, (A,))


def contents(plane: str, services: Iterable[cases.Service]) -> Mapping[str, str]:
    objects = [each for service in services for each in service.objects(both=False)]
    found = support.catalogue(*objects)
    settings = support.node(**cases.settings_of(plane), ip_families=["IPv4"])
    return {**files.sealed({**support.rendered(found, settings), files.CATALOGUE_FILE: compiled.text(found)})}


@pytest.fixture
def served(network: load.Network, plane: str) -> load.Network:
    network.serve([WEB, DNS, ALONE])
    network.node.apply(contents(plane, [WEB, DNS, ALONE]))
    return network


def test_a_drained_endpoint_gets_no_new_connections(served: load.Network, plane: str) -> None:
    node = served.node
    before = held(node, plane)
    kept = {answers(served, DNS, 1).pop() for _ in range(20)}
    said = node.sluice("drain", A).stdout.splitlines()
    assert said[0] == f"{A} is drained"
    assert answers(served, WEB) == {B}
    assert served.ask(ALONE.address, 80) == "ECONNREFUSED"
    # A UDP flow that there was goes on, as a connection does.
    assert {answers(served, DNS, 1).pop() for _ in range(5)} == kept
    assert node.differs() == ()
    assert node.sluice("drain", A).stdout == "changed=0\n"
    node.sluice("undrain", A)
    assert held(node, plane) == before
    assert answers(served, WEB) == {A, B}


def test_nothing_brings_it_back_but_an_operator(served: load.Network, plane: str) -> None:
    node = served.node
    node.sluice("drain", A)
    without = held(node, plane)
    more = cases.Service(4, (A, C))
    served.serve([more])

    node.apply(contents(plane, [WEB, DNS, ALONE, more]))
    assert answers(served, more) == {C}
    assert node.sluice("apply").stdout == "changed=0\n"
    node.sluice("rollback")
    assert (held(node, plane), answers(served, WEB)) == (without, {B})

    # As at boot: nothing is left of what ends with it.
    node.call(lambda: shutil.rmtree("/run/sluice"))
    node.run("nft", "flush", "ruleset")
    node.run("iptables-legacy-restore", text="*nat\nCOMMIT\n*filter\nCOMMIT\n")
    node.sluice("apply", "--boot")
    assert answers(served, WEB) == {B}
    assert node.differs() == ()


def test_rules_are_those_of_a_catalogue_without_it(served: load.Network, plane: str) -> None:
    node = served.node
    node.sluice("drain", A)
    without = held(node, plane)
    node.sluice("undrain", A)
    node.apply(
        contents(plane, [each._replace(endpoints=(B,) if B in each.endpoints else ()) for each in (WEB, DNS, ALONE)])
    )
    assert held(node, plane) == without


def test_words_that_are_no_endpoints(served: load.Network, plane: str) -> None:
    node = served.node
    before = held(node, plane)
    for words, said in (
        (("drain", "web"), "sluice: not an IP address: web"),
        (("drain", A, "10.9.9.9"), "sluice: not an endpoint of this node's catalogue: 10.9.9.9; nothing was changed"),
    ):
        done = node.sluice(*words, check=False)
        assert (done.returncode, done.stderr) == (2, f"{said}\n")
    done = node.sluice("undrain", B)
    assert (done.stdout, done.stderr) == ("changed=0\n", f"warning: {B} was not drained\n")
    assert held(node, plane) == before


def test_check_says_what_it_would_change(served: load.Network, plane: str) -> None:
    node = served.node
    before = held(node, plane)
    predicted = node.sluice("drain", "--check", A).stdout
    assert (held(node, plane), node.sluice("apply").stdout) == (before, "changed=0\n")
    assert node.sluice("drain", A).stdout == predicted
