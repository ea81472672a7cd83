"""What the tests of IPVS share: the load balancer, by ssh over one connection, and its client and endpoints."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import typing

import pytest
import testinfra.host

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "shared"))
# What tests/kernel asks of a kernel, trace/ asks of this one.
sys.path.extend(str(pathlib.Path(__file__).resolve().parents[3] / each) for each in ("tests/kernel", "tests", "lab"))
import balancer

SCENARIO = pathlib.Path(__file__).resolve().parent.parent
MOLECULE = SCENARIO.parent
LAB = subprocess.run([SCENARIO / "network", "name"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
STATE = pathlib.Path("/run") / LAB
SKIPPED = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "skipped"

NODE_ADDRESSES = {"172.33.0.1", "192.0.2.1", "198.51.100.1"}
LATER_ADDRESS = "192.0.2.9"  # somebody gives the node another one (``meddle``)
IN_CLIENT = ["ip", "netns", "exec", f"{LAB}-client"]
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


class Node(balancer.Node):
    """The load balancer; the client and endpoints are namespaces of this machine (``molecule/ipvs/network``)."""

    inventories: typing.ClassVar[list[str]] = [*balancer.Node.inventories, str(SCENARIO / "hosts")]

    def in_client(self, program: str) -> list[str]:
        return [*IN_CLIENT, sys.executable, str(MOLECULE / "shared" / program)]

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

    def addresses(self) -> set[str]:
        """The node's own addresses, but for loopback's and the Services'."""
        devices = json.loads(self.host.check_output("ip -4 -json address show scope global"))
        own = [device for device in devices if device["ifname"] != "kube-ipvs0"]
        return {entry["local"] for device in own for entry in device["addr_info"]}

    def sets(self) -> dict[str, set[str]]:
        """The members of each ipset, by the set's name."""
        found: dict[str, set[str]] = {}
        for line in self.host.check_output("ipset save").splitlines():
            command, name, rest = line.split(" ", 2)
            found.setdefault(name, set())
            if command == "add":
                found[name].add(rest)
        return found

    def held(self) -> list[str]:
        """All that the kernel holds of Services, sorted."""
        rules = [rule for table in ("filter", "nat", "mangle") for rule in self.rules(table)]
        addresses = self.host.check_output("ip -oneline address show dev kube-ipvs0").splitlines()
        sets = [f"{name} {member}" for name, members in self.sets().items() for member in members]
        servers = [f"{frontend} {server}" for frontend, server in self.virtual_servers().items()]
        return sorted(rules + servers + sets + [line.split()[3] for line in addresses])

    @contextlib.contextmanager
    def udp(self, address: str, port: int) -> typing.Iterator[typing.Callable[[], str]]:
        """One socket of ``client`` that sends a datagram each time; what is answered, ``""`` where nothing is."""
        code = (
            "import socket, sys\n"
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)\n"
            f"s.connect(({address!r}, {port}))\n"
            "for _ in sys.stdin:\n"
            "    try:\n"
            "        s.send(b'who'); print(s.recv(100).decode().strip(), flush=True)\n"
            "    except OSError:\n"
            "        print(flush=True)\n"
        )
        command = [*IN_CLIENT, sys.executable, "-c", code]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin and process.stdout

            def once() -> str:
                assert process.stdin and process.stdout
                print(file=process.stdin, flush=True)
                return process.stdout.readline().strip()

            yield once
            process.stdin.close()

    def client(self, where: str, words: list[str]) -> str:
        if not where:
            return super().client(where, words)
        command = ["ip", "netns", "exec", f"{LAB}-{where}", sys.executable, MOLECULE / "shared/client.py", *words]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.fixture(scope="module")
def node(host: testinfra.host.Host) -> Node:
    """The load balancer under test."""
    return Node(host)
