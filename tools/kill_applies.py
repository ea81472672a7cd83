#!/usr/bin/env python3
"""Kill applies at random moments while everything changes, under traffic; say what failed.

A node in namespaces of its own goes from state to state: another variant of iptables, dispatch, dialect, address
families and catalogue of some thousand Services. Each apply is killed (the process alone, or its group, as systemd does
it) and the next one follows at once. It must go well and leave just what is wanted, on both variants and families; and
no connection to a Service that has endpoints in every state may fail, neither a new one nor one that stays.

Needs root. Exit 0: nothing failed; 1: something did, with the seed that brings it back.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

sys.path.extend(
    str(Path(__file__).resolve().parents[1] / folder) for folder in ("module_utils", "lab", "tests", "tests/kernel")
)

import cases
import hosts
import kills
import load

STATES = 14
TARGETS = [(service.address, service.target_port) for service in kills.HEALTHY]
RATE, HELD = 250, 16
"""New connections a second, and connections that stay."""

ROUND = 20
"""Kills after which the traffic is counted and begins anew."""


def main(arguments: argparse.Namespace) -> int:
    source = random.Random(arguments.seed)
    print(f"seed {arguments.seed}", flush=True)
    until = time.monotonic() + 60 * arguments.minutes
    failures: list[str] = []
    hits = fine = 0
    with hosts.Node("node") as node, load.around(node) as network:
        network.serve(kills.HEALTHY)
        states = [state(source, arguments.services) for _number in range(STATES)]
        for number, (_name, contents) in enumerate(states):
            node.write(contents, directory(number))
        walk = Walk(node, states, source)
        while hits < arguments.kills and time.monotonic() < until and len(failures) < arguments.failures:
            client = network.client.start(lambda: load.request(TARGETS, RATE, HELD))
            before = hits
            while hits - before < ROUND and hits < arguments.kills and time.monotonic() < until:
                hit, failed = walk.step()
                hits += hit
                failures += [f"kill {hits}: {line}" for line in failed]
            outcome = client.stop()
            fine += outcome.fine
            failures += [f"up to kill {hits}: {count} {fault}" for fault, count in outcome.faults.items()]
            print(f"{hits} kills, {fine} answers, {len(failures)} failures, {walk.turns} turns", flush=True)
    print("\n".join(failures) or "nothing failed")
    return 1 if failures else 0


class Walk:
    """The node's way from state to state."""

    def __init__(self, node: hosts.Node, states: list[tuple[str, dict[str, str]]], source: random.Random) -> None:
        self.node, self.states, self.source = node, states, source
        self.turns = self.now = 0
        self.durations: dict[tuple[bool, str], float] = {}
        kills.timed_apply(node, directory(0))

    def step(self) -> tuple[bool, list[str]]:
        """One kill: whether it came before the apply's end, and what failed."""
        self.turns += 1
        last, self.now = self.now, self.source.choice([each for each in range(STATES) if each != self.now])
        (before, _), (name, contents) = self.states[last], self.states[self.now]
        variant = name.split()[0]
        kind = variant == before.split()[0], variant
        group = self.source.random() < 0.5
        moment = self.source.uniform(0, self.durations.get(kind, 3.0))
        what = f"{before} -> {name}, {'group' if group else 'process'}, at {moment:.2f} s"
        try:
            killed = kills.kill(self.node, directory(self.now), moment, group=group)
        except AssertionError as error:
            return True, [f"{what}: {error}"]
        self.durations[kind] = killed.moment + killed.seconds
        return killed.hit, [f"{what}: {line}" for line in kills.not_wanted(self.node, contents)]


def state(source: random.Random, services: int) -> tuple[str, dict[str, str]]:
    """A node's files, and what they are, beginning with the variant."""
    variant, dispatch = source.choice(["nft", "legacy"]), source.choice(["linear", "prefix"])
    compat, families = source.choice(["1.18", "1.20", "1.36"]), source.choice([["IPv4"], ["IPv4"], ["IPv4", "IPv6"]])
    catalogue = kills.services(source, source.choice([services, services, services // 3]))
    contents = cases.rendered(
        catalogue, iptables_variant=variant, iptables_dispatch=dispatch, compat=compat, ip_families=families
    )
    return f"{variant} {dispatch} {compat} {'+'.join(families)} {len(catalogue)}", contents


def directory(number: int) -> str:
    return f"/etc/sluice-{number}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000, help="kills that hit (%(default)s)")
    parser.add_argument("--minutes", type=float, default=600, help="the end, whatever is left (%(default)s)")
    parser.add_argument("--failures", type=int, default=20, help="how many are enough (%(default)s)")
    parser.add_argument("--services", type=int, default=3000, help="of a large catalogue (%(default)s)")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="of all that is random"
    )
    sys.exit(main(parser.parse_args()))
