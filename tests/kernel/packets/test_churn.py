"""Catalogues that change all the time under load: no connection fails, none that is established breaks.

SLUICE_CHURN says how many endpoints come and go in flat nftables, as quickly as the kernel takes it.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import os
import random
import re
import time
from collections.abc import Mapping
from typing import NamedTuple

import cases
import load

from sluice.addresses import IPV4
from sluice.backends.nftables import elements, kernel, netlink, plan, text
from sluice.node import confirmation, rollback
from sluice.system.netlink import nft_generation

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


CHURN = int(os.environ.get("SLUICE_CHURN", "0"))
CHURN_SECONDS, CHURN_RATE = 5, 1000

_STICKY = (("sessionAffinity", "ClientIP"),)
CHURNING = [cases.Service(number, cases.PODS, more=_STICKY if number == 4 else ()) for number in range(1, 5)]
COUNTS = [
    cases.Service(10 * kind + count, cases.PODS[:count], more=more)
    for kind, more in enumerate([(), _STICKY], 1)
    for count in range(1, len(cases.PODS) + 1)
]
"""One for each number of endpoints, so that there is a chain for each from the beginning."""

Endpoints = tuple[str, ...]

WATCH = """
table ip watch {
    chain before {
        type filter hook prerouting priority mangle
        iifname client tcp flags & (syn | ack) == syn ct state != new counter comment "stale"
    }
    chain after {
        type filter hook forward priority filter + 1
        ip daddr 10.96.0.0/16 counter comment "lost"
    }
}
"""
"""Counts what goes where no rule sends it.

Lost: to a Service's own address, as nothing has rewritten it. Stale: it begins a connection, but conntrack takes it for
one of before, which had the same port and whose reset was not the last that was seen of it: so to the endpoint of that.
"""


class History(NamedTuple):
    """When one endpoint left a Service, and came back, in turns; it was there at first (time.monotonic()).

    ``sent``: when the kernel was told of each change; ``done``: when it had made it.
    """

    sent: list[float]
    done: list[float]

    def missing(self, begun: float, ended: float) -> bool:
        """Whether the endpoint was away all the time."""
        at = bisect.bisect_right(self.done, begun)
        return at % 2 == 1 and (at == len(self.sent) or ended <= self.sent[at])


class Churned(NamedTuple):
    """What became of the endpoints that came and went.

    ``histories``: by the Service's address and the endpoint's. ``elements``: how many changed with all of them.
    """

    changes: int
    elements: int
    histories: Mapping[tuple[str, str], History]
    endpoints: Mapping[str, Endpoints]

    def astray(self, answer: load.Answer) -> bool:
        """Whether it came from an endpoint that had left before the connection began."""
        return self.histories[answer.service, answer.endpoint].missing(answer.begun, answer.ended)


def churned_files(endpoints: Mapping[str, Endpoints]) -> dict[str, str]:
    """A node's files where each of CHURNING has these endpoints, by its name."""
    services = [service._replace(endpoints=endpoints[service.name]) for service in CHURNING]
    return cases.rendered([*services, *COUNTS], backend="nftables")


@functools.cache
def elements_with(endpoints: Endpoints) -> elements.Elements:
    """The table's elements where all of CHURNING have these endpoints."""
    files = churned_files({service.name: endpoints for service in CHURNING})
    table = text.tables(files[text.FILE])[IPV4]
    return elements.parse({name: str(piece) for name, piece in table.elements.items()}, IPV4)


@functools.cache
def changes_of(name: str, before: Endpoints, after: Endpoints) -> list[netlink.Change]:
    """What changes in the table with the endpoints of one Service."""
    found = plan.plan(elements_with(before), elements_with(after))
    assert not found.renumbering
    number = plan.services(elements_with(after))[f"shop/{name}"]

    def own(entries: Mapping[bytes, elements.Element]) -> dict[bytes, elements.Element]:
        return {key: entry for key, entry in entries.items() if elements.service_of(key) == number}

    return [netlink.Change(each.name, own(each.removed), own(each.added)) for each in found.changes]


def churn() -> Churned:
    """Endpoints come and go one by one, each in a transaction as the layer sends it.

    For CHURN_SECONDS at least, and until CHURN of them have.
    """
    source, generation = random.Random(), nft_generation()
    there = {service.name: service.endpoints for service in CHURNING}
    histories = {(service.address, pod): History([], []) for service in CHURNING for pod in cases.PODS}
    changes = changed = 0
    until = time.monotonic() + CHURN_SECONDS
    while changes < CHURN or time.monotonic() < until:
        service, pod = source.choice(CHURNING), source.choice(cases.PODS)
        before = there[service.name]
        after = tuple(each for each in cases.PODS if (each in before) != (each == pod))
        if not after:
            continue
        found = changes_of(service.name, before, after)
        history = histories[service.address, pod]
        history.sent.append(time.monotonic())
        kernel.commit({IPV4: found}, generation)
        history.done.append(time.monotonic())
        there[service.name] = after
        generation += 1
        changes += 1
        changed += sum(len(each.removed) + len(each.added) for each in found)
    return Churned(changes, changed, histories, there)


def test_endpoints_come_and_go_under_load(network: load.Network) -> None:
    """By thousands a second, in flat nftables: no packet is lost, and none gets to an endpoint that has left."""
    node = network.node
    network.serve(CHURNING)
    node.run("nft", "-f", "-", text=WATCH)
    node.apply(churned_files({service.name: service.endpoints for service in CHURNING}))
    for count in range(1, len(cases.PODS) + 1):  # beforehand, so that a change takes no longer than the kernel does
        for endpoints in itertools.combinations(cases.PODS, count):
            elements_with(endpoints)
    targets = [(service.address, service.target_port) for service in CHURNING]
    client = network.client.start(lambda: load.request(targets, CHURN_RATE, held=40))
    begun = time.monotonic()
    done = node.call(churn)
    seconds = time.monotonic() - begun
    outcome = client.stop()
    listed = node.run("nft", "list", "table", "ip", "watch").stdout
    counted = {what: int(number) for number, what in re.findall(r'packets (\d+) bytes \d+ comment "(\w+)"', listed)}
    print(
        f"{done.changes} changes of {done.elements} elements in {seconds:.0f} s, "
        f"{len(outcome.answers)} new connections; {outcome}; {counted}"
    )
    assert outcome.faults == {}
    assert counted["lost"] == 0
    astray = [answer for answer in outcome.answers if done.astray(answer)]
    assert len(astray) <= counted["stale"], astray
    assert {answer.endpoint for answer in outcome.answers} == set(cases.PODS)
    assert len(outcome.answers) > CHURN_SECONDS * CHURN_RATE * 0.9
    assert node.differs(churned_files(done.endpoints)) == ()
