"""Endpoints to be asked, good ones and bad ones, on fixed ports of a host of their own; and the ports' meanings."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Callable, NoReturn

LISTENS, HTTP, HTTPS, GRPC, DNS, ECHO = 8000, 8001, 8443, 9090, 53, 7
NOBODY = 8080

HEAD = b"HTTP/1.1 200 OK\r\n"
_RESET = struct.pack("ii", 1, 0)
_GRPC = bytes.fromhex("000000040000000000 000000040100000000 00000101040000000188 00000700000000000100000000020801")
"""SETTINGS, its acknowledgement, a header that says 200, a message that says SERVING."""


def _silent(link: socket.socket) -> None:
    link.recv(65536)
    while link.recv(65536):
        pass


def _endless(link: socket.socket) -> None:
    link.sendall(HEAD + b"\r\n")
    while True:
        link.sendall(b"x" * 65536)


def _slow(link: socket.socket) -> None:
    for byte in HEAD * 1000:
        link.sendall(bytes([byte]))
        time.sleep(1)


def _large_header(link: socket.socket) -> None:
    link.sendall(HEAD + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n")


def _endless_header(link: socket.socket) -> None:
    link.sendall(HEAD)
    while True:
        link.sendall(b"X: y\r\n" * 1000)


def _interim(link: socket.socket) -> None:
    while True:
        link.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def _reset(link: socket.socket) -> None:
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


HOSTILE: Mapping[int, Callable[[socket.socket], None]] = {
    8100: _silent,
    8101: _endless,
    8102: _slow,
    8103: _large_header,
    8104: _endless_header,
    8105: _interim,
    8106: _reset,
    8107: lambda link: None,
    8108: lambda link: link.sendall(b"\x16\x03\x01\xff\xff" + b"\xff" * 70000),
    8109: lambda link: link.sendall(b"HTTP/1.1 500 down\r\n\x1b[31mkernel panic\r\n\r\n"),
    8110: lambda link: link.sendall(b"\xff" * 100_000),
    8111: lambda link: link.sendall(HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n"),
    8112: lambda link: link.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"fffffffffff\r\n" * 99),
}


def _http(link: socket.socket) -> None:
    link.recv(65536)
    link.sendall(HEAD + b"Connection: close\r\n\r\nall ok")


def _grpc(link: socket.socket) -> None:
    link.recv(65536)
    link.sendall(_GRPC)
    link.recv(65536)


def serve(certificate: str, key: str) -> NoReturn:
    """Be all of them until killed."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def https(link: socket.socket) -> None:
        with context.wrap_socket(link, server_side=True) as secured:
            _http(secured)

    waiting = _listen(LISTENS)
    for port, talk in {HTTP: _http, HTTPS: https, GRPC: _grpc, **HOSTILE}.items():
        threading.Thread(target=_accept, args=(_listen(port), talk), daemon=True).start()
    packets = {_bound(DNS): _name, _bound(ECHO): lambda data: data}
    while True:
        for server in select.select(list(packets), [], [])[0]:
            data, peer = server.recvfrom(65535)
            server.sendto(packets[server](data), peer)
        assert waiting


def _name(query: bytes) -> bytes:
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + b"\x7f\0\0\1"
    return query[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0) + query[12:] + record


def _listen(port: int) -> socket.socket:
    return socket.create_server(("", port), family=socket.AF_INET6, backlog=512, dualstack_ipv6=True)


def _bound(port: int) -> socket.socket:
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind(("", port))
    return server


def _accept(server: socket.socket, talk: Callable[[socket.socket], None]) -> NoReturn:
    while True:
        link, _peer = server.accept()
        threading.Thread(target=_talk, args=(link, talk), daemon=True).start()


def _talk(link: socket.socket, talk: Callable[[socket.socket], None]) -> None:
    with link, contextlib.suppress(OSError):
        talk(link)


def certificate(folder: Path) -> tuple[str, str]:
    """The files of a certificate for ``shop.example`` and of its key, both new."""
    paths = str(folder / "certificate"), str(folder / "key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
         "-days", "9", "-addext", "subjectAltName=DNS:shop.example", "-out", paths[0], "-keyout", paths[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return paths
