"""Who listens on a port can be told, by its process."""

from __future__ import annotations

import os
import socket

import pytest

from sluice.system import sockets


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_who_listens(family: socket.AddressFamily, address: str) -> None:
    try:
        found = socket.create_server((address, 0), family=family)
    except OSError:
        pytest.skip(f"this host has no {address}")
    with found:
        port = found.getsockname()[1]
        with open("/proc/self/comm", encoding="utf-8") as stream:
            name = stream.read().strip()
        # Another one that has the same socket may have begun before this process, such as its parent.
        assert sockets.holders([port, 0]) == {port: sockets.Holder(name, os.getpid())}
        assert str(sockets.holders([port])[port]) == f"{name} (pid {os.getpid()})"
        assert sockets.listening([port, 0]) == {port}


def test_who_only_is_connected_does_not_listen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert sockets.holders([client.getsockname()[1]]) == {}
    assert sockets.holders([]) == {}
