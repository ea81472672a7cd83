#!/usr/bin/env python3
"""Have endpoints die amid traffic, and report which requests failed and where the others went.

A client makes new connections to a Service with a health check, and has others that stay. First the program of one
endpoint ends, so that connections are refused; then the link of another one is cut, and nothing answers. Either comes
back. Exit 0: as expected; 1: other requests failed than the dead endpoint's share before it was out of the load
balancer's rules, shares are not what chance gives, or a connection to another endpoint broke; 2: the lab is not up.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import signal
import subprocess
import sys
import time
import typing

import network
import phases
import report
import topology
import traffic
import wires
import yaml
from streams import Lasting, NeverHappened, Stream, wait_for

SERVICE = "shop/checkout"
BALANCER = "lb1"  # where the router sends the Service's clients
LASTING = 100
SLUICE = "/usr/local/sbin/sluice"


class Death(typing.NamedTuple):
    """How an endpoint dies and comes back."""

    endpoint: topology.Host
    title: str
    cut: typing.Callable[[], None]
    mend: typing.Callable[[], None]

    def is_known(self, state: str) -> bool:
        """Whether the load balancer knows it as up or down, and its kernel is as that is to make it."""
        checks = ask_balancer("health")["checks"]
        addresses = {str(ipaddress.ip_interface(each).ip) for each in self.endpoint.addresses}
        states = {check["state"] for check in checks if check["address"] in addresses and SERVICE in check["services"]}
        if states != {state}:
            return False
        # What applies heed is written down a moment later, and the kernel follows.
        down = sum(check["state"] == "down" for check in checks)
        status = ask_balancer("status")
        return status["health"]["down"] == down and status["drift"] is False


def deaths(hosts: dict[str, topology.Host], pids: dict[str, int], endpoints: typing.Sequence[str]) -> list[Death]:
    """Of two endpoints, so that neither changes as often as one that flaps (docs/health.md)."""
    program, link = (hosts[name] for name in endpoints[2:4])
    carrier = pids[topology.carriers(hosts)[link.network].name]
    return [
        Death(
            program,
            f"the program on {program.name} ends: connections are refused",
            lambda: os.kill(pids[program.name], signal.SIGUSR1),
            lambda: os.kill(pids[program.name], signal.SIGUSR2),
        ),
        Death(
            link,
            f"the link of {link.name} is cut: nothing answers",
            lambda: wires.ip_batch(carrier, [f"link set {link.name} down"]),
            lambda: wires.ip_batch(carrier, [f"link set {link.name} up"]),
        ),
    ]


def ask_balancer(what: str) -> typing.Any:
    """What ``sluice WHAT --json`` says on the load balancer. Raises LabError where it says nothing."""
    asking = network.command(BALANCER, [SLUICE, what, "--json"])
    done = subprocess.run(asking, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise topology.LabError(f"{BALANCER}: sluice {what}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def witness(death: Death, stream: Stream, count: int, times: phases.Times) -> None:
    """Have it die and come back amid the stream. Raises NeverHappened."""
    name = death.endpoint.name
    stream.wait_for(count)
    times.cut = time.monotonic()
    try:
        death.cut()
        times.out = wait_for(lambda: death.is_known("down"), f"{name} is still in the rules of {BALANCER}")
        stream.wait_for(count)
    finally:
        times.mended = time.monotonic()
        death.mend()
    times.back = wait_for(lambda: death.is_known("up"), f"{name} is not back in the rules of {BALANCER}")
    stream.wait_for(count)


def tell(death: Death, client: int, to: report.Expectation, chosen: argparse.Namespace) -> tuple[int, bool]:
    """Print what is seen of a death: how many requests there were, and whether all is as expected."""
    name, endpoints = death.endpoint.name, typing.cast(tuple[str, ...], to.answers)
    print(death.title, flush=True)
    faults = []
    with Lasting(client, to, LASTING, but=name) as lasting, Stream(client, to, chosen.rate) as stream:
        times = phases.Times(time.monotonic())
        try:
            witness(death, stream, chosen.requests, times)
        except NeverHappened as error:
            faults.append(str(error))
    faults += lasting.broken
    table = phases.Table(endpoints)
    well = not faults
    for row in phases.rows(stream.requests, times):
        verdict = phases.judge(row, name, endpoints)
        well = well and not verdict.faults
        print("\n".join(table.lines(row, name, verdict)))
    last = phases.last_failure(stream.requests, times)
    failure = "no request failed" if last is None else f"the last request that failed began {last:.2f} s after the cut"
    print(f"      {failure}; {LASTING} connections to others asked {lasting.asked} times, {len(lasting.broken)} broke")
    print("".join(f"      FAIL: {fault}\n" for fault in faults), end="", flush=True)
    return len(stream.requests), well


def run(chosen: argparse.Namespace) -> int:
    hosts = topology.read_hosts(topology.INVENTORY)
    pids = {name: pid for name, (pid, _) in network.running().items()}
    to = next(row for row in traffic.read_expectations(traffic.EXPECTATIONS, "") if row.service == SERVICE)
    if missing := [name for name in (BALANCER, to.client, *to.answers) if name not in pids]:
        raise topology.LabError(f"lab hosts not running: {', '.join(missing)}")
    started = time.monotonic()
    dying = deaths(hosts, pids, to.answers)
    try:
        wait_for(lambda: all(death.is_known("up") for death in dying), f"{BALANCER} does not find all endpoints up")
    except NeverHappened as error:
        raise topology.LabError(f"{SERVICE}: {error}") from None
    print(f"{SERVICE}: {chosen.rate:g} new connections a second from {to.client} to {to.target}, and endpoints die")
    print(phases.Table(to.answers).head(), flush=True)
    told = [tell(death, pids[to.client], to, chosen) for death in dying]
    seconds = time.monotonic() - started
    failed = sum(not well for _, well in told)
    verdicts = f"{len(told) - failed} as expected, {failed} not"
    print(f"{len(told)} deaths: {verdicts}; {sum(count for count, _ in told)} requests in {seconds:.1f} s")
    return 1 if failed else 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=300, help="before, while it is out, and after (%(default)s)")
    parser.add_argument("--rate", type=float, default=200, help="new connections a second (%(default)s)")
    chosen = parser.parse_args(arguments)
    # Whatever ends this, what has died is mended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        return run(chosen)
    except (topology.LabError, OSError, yaml.YAMLError) as error:
        print(f"failover.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
