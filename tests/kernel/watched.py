"""A node that checks its endpoints, and who answers there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import cases
import hosts
import load
import support

from sluice.catalogue import compiled
from sluice.node import files, outage

A, B, C = cases.PODS[:3]
SOON = {"periodSeconds": 0.4, "timeoutSeconds": 0.3, "retryMilliseconds": 50}
QUICK = {"tcpSocket": {}, **SOON}
WEB, ALONE, OTHER = cases.Service(1, (A, B)), cases.Service(2, (A,)), cases.Service(3, (B, C))
ALL = (WEB, ALONE, OTHER)


def contents(
    plane: str, *services: cases.Service, pods: Sequence[dict[str, Any]] = (), **variables: Any
) -> Mapping[str, str]:
    """A node's files; it checks endpoints quickly unless ``variables`` say something else."""
    objects = [each for service in services for each in service.objects(both=False)]
    found = support.catalogue(*objects, *pods)
    health = {"health": True, "health_check": QUICK, **variables}
    settings = support.node(**cases.settings_of(plane), ip_families=["IPv4"], **health)
    return files.sealed({**support.rendered(found, settings), files.CATALOGUE_FILE: compiled.text(found)})


class Watched:
    """A network whose node checks its endpoints."""

    def __init__(self, network: load.Network, plane: str) -> None:
        self.network, self.node, self.plane = network, network.node, plane
        self.start()

    def start(self) -> None:
        self.supervisor = self.node.command("health", "--supervise")
        self.checker = self.node.command("health", "--check")

    def states(self) -> dict[str, str]:
        """What is known of each check; nothing as long as nobody can be asked."""
        done = self.node.sluice("health", "--json", check=False)
        found = json.loads(done.stdout)["checks"] if done.stdout else ()
        return {f"{row['address']}:{row['port']}": row["state"] for row in found}

    def wait_until(self, *down: str) -> None:
        """All checks are known, these endpoints (of all ports) are down, and the kernel is what it should be."""

        def so() -> bool:
            found = self.states()
            return bool(found) and all(
                state == ("down" if each.split(":")[0] in down else "up") for each, state in found.items()
            )

        def kept() -> bool:
            return len(self.node.call(lambda: outage.current().down)) == sum(
                each.split(":")[0] in down for each in self.states()
            )

        hosts.wait_for(so, f"not down: {down}")
        hosts.wait_for(kept, "nothing is written down")
        hosts.wait_for(lambda: not self.node.sluice("diff", check=False).stdout, "the kernel does not follow")

    def cut(self, *addresses: str) -> None:
        """These endpoints answer no more, and say nothing of it; all others do."""
        self.network.pods.run("iptables-nft", "-F", "INPUT")
        for address in addresses:
            self.network.pods.run("iptables-nft", "-A", "INPUT", "-d", address, "-j", "DROP")


def held(node: hosts.Node, plane: str) -> list[str]:
    """What the kernel holds; of our table without the order in which its chains came, and the note of that order."""
    lines = node.save(plane).splitlines()
    return sorted(line for line in lines if ' comment "' not in line or "/" in line) if plane == "nftables" else lines


def answers(network: load.Network, service: cases.Service, times: int = 40) -> set[str]:
    """Who answers; with the first that nobody answers it ends."""
    found: set[str] = set()
    for each in range(times):
        found.add(network.ask(service.address, 80, service.protocol, source_port=20000 + each).split()[0])
        if "timeout" in found:
            break
    return found
