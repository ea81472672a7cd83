"""What the tests of scenarios on containers share: a direct way there, the client, the rules and their counters."""

from __future__ import annotations

import os
import pathlib
import re
import sys
import typing

import pytest
import testinfra.host
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).parent / "shared"))
import balancer

BACKENDS = {"containers.podman.podman": "podman", "community.docker.docker": "docker"}
COUNTED = re.compile(r"^\[(?P<packets>\d+):\d+\] (?P<rule>-A .*)$", re.MULTILINE)


def pytest_configure(config: pytest.Config) -> None:
    """Let testinfra enter the containers by their engine: through Ansible each command takes over a second."""
    with open(os.environ["MOLECULE_INSTANCE_CONFIG"], encoding="utf-8") as stream:
        instances = yaml.safe_load(stream)
    config.option.hosts = ",".join(f"{BACKENDS[entry['connection']]}://{entry['address']}" for entry in instances)


class Node(balancer.Node):
    """A load balancer that is a container, with all that is around it (``molecule/shared/network``)."""

    def __init__(self, host: testinfra.host.Host) -> None:
        super().__init__(host)
        self.name = host.check_output("hostname")
        self.variant = self.name.rpartition("-")[2]
        # The endpoint that the catalogue puts on this node.
        self.local_pod = "pod-25" if self.variant == "legacy" else "pod-11"

    def rules(self, table: str, save: str = "") -> list[str]:
        """The rules of a table, by default of the node's own variant."""
        return super().rules(table, save or f"iptables-{self.variant}-save")

    def in_client(self, program: str) -> list[str]:
        engine, container = self.host.backend.NAME, self.host.backend.name
        enter = [engine, "exec", "--interactive", container, "ip", "netns", "exec", "client"]
        return [*enter, f"/opt/sluice-test/{program}"]

    def packets(self, table: str) -> dict[str, int]:
        """How many packets each rule of a table has met."""
        saved = self.host.check_output("iptables-%s-save -c -t %s", self.variant, table)
        return {match["rule"]: int(match["packets"]) for match in COUNTED.finditer(saved)}


@pytest.fixture(scope="module")
def node(host: testinfra.host.Host) -> typing.Iterator[Node]:
    """The load balancer under test."""
    yield Node(host)
