"""Catalogues that change all the time under load: no connection fails, none that is established breaks."""

from __future__ import annotations

import random
import time

import cases
import load

from sluice.node import confirmation, rollback

SECONDS = 30
"""At least; a slow machine goes on until each kind of change has come."""

RATE = 500
"""New connections a second."""

CHANGES = {"scale": 8, "others": 6, "dispatch": 2, "plane": 3, "rollback": 2, "taken back": 1}
"""How often each is among the changes."""

ALWAYS = [cases.Service(number, node_port=30000 + number if number % 2 else 0) for number in range(8)]


def test_changes_under_load(network: load.Network) -> None:
    """Scale up and down, add and remove, both dispatches, all planes, rollback: as quickly as they go."""
    source = random.Random(1)
    node = network.node
    network.serve(ALWAYS)
    plane, dispatch = cases.settings_of("nft"), "linear"
    others = cases.random_services(source, range(10, 50))
    always = {service.number: service for service in ALWAYS}

    def files() -> dict[str, str]:
        return cases.rendered([*always.values(), *others.values()], iptables_dispatch=dispatch, **plane)

    node.apply(files())
    targets = [(service.address, service.target_port) for service in ALWAYS]
    client = network.client.start(lambda: load.request(targets, RATE, held=40))
    done: dict[str, int] = {}
    until = time.monotonic() + SECONDS
    while time.monotonic() < until or len(done) < len(CHANGES):
        (what,) = source.choices([*CHANGES], [*CHANGES.values()])
        done[what] = done.get(what, 0) + 1
        if what == "rollback":
            node.call(rollback.roll_back)
            continue
        if what == "dispatch":
            dispatch = source.choice(["linear", "prefix"])
        elif what == "plane":
            plane = cases.settings_of(source.choice(cases.PLANES))
        elif what == "others":
            others = cases.random_step(source, others, range(10, 60))
        else:
            number = source.choice(list(always))
            endpoints = tuple(source.sample(cases.PODS, source.choice([1, 2, 3, 6])))
            always[number] = always[number]._replace(endpoints=endpoints)
        if what == "taken back":
            node.apply(files(), confirm=60)
            node.call(confirmation.take_back)
        else:
            node.apply(files())
    node.apply(files())
    outcome = client.stop()
    print(f"{sum(done.values())} changes {done}; {outcome}")
    assert node.differs() == ()
    assert outcome.faults == {}
    assert outcome.fine > SECONDS * RATE * 0.9
