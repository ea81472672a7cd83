"""The checker as a process: asks endpoints in another namespace over real packets, whoever dies, whatever they send."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Callable, NamedTuple

import endpoints
import hosts
import namespaces
import pytest

from sluice import addresses
from sluice.health import peers, wire
from sluice.health.check import Check
from sluice.health.reasons import Reason, State
from sluice.health.wire import Record
from sluice.probes import probe

NODE = {addresses.IPV4: "10.5.0.1", addresses.IPV6: "fd05::1"}
ENDPOINT = {addresses.IPV4: "10.5.0.2", addresses.IPV6: "fd05::2"}
GONE = {addresses.IPV4: "10.5.0.9", addresses.IPV6: "fd05::9"}
"""An address that nobody has."""

FOLDER = "/run/sluice-health"
CODE = "import sys; from sluice.health import checker; sys.exit(checker.main(sys.argv[1]))"
CREDENTIALS = struct.Struct("iII")
NOBODY = 65534

CUT = """table inet t {
  chain c {
    type filter hook input priority 0; policy drop
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
  }
}
"""
ONLY_FROM_THERE = """table inet t {
  chain c {
    type filter hook input priority 0
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    ip saddr != 10.5.0.77 reject
    ip6 saddr != fd05::77 reject
  }
}
"""
PROGRAMS = """mkdir -m 755 /usr/local/lib/checks
cd /usr/local/lib/checks
printf '#!/bin/sh\\ntest "$1" = 10.5.0.2 -a "$(id -u)" != 0' >own
chmod 755 own
cp own other
chmod 777 other
ln -s other link
"""


class Site(NamedTuple):
    node: hosts.Host
    endpoint: hosts.Host
    certificate: str
    serve: Callable[[], hosts.Task]


@pytest.fixture
def site(needs_root: None, tmp_path: Path) -> Iterator[Site]:
    files = [Path(name).read_text() for name in endpoints.certificate(tmp_path)]
    with hosts.Host("checker") as node, hosts.Host("endpoint") as endpoint:
        node.ip(f"link add eth0 type veth peer name eth0 netns {endpoint.pid}")
        for host, own in ((node, NODE), (endpoint, ENDPOINT)):
            host.ip("link set eth0 up", *(_address(each) for each in own.values()))
        for host in (node, endpoint):
            host.call(lambda: [Path(f"/tmp/{name}").write_text(text) for name, text in zip(("ca", "key"), files)])
        yield Site(node, endpoint, "/tmp/ca", lambda: endpoint.start(lambda: endpoints.serve("/tmp/ca", "/tmp/key")))


def _address(address: str) -> str:
    return f"address add {address}/64 dev eth0 nodad" if ":" in address else f"address add {address}/24 dev eth0"


class Checker:
    """A checker that runs on a node, and the supervisor that it talks to."""

    def __init__(self, node: hosts.Host) -> None:
        self.node = node
        self.place = f"/proc/{node.pid}/root{FOLDER}"
        os.makedirs(self.place, exist_ok=True)
        self.known: dict[int, Record] = {}
        self.changes: list[Record] = []
        self.names: list[str] = []
        self.generation = 0
        self.listening = peers.listen(f"{self.place}/socket", NOBODY)
        self.start()

    def start(self) -> None:
        environment = {"PYTHONPATH": str(hosts.CHECKOUT / "module_utils"), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [namespaces.PYTHON, "-c", CODE, f"{FOLDER}/socket"]

        def run() -> tuple[int, str]:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            return done.returncode, done.stderr + done.stdout

        self.task = self.node.start(run)
        self.accept()

    def accept(self) -> None:
        self.listening.settimeout(hosts.PATIENCE)
        self.link = self.listening.accept()[0]
        said = self.link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        self.pid = CREDENTIALS.unpack(said)[0]
        self.supervisor = wire.Supervisor(self.link)

    def away(self) -> None:
        """The supervisor is gone, and all that it started as well."""
        self.link.shutdown(socket.SHUT_RDWR)
        self.supervisor.close()
        self.listening.close()

    def back(self) -> None:
        self.listening = peers.listen(f"{self.place}/socket", NOBODY)
        self.accept()

    def ask(self, checks: Mapping[str, Check], source: str = "") -> None:
        """Replace the list."""
        self.generation += 1
        self.names = list(checks)
        self.known.clear()
        self.changes.clear()
        self.supervisor.send(self.generation, "lb1", source, list(enumerate(checks.values())))

    def listen(self) -> None:
        if self.supervisor.wants_write:
            self.supervisor.flush()
        for record in self.supervisor.receive():
            self.known[record.id] = record
            self.changes.append(record)
        time.sleep(0.01)

    def states(self) -> dict[str, State]:
        return {name: self.known[number].state for number, name in enumerate(self.names) if number in self.known}

    def until(self, states: Mapping[str, State]) -> None:
        """Listen until that is what is known."""

        def same() -> bool:
            self.listen()
            return self.states() == states

        hosts.wait_for(same, "not what was to be known")

    def reason(self, name: str) -> Reason:
        return self.known[self.names.index(name)].reason

    def status(self) -> dict[str, str]:
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines()
        return {name: value.strip() for name, _colon, value in (line.partition(":") for line in lines)}

    def stop(self) -> None:
        """Ask it to end. It does, without a word."""
        os.kill(self.pid, signal.SIGTERM)
        assert self.task.answer() == (0, "")

    def kill(self) -> None:
        """kill -9; the supervisor sees it."""
        os.kill(self.pid, signal.SIGKILL)

        def gone() -> bool:
            try:
                self.listen()
            except ConnectionError:
                return True
            return False

        hosts.wait_for(gone, "the connection is still there")
        assert self.task.answer()[0] == -signal.SIGKILL
        self.supervisor.close()

    def close(self) -> None:
        self.supervisor.close()
        self.listening.close()


@pytest.fixture
def checker(site: Site) -> Iterator[Checker]:
    found = Checker(site.node)
    yield found
    found.close()


def question(said: Mapping[str, Any], **common: Any) -> str:
    usual = {"periodSeconds": 0.5, "timeoutSeconds": 0.5, "retryMilliseconds": 100}
    return probe({**usual, **said, **common}).question


HTTPS = {"httpGet": {"scheme": "HTTPS", "host": "shop.example"}, "expect": {"caFile": "/tmp/ca", "body": "ok"}}
GOOD: Mapping[str, tuple[int, Mapping[str, Any]]] = {
    "tcp": (endpoints.LISTENS, {"tcpSocket": {}}),
    "accept": (endpoints.LISTENS, {"tcpSocket": {"accept": True}}),
    "http": (endpoints.HTTP, {"httpGet": {"path": "/healthz"}, "expect": {"body": "ok"}}),
    "https": (endpoints.HTTPS, HTTPS),
    "grpc": (endpoints.GRPC, {"grpc": {}}),
    "dns": (endpoints.DNS, {"dns": {"name": "shop.example"}}),
    "udp": (endpoints.ECHO, {"udp": {"send": "ping", "expect": "ping"}}),
}


def good(**common: Any) -> dict[str, Check]:
    """Each kind in both families."""
    return {
        f"{name} {family}": Check(address, port, question(said, **common))
        for family, address in ENDPOINT.items()
        for name, (port, said) in GOOD.items()
    }


def every(checks: Mapping[str, Check], state: State) -> dict[str, State]:
    return dict.fromkeys(checks, state)


def test_each_kind_is_down_and_up_and_down_again(site: Site, checker: Checker) -> None:
    checks = good()
    checker.ask(checks)
    checker.until(every(checks, State.DOWN))
    assert {checker.reason(name) for name in checks} == {Reason.REFUSED}
    task = site.serve()
    checker.until(every(checks, State.UP))
    assert {checker.reason(name) for name in checks} == {Reason.FINE}
    task.end()
    checker.until(every(checks, State.DOWN))
    assert len(checker.changes) >= 3 * len(checks)
    checker.stop()


def test_echoes(site: Site, checker: Checker) -> None:
    checks = {
        f"{name} {family}": Check(address, 0, question({"icmp": {}}))
        for name, places in (("up", ENDPOINT), ("down", GONE))
        for family, address in places.items()
    }
    checker.ask(checks)
    checker.until(every(checks, State.UNKNOWN))
    assert {checker.reason(name) for name in checks} == {Reason.FORBIDDEN}, "whom ping_group_range leaves out"
    site.node.run("sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647")
    checker.until({name: State.UP if name.startswith("up") else State.DOWN for name in checks})
    assert {checker.reason(name) for name in checks if "down" in name} <= {Reason.TIMEOUT, Reason.UNREACHABLE}
    checker.stop()


def test_what_is_dropped_silently_is_down_and_never_too_early(site: Site, checker: Checker) -> None:
    site.serve()
    checks = good(failureThreshold=4, retryMilliseconds=300)
    checker.ask(checks)
    checker.until(every(checks, State.UP))
    site.endpoint.run("nft", "-f", "-", text=CUT)
    cut = time.monotonic()
    while State.DOWN not in checker.states().values():
        checker.listen()
        assert time.monotonic() < cut + hosts.PATIENCE
    assert time.monotonic() - cut >= 3 * 0.3
    checker.until(every(checks, State.DOWN))
    assert {checker.reason(name) for name in checks} == {Reason.TIMEOUT}
    assert {record.milliseconds >= 500 for record in checker.changes if record.state is State.DOWN} == {True}
    site.endpoint.run("nft", "flush", "ruleset")
    checker.until(every(checks, State.UP))
    checker.stop()


def test_from_which_address(site: Site, checker: Checker) -> None:
    site.node.ip("address add 10.5.0.77/24 dev eth0", "address add fd05::77/64 dev eth0 nodad preferred_lft 0")
    site.endpoint.run("nft", "-f", "-", text=ONLY_FROM_THERE)
    site.serve()
    checks = good()
    checker.ask(checks)
    checker.until(every(checks, State.DOWN))
    checker.ask(checks, source="10.5.0.77,fd05::77")
    checker.until(every(checks, State.UP))
    checker.stop()


def test_hostile_endpoints(site: Site, checker: Checker) -> None:
    """A6.14: down or up by the rules, in time, and nothing of it hurts."""
    site.serve()
    kinds: Mapping[str, Mapping[str, Any]] = {
        "status": {"httpGet": {}},
        "body": {"httpGet": {}, "expect": {"body": "ok"}},
        "tls": HTTPS,
        "grpc": {"grpc": {}},
    }
    asked = {
        f"{name} {port} {family}": Check(address, port, question(said))
        for name, said in kinds.items()
        for port in endpoints.HOSTILE
        for family, address in ENDPOINT.items()
    }
    more = good()
    checker.ask({**asked, **more})
    # What a header decides is up: its body may never end.
    up = {f"status {port} {family}" for port in (8101, 8111, 8112) for family in ENDPOINT}
    wanted = {name: State.UP if name in up else State.DOWN for name in asked}
    checker.until({**wanted, **every(more, State.UP)})
    before = int(checker.status()["VmRSS"].split()[0])
    beats = checker.supervisor.heartbeat
    assert beats

    def later() -> bool:
        checker.listen()
        assert checker.supervisor.heartbeat
        return checker.supervisor.heartbeat.done > beats.done + 20 * len(asked)

    hosts.wait_for(later, "it does not go on")
    assert int(checker.status()["VmRSS"].split()[0]) - before <= 5000
    assert checker.states() == {**wanted, **every(more, State.UP)}
    assert (checker.supervisor.dropped, checker.supervisor.stale) == (0, 0)
    status = checker.status()
    assert set(status["Uid"].split()) == {str(NOBODY)}
    assert status["Groups"] == ""
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    checker.stop()


def sleepers(node: hosts.Host) -> int:
    """Processes of the node that run sleep(1), and zombies."""
    listed = node.run("ps", "-eo", "stat=,comm=").stdout.split("\n")
    return sum(line.split()[1:] == ["sleep"] or line.startswith("Z") for line in listed if line.strip())


def test_programs_that_sleep_for_ever(site: Site, checker: Checker) -> None:
    """A6.15: all are killed in time with all that they started, and nothing stays."""
    scripts = ("sleep 1000", "sleep 1000 & sleep 1000", "setsid sleep 1000 & sleep 1000", "trap '' TERM; sleep 1000")
    asked = {
        str(number): Check(
            f"10.5.1.{number}",
            80,
            question({"exec": {"command": ["/bin/sh", "-c", scripts[number % len(scripts)]]}}, periodSeconds=5),
        )
        for number in range(100)
    }
    leaves = question({"exec": {"command": ["/bin/sh", "-c", "setsid sleep 1000 & exit 0"]}})
    asked["fine"] = Check("10.5.1.1", 80, leaves)
    checker.ask(asked)
    checker.until({name: State.UP if name == "fine" else State.DOWN for name in asked})
    assert {checker.reason(name) for name in asked} == {Reason.TIMEOUT, Reason.FINE}
    checker.ask({})
    hosts.wait_for(lambda: checker.listen() or not sleepers(site.node), "programs are left")

    del asked["fine"]
    checker.ask(asked)
    hosts.wait_for(lambda: checker.listen() or sleepers(site.node), "no program runs")
    checker.stop()
    hosts.wait_for(lambda: not sleepers(site.node), "it left programs when it ended")


def test_only_programs_that_nobody_else_may_change(site: Site, checker: Checker) -> None:
    site.node.shell(PROGRAMS)
    checks = {
        name: Check("10.5.0.2", 80, question({"exec": {"command": [f"/usr/local/lib/checks/{name}", "{address}"]}}))
        for name in ("own", "other", "link", "none")
    }
    checker.ask(checks)
    checker.until({"own": State.UP, "other": State.UNKNOWN, "link": State.UNKNOWN, "none": State.UNKNOWN})
    assert {checker.reason(name) for name in ("other", "link", "none")} == {Reason.NO_PROGRAM}
    checker.stop()


def test_the_checker_is_killed_and_comes_back(site: Site, checker: Checker) -> None:
    site.serve()
    checks = {**good(), "gone": Check(ENDPOINT[addresses.IPV4], endpoints.NOBODY, question({"tcpSocket": {}}))}
    wanted = {**every(good(), State.UP), "gone": State.DOWN}
    checker.ask(checks)
    checker.until(wanted)
    checker.kill()
    checker.start()
    checker.ask(checks)
    checker.until(wanted)
    assert {record.state for record in checker.changes if record.id == len(checks) - 1} == {State.DOWN}
    checker.stop()


def test_the_supervisor_is_gone_and_another_one_comes(site: Site, checker: Checker) -> None:
    """States are kept meanwhile: what is asked once an hour is told at once."""
    site.serve()
    checks = {**good(), "gone": Check(ENDPOINT[addresses.IPV4], endpoints.NOBODY, question({"tcpSocket": {}}))}
    wanted = {**every(good(), State.UP), "gone": State.DOWN}
    checker.ask(checks)
    checker.until(wanted)
    site.endpoint.ip("link set eth0 down")
    checker.away()
    checker.back()
    checker.ask(checks)
    hosts.wait_for(lambda: checker.listen() or len(checker.known) == len(checks), "nothing is told")
    first = {record.id: record.state for record in reversed(checker.changes)}
    assert {name: first[number] for number, name in enumerate(checks)} == wanted
    checker.stop()


def test_a_list_that_changes_under_way(site: Site, checker: Checker) -> None:
    site.serve()
    checks = good()
    checker.ask(checks)
    for turn in range(30):
        names = sorted(checks)[turn % 5 :]
        checker.ask({name: checks[name] for name in names})
        for _look in range(turn % 4):
            checker.listen()
    checker.until(every({name: checks[name] for name in sorted(checks)[4:]}, State.UP))
    assert checker.supervisor.dropped == 0
    checker.stop()
