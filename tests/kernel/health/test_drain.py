"""Endpoints that an operator drains get no new connections, keep those they have, and stay out until undrained."""

from __future__ import annotations

import shutil

import cases
import load
import pytest
from watched import A, B, C, answers, contents, held

WEB, DNS, ALONE = cases.Service(1, (A, B)), cases.Service(2, (A, B), "UDP", 30002), cases.Service(3, (A,))
ALL = (WEB, DNS, ALONE)


@pytest.fixture
def served(network: load.Network, plane: str) -> load.Network:
    network.serve(ALL)
    network.node.apply(contents(plane, *ALL, health=False))
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

    node.apply(contents(plane, *ALL, more, health=False))
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
    without_a = [each._replace(endpoints=(B,) if B in each.endpoints else ()) for each in ALL]
    node.apply(contents(plane, *without_a, health=False))
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
