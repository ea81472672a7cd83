"""Ports are opened and closed by difference, what cannot be opened is said once, and many cost little."""

from __future__ import annotations

import os
import resource
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from answer_loop import GET, LOOPBACK, Client, answering, saying

from sluice.addresses import host_port
from sluice.node.answers import Place
from sluice.node.connections import IDLE
from sluice.node.listeners import AGAIN, REST

OTHER: Place = ("127.0.0.2", 0)
LONELY: Place = ("127.0.0.3", 0)
"""No connection begins here: what is closed can be opened again."""
TESTS = Path(__file__).resolve().parents[2]


def refuses(place: Place) -> bool:
    with closing(socket.socket()) as found:
        return found.connect_ex(place) != 0


def test_only_differences_are_opened_and_closed() -> None:
    with answering({LOOPBACK: saying("one")}) as loop, closing(loop.come(GET)) as client:
        assert client.answer() == b"one"
        place = loop.listeners.places()[0]
        assert loop.listeners.listen({OTHER: saying("other"), LOOPBACK: saying("two")}) == []
        assert loop.listeners.places()[0] == place
        client.send(GET)
        assert client.answer() == b"two", "who is connected stays"
        assert loop.ask(at=1) == b"other"
        assert loop.listeners.listen({OTHER: saying("other")}) == []
        assert client.all() == b""
        assert refuses(place)
        assert loop.ask() == b"other"


def test_nothing_is_left_when_it_is_closed() -> None:
    with answering({LOOPBACK: saying("here")}) as loop, closing(loop.come(GET)) as client:
        client.answer()
        place = loop.listeners.places()[0]
        loop.listeners.close()
        assert client.all() == b""
        assert refuses(place)
        assert not loop.selector.get_map()
        assert loop.listeners.due() == float("inf")


def test_what_happens_to_others_is_not_ours() -> None:
    ours, theirs = socket.socketpair()
    with answering({LOOPBACK: saying("here")}) as loop, ours, theirs:
        key = loop.selector.register(ours, 1, "checker")
        assert not loop.listeners.owns(key)


def test_the_same_port_of_both_families() -> None:
    with answering({("::", 0): saying("six")}) as loop:
        if loop.lines:
            pytest.skip("this host has no IPv6")
        port = loop.listeners.places()[0][1]
        lines = loop.listeners.listen({("::", 0): saying("six"), ("0.0.0.0", port): saying("four")})
        if lines:
            pytest.skip("somebody else has the port of IPv4")
        for address, text in (("127.0.0.1", b"four"), ("::1", b"six")):
            with closing(Client(loop, socket.create_connection((address, port)), GET)) as client:
                assert client.answer() == text


def test_what_somebody_else_has_is_said_once_and_tried_again() -> None:
    with socket.create_server(LONELY) as taken:
        place = taken.getsockname()
        with open("/proc/self/comm", encoding="utf-8") as stream:
            holder = f"{stream.read().strip()} (pid {os.getpid()})"
        said = [f"shop/web: {host_port(*place)}: Address already in use: {holder} has it"]
        wanted = {place: saying("shop/web"), OTHER: saying("other")}
        with answering(wanted) as loop:
            assert loop.lines == said
            assert loop.ask() == b"other", "the others go on"
            before = time.monotonic()
            assert loop.listeners.listen(wanted) == []
            assert before + AGAIN <= loop.listeners.due() <= time.monotonic() + AGAIN
            taken.close()
            loop.listeners.expire(loop.listeners.due())
            assert len(loop.listeners.places()) == 2
            assert {loop.ask(at=at) for at in (0, 1)} == {b"shop/web", b"other"}
            # It is said again when it happens again.
            loop.listeners.listen({OTHER: saying("other")})
            with socket.create_server(place):
                assert loop.listeners.listen(wanted) == said


