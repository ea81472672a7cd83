#!/usr/bin/env python3
"""Send real requests to every service address of the lab and report which endpoint answered, beside its expected share.

What is expected stands in lab/expectations.yml, written by hand and not computed by what is tested. Every request is a
new connection, made in the network namespace of its client. Exit 0: as expected; 1: a request went wrong, or shares are
not what chance gives (chi-square, p < 0.0001); 2: the lab is not up or the expectations are not readable.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import errno
import ipaddress
import pathlib
import selectors
import socket
import sys
import time
import typing

import namespaces
import network
import report
import topology
import yaml

BACKENDS = ("iptables", "ipvs", "nftables")
EXPECTATIONS = pathlib.Path(__file__).resolve().parent / "expectations.yml"
REQUEST = b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n"
ANSWER_TIMEOUT = 2.0  # seconds; no path of the lab takes a hundredth of it
DROP_TIMEOUT = 0.7  # seconds of silence that are taken for a drop
PROBES = 8  # requests to an address that should not answer
PATIENCE = 3  # requests that go wrong at one address before the rest is not tried
REQUESTS_A_SESSION = 5
SESSIONS = 60

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "sctp": socket.SOCK_STREAM}


def read_expectations(path: pathlib.Path, backend: str) -> list[report.Expectation]:
    """One expectation a service, address and client. Raises OSError, YAMLError, LabError."""
    found = []
    for service in yaml.safe_load(path.read_text(encoding="utf-8")):
        for row in service["addresses"]:
            row = {**row, **row.get(backend, {})}
            address, _, port = row["to"].rpartition(":")
            clients = row.get("from", "client")
            for client in clients if isinstance(clients, list) else [clients]:
                answers = row["answers"]
                if isinstance(answers, str) and answers not in ("refused", "dropped"):
                    raise topology.LabError(f"{path}: {service['service']} {row['to']}: answers: {answers}")
                found.append(
                    report.Expectation(
                        service=service["service"],
                        kind=row["kind"],
                        address=address.strip("[]"),
                        port=int(port),
                        protocol=row.get("protocol", "tcp"),
                        client=client,
                        answers=answers if isinstance(answers, str) else tuple(answers),
                        source=row.get("source", "kept"),
                        sticky=row.get("sticky", False),
                        bind=row.get("bind", ""),
                    )
                )
    return found


def open_socket(expected: report.Expectation, source: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in expected.address else socket.AF_INET
    opened = socket.socket(family, KINDS[expected.protocol], socket.IPPROTO_SCTP if expected.protocol == "sctp" else 0)
    if source:
        opened.bind((source, 0))
    return opened


def request(expected: report.Expectation, source: str) -> tuple[str, bool]:
    """Ask once: the name that answered and whether it saw this client's own address. Raises OSError where none did."""
    with connect(expected, source) as connection:
        return ask(connection)


def connect(expected: report.Expectation, source: str) -> socket.socket:
    connection = open_socket(expected, source)
    connection.settimeout(ANSWER_TIMEOUT)
    try:
        connection.connect((expected.address, expected.port))
    except OSError:
        connection.close()
        raise
    return connection


def ask(connection: socket.socket, asking: bytes = REQUEST) -> tuple[str, bool]:
    connection.sendall(asking)
    said = b""
    while not said.endswith(b"\n") or said.endswith(b"\r\n"):
        part = connection.recv(2048)
        if not part:
            raise ConnectionError(errno.ECONNRESET, "no answer before the end")
        said += part
    name, seen = said.rstrip().rpartition(b"\n")[2].decode().split()
    return name, ipaddress.ip_address(connection.getsockname()[0]) == ipaddress.ip_address(seen)


def what_failed(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, TimeoutError) or error.errno in (errno.ETIMEDOUT, errno.EINPROGRESS):
        return "dropped"
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def sources(expected: report.Expectation, requests: int) -> list[str]:
    """The source address of every request, "" for the client's own."""
    if "/" not in expected.bind:
        return [expected.bind] * requests
    customers = [str(address) for address in ipaddress.ip_network(expected.bind).hosts()][:SESSIONS]
    return [customer for customer in customers for _ in range(REQUESTS_A_SESSION)]


