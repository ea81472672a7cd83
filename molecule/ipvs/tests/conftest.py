"""What the tests of IPVS share: the load balancer, by ssh over one connection, and its client and endpoints."""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import subprocess
import sys
import typing

import pytest
import testinfra.host

SCENARIO = pathlib.Path(__file__).resolve().parent.parent
MOLECULE = SCENARIO.parent
STATE = pathlib.Path("/run/sluice-test") / SCENARIO.name
SKIPPED = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "skipped"

NODE_ADDRESSES = ("172.33.0.1", "192.0.2.1", "198.51.100.1")
CLIENT = "198.51.100.2"
TO_CLIENT, TO_PODS = "198.51.100.1", "172.33.0.1"  # the node's addresses
FOREIGN = "192.0.2.1:8888"  # somebody else's virtual server (``meddle``)


def pytest_configure(config: pytest.Config) -> None:
    """Name the machines that run. Their ssh configuration shares one connection, Ansible's too."""
    inventory = json.loads(subprocess.run([SCENARIO / "hosts"], check=True, stdout=subprocess.PIPE).stdout)
    names = inventory["load_balancers"]["hosts"]
    if not names and not SKIPPED.exists():
        raise pytest.UsageError("no machine runs: molecule create -s ipvs")
    # Tests that are skipped want a host all the same.
    config.option.hosts = ",".join(f"ssh://{name}?ssh_config={STATE / 'ssh_config'}" for name in names) or "local://"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where no machine can run, each test says so."""
    if SKIPPED.exists():
        reason = "this host cannot run virtual machines: " + " ".join(SKIPPED.read_text().split())
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


class VirtualServer(typing.NamedTuple):
    """How one is balanced, in ipvsadm's words (``-s rr -p 600``), and the weight of each real server."""

    options: str
    servers: dict[str, int]


class Node:
    """The load balancer, and the client and endpoints around it (``molecule/shared/vm/network``)."""

    def __init__(self, host: testinfra.host.Host) -> None:
        self.host = host

    def rules(self, table: str) -> list[str]:
        """The rules of a table, in order, as iptables-save writes them."""
        saved = self.host.check_output("iptables-save -t %s", table)
        return [line for line in saved.splitlines() if line.startswith("-A ")]

    def virtual_servers(self) -> dict[str, VirtualServer]:
        """All virtual servers, by ``tcp ADDRESS:PORT``."""
        found: dict[str, VirtualServer] = {}
        for line in self.host.check_output("ipvsadm -Sn").splitlines():
            command, protocol, address, *rest = line.split()
            key = f"{ {'-t': 'tcp', '-u': 'udp', '--sctp-service': 'sctp'}[protocol] } {address}"
            if command == "-A":
                found[key] = VirtualServer(" ".join(rest), {})
            else:
                assert rest[2] == "-m", f"not by NAT: {line}"
                found[key].servers[rest[1]] = int(rest[4])
        return found

    def sets(self) -> dict[str, set[str]]:
        """The members of each ipset, by the set's name."""
        found: dict[str, set[str]] = {}
        for line in self.host.check_output("ipset save").splitlines():
            command, name, rest = line.split(" ", 2)
            found.setdefault(name, set())
            if command == "add":
                found[name].add(rest)
        return found

    def ask(
        self, protocol: str, address: str, port: int, *, where: str = "client", source: str = "", count: int = 1
    ) -> dict[str, int]:
        """Send requests from ``client`` or an endpoint (``""``: the node); each answer and how often it came."""
        words = [f"--count={count}", f"--source={source}", protocol, address, str(port)]
        if where:
            namespace = ["ip", "netns", "exec", f"sluice-{SCENARIO.name}-{where}"]
            asked = subprocess.run(
                [*namespace, sys.executable, MOLECULE / "shared" / "client.py", *words],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout
        else:
            asked = self.host.check_output(shlex.join(["/opt/sluice-test/client.py", *words]).replace("%", "%%"))
        answers: dict[str, int] = json.loads(asked)
        assert sum(answers.values()) == count
        return answers


@pytest.fixture(scope="module")
def node(host: testinfra.host.Host) -> Node:
    """The load balancer under test."""
    return Node(host)
