"""What a client of the lab does all the while, while its endpoint dies and comes back: real sockets and signals."""

from __future__ import annotations

import os
import pathlib
import signal
from collections.abc import Iterator

import namespaces
import pytest
import report
import streams
import wires
from topology import Host

ROOT = pathlib.Path(__file__).resolve().parents[3]
TO = report.Expectation("shop/web", "ClusterIP", "127.0.0.1", 8080, "tcp", "end", ("end",))

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")


@pytest.fixture
def endpoint() -> Iterator[int]:
    """The first process of a host that ends with the test; the client is on the same one."""
    host = Host("end")
    pid = namespaces.start("end", ROOT / "lab/endpoint.py", ["8080/tcp", "5353/udp"], wires.setup(host), lasting=False)
    try:
        wires.ip_batch(pid, wires.own_links(host))
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def failures(stream: streams.Stream) -> list[str]:
    """What comes of the next requests, each thing once."""
    before = len(stream.requests)
    stream.wait_for(20)
    return sorted({request.failure for request in stream.requests[before:]})


def until(stream: streams.Stream, wanted: list[str]) -> None:
    streams.wait_for(lambda: failures(stream) == wanted, f"not {wanted}")


def test_requests_fail_while_the_program_is_dead(endpoint: int) -> None:
    with streams.Stream(endpoint, TO, 200) as stream:
        assert failures(stream) == [""]
        os.kill(endpoint, signal.SIGUSR1)
        until(stream, ["refused"])
        os.kill(endpoint, signal.SIGUSR2)
        until(stream, [""])
        # One that lives begins anew.
        os.kill(endpoint, signal.SIGUSR2)
        until(stream, [""])
    assert {request.name for request in stream.requests if not request.failure} == {"end"}
    assert all(request.began <= request.ended for request in stream.requests)


def test_connections_stay_until_their_endpoint_dies(endpoint: int) -> None:
    with streams.Lasting(endpoint, TO, 5) as lasting:
        streams.wait_for(lambda: lasting.asked >= 10, "nobody asks")
        assert lasting.broken == []
        os.kill(endpoint, signal.SIGUSR1)
        streams.wait_for(lambda: len(lasting.broken) == 5, "they live")
    assert {line.partition(":")[0] for line in lasting.broken} == {"connection to end"}


def test_connections_that_cannot_be_are_an_error(endpoint: int) -> None:
    os.kill(endpoint, signal.SIGUSR1)
    with streams.Stream(endpoint, TO, 200) as stream:
        until(stream, ["refused"])
    with pytest.raises(ConnectionRefusedError):
        streams.Lasting(endpoint, TO, 5).__enter__()


def test_what_never_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PATIENCE", 0.0)
    with pytest.raises(streams.NeverHappened, match="web3 is not out after 0 s"):
        streams.wait_for(lambda: False, "web3 is not out")