def measure(expected: report.Expectation, requests: int) -> report.Outcome:
    """Ask as often as it takes to tell; runs in the client's namespace."""
    if expected.protocol == "sctp":
        try:
            open_socket(expected, "").close()
        except OSError as error:
            return report.Outcome(skipped=f"this kernel has no SCTP sockets ({error.strerror})")
    if expected.answers == "dropped":
        return probe_silence(expected)
    seen = report.Outcome()
    session: dict[str, str] = {}
    for source in sources(expected, PROBES if isinstance(expected.answers, str) else requests):
        try:
            name, kept = request(expected, source)
        except OSError as error:
            seen.others[what_failed(error)] += 1
            if sum(seen.others.values()) - seen.others[str(expected.answers)] >= PATIENCE:
                break
            continue
        seen.answers[name] += 1
        # An endpoint that reaches itself has to see another address, or its answer would go past the load balancer.
        if kept != (expected.source == "kept" and name != expected.client):
            seen.wrong_source += 1
        if expected.sticky:
            if source not in session:
                seen.first[name] += 1
            seen.unsteady += session.setdefault(source, name) != name
    return seen


def probe_silence(expected: report.Expectation) -> report.Outcome:
    """Several connections at once: silence takes its time, once is enough."""
    seen = report.Outcome()
    selector = selectors.DefaultSelector()
    for source in sources(expected, PROBES):
        probe = open_socket(expected, source)
        probe.setblocking(False)
        probe.connect_ex((expected.address, expected.port))
        if expected.protocol == "udp":
            probe.send(REQUEST)
        event = selectors.EVENT_READ if expected.protocol == "udp" else selectors.EVENT_WRITE
        selector.register(probe, event)
    deadline = time.monotonic() + DROP_TIMEOUT
    while selector.get_map() and (left := deadline - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            probe = typing.cast(socket.socket, key.fileobj)
            number = probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            seen.others[what_failed(OSError(number, "")) if number else "answered"] += 1
            selector.unregister(probe)
            probe.close()
    for key in list(selector.get_map().values()):
        seen.others["dropped"] += 1
        typing.cast(socket.socket, key.fileobj).close()
    return seen


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=300, help="to each address by each client (%(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="services whose name holds it")
    parser.add_argument(
        "--backend", choices=BACKENDS, default=BACKENDS[0], help="what the load balancers run (%(default)s)"
    )
    parser.add_argument("--inventory", type=pathlib.Path, default=topology.INVENTORY)
    parser.add_argument("--expectations", type=pathlib.Path, default=EXPECTATIONS)
    chosen = parser.parse_args(arguments)
    try:
        return run(chosen)
    except (topology.LabError, OSError, yaml.YAMLError) as error:
        print(f"traffic.py: {error}", file=sys.stderr)
        return 2


def run(chosen: argparse.Namespace) -> int:
    expectations = [row for row in read_expectations(chosen.expectations, chosen.backend) if chosen.only in row.service]
    if not expectations:
        raise topology.LabError(f"no service's name holds {chosen.only!r}")
    endpoints = [host.name for host in topology.read_hosts(chosen.inventory).values() if host.listen]
    now = network.running()
    clients = {row.client for row in expectations}
    if missing := sorted(clients - now.keys()):
        raise topology.LabError(f"lab hosts not running: {', '.join(missing)}")
    # One process a client: a network namespace is entered by a whole process.
    pool, enter = concurrent.futures.ProcessPoolExecutor, namespaces.enter_network
    workers = {client: pool(1, initializer=enter, initargs=(now[client][0],)) for client in clients}
    table = report.Table(sorted(endpoints), expectations)
    started = time.monotonic()
    failed = skipped = answered = 0
    print(table.head())
    try:
        for row in expectations:
            # One after the other: two clients at one virtual server of IPVS would share its round robin, not chance.
            seen = workers[row.client].submit(measure, row, chosen.requests).result()
            verdict = report.judge(row, seen)
            failed += bool(verdict.faults)
            skipped += bool(seen.skipped)
            answered += sum(seen.answers.values())
            print("\n".join(table.rows(row, seen, verdict)), flush=True)
    finally:
        for worker in workers.values():
            worker.shutdown()
    verdicts = f"{len(expectations) - failed - skipped} as expected, {failed} not"
    skips = f", {skipped} SKIPPED" if skipped else ""
    seconds = time.monotonic() - started
    print(f"{len(expectations)} checks: {verdicts}{skips}; {answered} requests answered in {seconds:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
