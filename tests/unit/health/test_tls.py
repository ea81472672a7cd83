"""TLS: certificates are verified unless a probe says otherwise, and sessions resumed for a while."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from asking import ask, serving, target

from sluice.health import tls
from sluice.health.attempts import Target
from sluice.health.reasons import Reason

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nall ok"


class Server(NamedTuple):
    address: str
    port: int
    ca_file: str
    resumed: list[bool]

    def asked(self, expect: dict[str, Any] | None = None, **said: Any) -> Target:
        told = {"caFile": self.ca_file, **(expect or {})}
        return target({"httpGet": {"scheme": "HTTPS", **said}, "expect": told}, self.address, self.port)


def certificate(folder: Path, names: str = "DNS:shop.example,IP:127.0.0.1", days: int = 9) -> Path:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
         "-keyout", folder / "key", "-out", folder / "certificate", "-days", str(days),
         "-addext", f"subjectAltName={names}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "certificate"


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=str)
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    path = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, tmp_path / "key")
    context.maximum_version = request.param
    resumed: list[bool] = []

    def wrapped(link: socket.socket) -> ssl.SSLSocket:
        return context.wrap_socket(link, server_side=True, do_handshake_on_connect=False)

    def talk(link: socket.socket) -> None:
        if not link.recv(1, socket.MSG_PEEK):  # nor could what is no connection any more be wrapped
            return
        with contextlib.suppress(OSError), wrapped(link) as secured:
            secured.do_handshake()
            if secured.recv(65536):
                resumed.append(secured.session_reused is True)
                secured.sendall(OK)
                secured.recv(10)

    with serving(talk) as (address, port):
        yield Server(address, port, str(path), resumed)


def test_up(server: Server) -> None:
    assert ask(server.asked(host="shop.example")) is Reason.FINE
    assert ask(server.asked({"serverName": "shop.example"}, host="other.example")) is Reason.FINE
    assert ask(server.asked()) is Reason.FINE, "the address is one of the certificate's"
    assert ask(server.asked({"body": "ok"}, host="shop.example:8443")) is Reason.FINE
    assert ask(server.asked({"body": "well"}, host="shop.example")) is Reason.BODY


def test_who_is_not_trusted(server: Server) -> None:
    assert ask(server.asked(host="other.example")) is Reason.CERTIFICATE
    system = target({"httpGet": {"scheme": "HTTPS", "host": "shop.example"}}, server.address, server.port)
    assert ask(system) is Reason.CERTIFICATE


def test_who_is_not_asked_for_a_certificate_that_is_good(server: Server) -> None:
    said = {"httpGet": {"scheme": "HTTPS", "host": "other.example"}, "expect": {"insecureSkipTLSVerify": True}}
    asked = target(said, server.address, server.port)
    assert [ask(asked), ask(asked)] == [Reason.FINE, Reason.FINE]
    assert server.resumed == [False, True]
    assert ask(server.asked(host="other.example")) is Reason.CERTIFICATE, "others are asked as ever"


def test_a_file_that_cannot_be_read_says_nothing_of_the_endpoint(server: Server, tmp_path: Path) -> None:
    assert ask(server.asked({"caFile": str(tmp_path / "none")})) is Reason.NO_CA_FILE
    (tmp_path / "garbage").write_text("garbage")
    assert ask(server.asked({"caFile": str(tmp_path / "garbage")})) is Reason.NO_CA_FILE


def test_sessions_are_resumed(server: Server) -> None:
    asked = server.asked(host="shop.example")
    for _check in range(4):
        assert ask(asked) is Reason.FINE
    assert server.resumed == [False, True, True, True]


def test_a_session_ends_with_its_time_and_with_its_certificates(server: Server) -> None:
    asked = server.asked(host="shop.example")
    assert ask(asked) is Reason.FINE
    asked.memory["until"] = time.monotonic() - 1
    assert ask(asked) is Reason.FINE
    status = os.stat(server.ca_file)
    os.utime(server.ca_file, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    assert ask(asked) is Reason.FINE
    assert server.resumed == [False, False, False]


@pytest.mark.parametrize(
    ("said", "reasons"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", {Reason.TLS}),
        (b"\x16\x03\x03\xff\xff" + b"\0" * 70000, {Reason.TLS}),
        (b"", {Reason.CLOSED, Reason.RESET}),
        (b"\x15\x03\x03\x00\x02\x02\x28", {Reason.TLS}),
    ],
    ids=("HTTP", "a record of 70,000 bytes", "nothing", "an alert"),
)
def test_what_is_no_tls(said: bytes, reasons: set[Reason], tmp_path: Path) -> None:
    def talk(link: socket.socket) -> None:
        link.recv(65536)
        link.sendall(said)

    path = certificate(tmp_path)
    with serving(talk) as (address, port):
        assert ask(Server(address, port, str(path), []).asked()) in reasons


def test_errors_are_told_apart() -> None:
    assert tls.reason(ssl.SSLCertVerificationError()) is Reason.CERTIFICATE
    assert tls.reason(ssl.SSLEOFError()) is Reason.CLOSED
    assert tls.reason(ssl.SSLError()) is Reason.TLS
