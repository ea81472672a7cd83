#!/usr/bin/env python3
"""Ask a service address many times and count what was answered.

    client.py [--source ADDRESS] [--count N] tcp|udp ADDRESS PORT

Prints a JSON object: each answer, or what came instead of it (``refused``, ``timeout``, an errno), and how often. Every
request has a socket and a port of its own, so that every one is a new connection to conntrack.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import errno
import json
import socket

TIMEOUT = 5.0  # seconds; a dropped packet is known by it


def ask(protocol: str, address: str, port: int, source: str, flows: contextlib.ExitStack) -> str:
    """The answer's last line, ``NAME SOURCE``, of one request. Sockets of UDP stay open as long as ``flows``.

    The port of one that is closed may come again at once, and to conntrack it is the same flow as before.
    """
    kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[protocol]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.ExitStack() as connections:
        connection = (flows if protocol == "udp" else connections).enter_context(socket.socket(family, kind))
        connection.settimeout(TIMEOUT)
        try:
            if source:
                connection.bind((source, 0))
            connection.connect((address, port))
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while not answer.endswith(b"\n") or answer.endswith(b"\r\n"):
                received = connection.recv(2048)
                if not received:
                    break
                answer += received
        except ConnectionRefusedError:
            return "refused"
        except socket.timeout:
            return "timeout"
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error))
    return answer.decode().splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", default="")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("protocol", choices=("tcp", "udp"))
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    with contextlib.ExitStack() as flows:
        asked = (options.protocol, options.address, options.port, options.source, flows)
        answers = collections.Counter(ask(*asked) for _ in range(options.count))
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
