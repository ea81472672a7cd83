"""What the tests of all scenarios share: a direct way to the containers, the client, the rules and their counters."""

from __future__ import annotations

import json
import os
import re
import shlex
import typing

import pytest
import testinfra.host
import yaml

BACKENDS = {"containers.podman.podman": "podman", "community.docker.docker": "docker"}
COUNTED = re.compile(r"^\[(?P<packets>\d+):\d+\] (?P<rule>-A .*)$", re.MULTILINE)


def pytest_configure(config: pytest.Config) -> None:
    """Let testinfra enter the containers by their engine: through Ansible each command takes over a second."""
    with open(os.environ["MOLECULE_INSTANCE_CONFIG"], encoding="utf-8") as stream:
        instances = yaml.safe_load(stream)
    config.option.hosts = ",".join(f"{BACKENDS[entry['connection']]}://{entry['address']}" for entry in instances)


class Node:
    """A load balancer, and the client and endpoints around it (``molecule/shared/network``)."""

    def __init__(self, host: testinfra.host.Host) -> None:
        self.host = host
        self.name = host.check_output("hostname")
        self.variant = self.name.rpartition("-")[2]

    def rules(self, table: str, variant: str = "") -> list[str]:
        """The rules of a table, in order, as iptables-save writes them."""
        saved = self.host.check_output("iptables-%s-save -t %s", variant or self.variant, table)
        return [line for line in saved.splitlines() if line.startswith("-A ")]

    def packets(self, table: str) -> dict[str, int]:
        """How many packets each rule of a table has met."""
        saved = self.host.check_output("iptables-%s-save -c -t %s", self.variant, table)
        return {match["rule"]: int(match["packets"]) for match in COUNTED.finditer(saved)}

    def ask(
        self, protocol: str, address: str, port: int, *, where: str = "client", source: str = "", count: int = 1
    ) -> dict[str, int]:
        """Send requests from the namespace ``where`` (``""``: the node); each answer and how often it came."""
        words = ["ip", "netns", "exec", where] if where else []
        words += ["/opt/sluice-test/client.py", f"--count={count}", f"--source={source}", protocol, address, str(port)]
        answers: dict[str, int] = json.loads(self.host.check_output(shlex.join(words).replace("%", "%%")))
        assert sum(answers.values()) == count
        return answers


@pytest.fixture(scope="module")
def node(host: testinfra.host.Host) -> typing.Iterator[Node]:
    """The load balancer under test."""
    yield Node(host)
