"""Applies that are killed, and what a node holds after the next one, on both variants and families."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Mapping
from typing import NamedTuple

import cases
import hosts

from sluice import addresses
from sluice.backends.iptables import text as ruleset
from sluice.backends.iptables.kernel import VARIANTS, Tools
from sluice.backends.iptables.text import BUILT_IN, RuleSet

HEALTHY = tuple(cases.Service(number, cases.PODS[:3]) for number in range(8))
"""They change too, but have endpoints in every state: their connections never fail."""

_NODE_PORTS = 2700
"""Numbers of Services up to which a node port fits into the range."""


def services(source: random.Random, count: int) -> list[cases.Service]:
    """``count`` Services in many states; HEALTHY are among them."""
    numbers = source.sample(range(10, 10 + count * 11 // 10), count - len(HEALTHY))
    found = cases.random_services(source, numbers)
    for service in HEALTHY:
        endpoints = tuple(source.sample(cases.PODS, source.choice([1, 2, 4])))
        found[service.number] = service._replace(endpoints=endpoints)
    return [
        service if number < _NODE_PORTS else service._replace(node_port=0) for number, service in sorted(found.items())
    ]


class Kill(NamedTuple):
    """What became of one: ``hit`` where the apply was still running, and the seconds that it had and the next took."""

    hit: bool
    moment: float
    seconds: float


def kill(node: hosts.Node, directory: str, moment: float, *, group: bool) -> Kill:
    """Kill an apply after ``moment`` seconds; where that hit, the next one follows at once. It has to go well.

    ``group``: also what the apply has started is killed, as systemd does it; else that goes on.
    """
    task = node.command("apply", "--dir", directory)
    time.sleep(moment)
    task.kill(group=group)
    with contextlib.suppress(hosts.KilledError):
        task.answer()
        return Kill(False, moment, 0.0)
    return Kill(True, moment, timed_apply(node, directory))


def timed_apply(node: hosts.Node, directory: str) -> float:
    """Seconds that an apply took: kills come within what it takes now, as a machine has busy and quiet times."""
    started = time.monotonic()
    done = node.sluice("apply", "--dir", directory, check=False)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - started


def not_wanted(node: hosts.Node, contents: Mapping[str, str]) -> list[str]:
    """How all that a node holds differs from its files ``contents``: no record is asked, nor a mark.

    Of iptables no plan either.
    """
    settings = json.loads(contents["settings.json"])
    variant = settings["iptables_variant"] if settings["backend"] == "iptables" else ""
    in_nftables = settings["backend"] == "nftables"
    found = list(node.differs(contents)) if in_nftables else node.save("nftables").splitlines()
    for tools in (Tools(variant, family) for variant in VARIANTS for family in addresses.FAMILIES):
        file = contents.get(ruleset.FILES[tools.family], "") if tools.variant == variant else ""
        have, want = (_rules(text) for text in (node.save(tools.variant, tools.family), file))
        for table in sorted({*have, *want}):
            chains = have.get(table, {}), want.get(table, {})
            names = [name for name in sorted({*chains[0], *chains[1]}) if chains[0].get(name) != chains[1].get(name)]
            if names:
                found.append(f"{tools.name} -t {table}: {len(names)} chains are not as wanted, such as {names[0]}")
    return found


def _rules(text: str) -> RuleSet:
    """The rule set without built-in chains that are empty."""
    return {
        table: {chain: rules for chain, rules in chains.items() if rules or chain not in BUILT_IN.get(table, ())}
        for table, chains in ruleset.parse(text).items()
    }
