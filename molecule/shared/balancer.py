"""What the tests of all scenarios ask of a load balancer, and of the client and endpoints around it."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pathlib
import shlex
import subprocess
import time
import typing

import testinfra.host

ROOT = pathlib.Path(__file__).resolve().parents[2]

CLIENT = "198.51.100.2"
TO_CLIENT, TO_PODS = "198.51.100.1", "172.33.0.1"  # the load balancer's addresses
PODS = {"172.33.0.11": "pod-11", "172.33.0.25": "pod-25", "172.33.0.30": "pod-30"}
LASTING = ["10.96.0.70:80@198.51.100.2", "198.51.100.1:30090@198.51.100.3"]  # of one Service, for ``Node.load``


def pods(answers: dict[str, int]) -> dict[str, int]:
    """Answers a pod, whatever source it saw."""
    counted: collections.Counter[str] = collections.Counter()
    for answer, times in answers.items():
        counted[answer.split()[0]] += times
    return dict(counted)


class Load:
    """What ``load.py`` has counted, when it has ended."""

    seen: dict[str, dict[str, int]]


class Node:
    """A load balancer; the client and the endpoints are namespaces that hang on it."""

    inventories: typing.ClassVar[list[str]] = [os.path.join(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "inventory")]

    def __init__(self, host: testinfra.host.Host) -> None:
        self.host = host

    def rules(self, table: str, save: str = "iptables-save") -> list[str]:
        """The rules of a table, in order, as iptables-save writes them."""
        saved = self.host.check_output("%s -t %s", save, table)
        return [line for line in saved.splitlines() if line.startswith("-A ")]

    def ask(
        self, protocol: str, address: str, port: int, *, where: str = "client", source: str = "", count: int = 1
    ) -> dict[str, int]:
        """Send requests from the namespace ``where`` (``""``: the node); each answer and how often it came."""
        words = [f"--count={count}", f"--source={source}", protocol, address, str(port)]
        answers: dict[str, int] = json.loads(self.client(where, words))
        assert sum(answers.values()) == count
        return answers

    def client(self, where: str, words: list[str]) -> str:
        """What ``client.py`` prints in a namespace of the node, or on the node itself."""
        enter = ["ip", "netns", "exec", where] if where else []
        command = shlex.join([*enter, "/opt/sluice-test/client.py", *words])
        return str(self.host.check_output(command.replace("%", "%%")))

    def in_client(self, program: str) -> list[str]:
        """The command by which this machine runs a program of ``molecule/shared`` in the namespace ``client``."""
        raise NotImplementedError

    @contextlib.contextmanager
    def load(self, rate: float, held: int, targets: list[str], last: float = 3600) -> typing.Iterator[Load]:
        """Connections from ``client`` while the block runs; those that are held are there, and last so many seconds."""
        options = [f"--rate={rate}", f"--held={held}", f"--last={last}"]
        command = [*self.in_client("load.py"), "ask", *options, *targets]
        result = Load()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            process.stdout.readline()
            yield result
            result.seen = json.loads(process.communicate()[0])

    def play(
        self, playbook: str, *, folder: pathlib.Path = ROOT / "playbooks", **variables: object
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the playbooks, by default of those that people use, with variables from the command line."""
        command = ["ansible-playbook", *(f"--inventory={place}" for place in self.inventories)]
        command += [str(folder / f"{playbook}.yml"), "--extra-vars", json.dumps(variables)]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def migrate_under_load(self, backend: str) -> None:
        """Connections last 10 s, so some are there at every moment of the change, and end before a drain has to."""
        began = time.monotonic()
        with self.load(rate=30, held=12, targets=LASTING, last=10) as clients:
            done = self.play("migrate", sluice_backend=backend)
            assert done.returncode == 0, done.stdout + done.stderr
            # A quick machine is done before there were enough requests to tell.
            time.sleep(max(0, 25 - (time.monotonic() - began)))
        assert clients.seen["faults"] == {}
        assert set(clients.seen["new"]) == set(clients.seen["held"]) == set(PODS.values())
        assert sum(clients.seen["new"].values()) > 500
        assert self.host.run("sluice diff").stdout == ""
        assert "changed=0" in self.host.check_output("sluice apply")

    def left_in_tables(self) -> list[str]:
        """What the tables of iptables, in all variants, and of nftables have of Services."""
        saves = [f"{tool}-{variant}-save" for tool in ("iptables", "ip6tables") for variant in ("nft", "legacy")]
        said = self.host.check_output("; ".join([*saves, "nft list tables"])).splitlines()
        return [line for line in said if any(word in line for word in ("KUBE-", "SLUICE-", " sluice"))]

    def left(self) -> list[str]:
        """What there still is of Sluice, and what systemd and the node miss when it has gone."""
        asked = [
            "find /etc /usr/local /var/lib /run/systemd -name '*sluice*'",
            "systemctl list-units --all --plain --no-legend --no-pager '*sluice*'",
            "systemctl list-units --failed --plain --no-legend --no-pager",
            "sysctl net.ipv4.conf.all.route_localnet | grep -v ' = 0$'",
        ]
        return self.left_in_tables() + self.host.run("; ".join(asked)).stdout.splitlines()