def test_what_is_not_wanted_any_more_is_not_tried() -> None:
    with socket.create_server(LONELY) as taken, answering({taken.getsockname(): saying("shop/web")}) as loop:
        assert loop.listeners.listen({}) == []
        assert loop.listeners.due() == float("inf")


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    """This process gets no descriptor any more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_who_waits_does_not_keep_the_loop_busy() -> None:
    with answering({LOOPBACK: saying("here"), OTHER: saying("other")}) as loop, closing(loop.come(GET)) as client:
        with no_more_descriptors():
            loop.until(lambda: loop.turn() == 0)
            assert loop.connections == 0
            due = loop.listeners.due()
            assert due <= time.monotonic() + REST
            loop.listeners.expire(due)
            loop.until(lambda: loop.turn() == 0)
        # A list that changes meanwhile is heeded.
        assert loop.listeners.listen({LOOPBACK: saying("there")}) == []
        loop.listeners.expire(loop.listeners.due())
        assert client.answer() == b"there"


def test_without_descriptors_who_is_idle_makes_room() -> None:
    with answering({LOOPBACK: saying("here")}) as loop, closing(loop.come(GET)) as idle:
        idle.answer()
        with closing(loop.come(GET)) as client, no_more_descriptors():
            assert client.answer() == b"here"
            assert idle.all() == b""


def test_a_thousand_who_send_nothing_do_not_keep_out_who_asks() -> None:
    """A process of its own: it needs more descriptors than this one may have."""
    script = f"""
import resource, socket, sys
sys.path[:0] = {[str(TESTS), str(TESTS.parent / "module_utils")]!r}
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from answer_loop import *
with answering({{LOOPBACK: saying("here")}}) as loop:
    place = loop.listeners.places()[0]
    silent = []
    for _each in range(1200):
        silent.append(socket.create_connection(place))
        loop.turn()
    loop.until(lambda: loop.turn() == 0)
    print(loop.connections, loop.ask().decode())
"""
    assert run(script).split() == ["1000", "here"]


def test_five_hundred_services_cost_little() -> None:
    """What is asked for of memory beyond their catalogue. (What a process has would not tell: it was read before.)"""
    script = f"""
import sys, tracemalloc
sys.path[:0] = {[str(TESTS), str(TESTS.parent / "module_utils")]!r}
from support import catalogue, endpoint, endpoint_slice, node, service
from sluice.node import answers
from sluice.outages import NO_OUTAGES
from sluice.view import view
from answer_loop import *
objects = []
for at in range(500):
    host = f"{{at // 250}}.{{at % 250 + 1}}"
    objects.append(service(f"s{{at}}", ip=f"10.96.{{host}}", type="LoadBalancer", ingress=[f"192.0.{{host}}"],
        externalTrafficPolicy="Local", healthCheckNodePort=30000 + at))
    objects.append(endpoint_slice(endpoint("10.1.0.1", "node1"), endpoint("10.1.0.2", "node1"), of=f"s{{at}}"))
own = node()
views = {{"IPv4": view(catalogue(*objects), own, "IPv4")}}
tracemalloc.start()
found = answers.handlers(own, views, NO_OUTAGES, answers.Health)
found.pop(("0.0.0.0", 10256))
# Nobody else has these: an address of loopback for each, instead of a port.
wanted = {{(f"127.9.{{port // 250}}.{{port % 250 + 1}}", 0): handler for (_any, port), handler in found.items()}}
with answering(wanted) as loop:
    assert loop.lines == [], loop.lines
    bodies = [loop.ask(at=at) for at in range(500)]
    answered = sum(b'"localEndpoints": 2' in body for body in bodies)
    print(len(loop.listeners.places()), answered, tracemalloc.get_traced_memory()[1])
"""
    ports, answered, most = map(int, run(script).split())
    assert (ports, answered) == (500, 500)
    assert most < 20 << 20


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_loop_sleeps_while_nobody_asks() -> None:
    with answering({LOOPBACK: saying("here")}) as loop, closing(loop.come(GET)) as client:
        assert loop.listeners.wait() is None
        client.answer()
        assert loop.turn() == 0
        assert select.select([client.socket], [], [], 0)[0] == []
        wait = loop.listeners.wait()
        assert wait is not None
        assert 0 <= wait <= IDLE
