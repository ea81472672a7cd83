"""A day of health checks in fast motion: after each change the kernel is what a catalogue would say that knew it.

``SLUICE_HEALTH``: so many answers of endpoints instead of some thousand.
"""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Collection, Mapping
from typing import Any

import cases
import hosts
import pytest
import support

from sluice.catalogue import compiled
from sluice.health.reasons import Reason, State
from sluice.health.states import Machine
from sluice.node import apply, files, outage, state
from sluice.node.supervisor import Supervisor
from sluice.outages import NO_OUTAGES, Asked

ANSWERS = int(os.environ.get("SLUICE_HEALTH", "4000"))
PERIOD, FALL, RISE = 1.0, 3, 2
OPEN, CLOSED = {"tcpSocket": {}}, '{"tcpSocket": {}, "onAllDown": "closed"}'
SOME = cases.PODS[:4]


def services(source: random.Random) -> list[cases.Service]:
    found = []
    for number in range(1, 9):
        ends = tuple(source.sample(SOME, source.choice([1, 2, 3, 4])))
        found.append(
            cases.Service(number, ends, source.choice(["TCP", "TCP", "UDP"]), source.choice([0, 30000 + number]))
        )
    return found


def objects(found: list[cases.Service], closed: Collection[int], down: Collection[tuple[str, int]]) -> list[Any]:
    """The manifests; of endpoints that are ``down`` (address, port) those that say it themselves."""
    every = []
    for service in found:
        out = {address for address in service.endpoints if (address, service.target_port) in down}
        if out == set(service.endpoints) and service.number not in closed:
            out = set()  # all of them are down: as the catalogue says
        ports = [{"name": "", "port": service.target_port, "protocol": service.protocol}]
        for each in service.objects(both=False):
            if each["kind"] == "Service" and service.number in closed:
                each["metadata"].setdefault("annotations", {})["sluice.io/health-check"] = CLOSED
            if each["kind"] == "EndpointSlice":
                ends = [support.endpoint(a, **_state(a in out)) for a in service.endpoints]
                each = support.endpoint_slice(*ends, of=service.name, ports=ports)
            every.append(each)
    return every


def _state(out: bool) -> dict[str, bool]:
    return {"ready": False, "serving": False, "terminating": False} if out else {}


def contents(every: list[Any], plane: str) -> Mapping[str, str]:
    found = support.catalogue(*every)
    own = support.node(**cases.settings_of(plane), ip_families=["IPv4"], health=True, health_check=OPEN)
    return files.sealed({**support.rendered(found, own), files.CATALOGUE_FILE: compiled.text(found)})


def differs(said: Mapping[str, str]) -> list[str]:
    """How the kernel differs from just these files, by a full look at it: whatever is out, they say it themselves."""
    last, current = state.last, outage.current
    state.last = lambda: last()._replace(records={})
    outage.current = lambda: NO_OUTAGES
    try:
        return list(apply.apply(lambda: files.parse(said), check=True).diff())
    finally:
        state.last, outage.current = last, current


def run(seed: int, plane: str) -> int:
    """How often the kernel was changed."""
    source = random.Random(seed)
    found = services(source)
    closed = {service.number for service in found if service.protocol == "TCP" and source.random() < 0.5}
    apply.apply(lambda: files.parse(contents(objects(found, closed, ()), plane)))
    supervisor = Supervisor()
    supervisor._look()
    checks: list[Asked] = sorted(supervisor.asking.checks)
    machines = {check: Machine() for check in checks}
    well = dict.fromkeys(checks, True)
    down: set[tuple[str, int]] = set()
    now, changes = 0.0, 0
    for answer in range(ANSWERS):
        now += PERIOD / len(checks)
        check = checks[answer % len(checks)]
        if source.random() < 0.02:
            well[check] = not well[check]
        fine = well[check] if source.random() < 0.9 else not well[check]
        machine = machines[check]
        if not machine.answer(Reason.FINE if fine else Reason.REFUSED, now, FALL, RISE, PERIOD):
            continue
        if not supervisor.verdicts.take(check, machine.state, machine.reason, 1, now):
            continue
        (down.add if machine.state is State.DOWN else down.discard)(check[:2])
        supervisor._apply()
        changes += 1
        said = differs(contents(objects(found, closed, down), plane))
        assert said == [], (seed, answer, sorted(down), said[:20])
    supervisor.close()
    return changes


@pytest.mark.parametrize("plane", ["nft", "nftables"])
def test_after_each_change_the_kernel_is_what_the_model_says(node: hosts.Node, plane: str) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    changes = node.call(lambda: run(seed, plane))
    print(f"{changes} changes")
    assert changes
