"""TLS for a check: non-blocking, sessions resumed, which saves most of the cost.

The certificate is verified unless the probe says that it is not.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import socket
import ssl
import time
from typing import cast

from .attempts import IN, OUT, Target
from .reasons import Reason

_SESSION_SECONDS = 300.0
"""How long a session is resumed: who resumes shows no certificate, and one may expire or be replaced meanwhile."""

_contexts: dict[str, tuple[tuple[int, ...], ssl.SSLContext]] = {}
"""By the file of certificates, with what told that file from an earlier one."""


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_UNVERIFIED = _unverified()

# Names go through it, and who has dropped its privileges may not be able to read it any more.
codecs.lookup("idna")

Error = ssl.SSLError


class WaitError(Exception):
    """It goes on when the socket can be read from or written to, as ``wants`` says."""

    def __init__(self, wants: int) -> None:
        super().__init__()
        self.wants = wants


class Secured:
    """A connection that is being secured, and then is."""

    __slots__ = ("_began", "_link", "_ready", "_target")

    def __init__(self, link: ssl.SSLSocket, target: Target) -> None:
        self._link = link
        self._target = target
        self._began = time.monotonic()
        self._ready = False

    def send(self, data: bytes) -> int:
        """Raises WaitError, OSError (of which ssl.SSLError is one)."""
        try:
            if not self._ready:
                self._link.do_handshake()
                self._ready = True
            return self._link.send(data)
        except ssl.SSLWantReadError:
            raise WaitError(IN) from None
        except ssl.SSLWantWriteError:
            raise WaitError(OUT) from None

    def recv(self, size: int) -> bytes:
        """As ``send``. Where the other end closes without saying so first, that is an end as well."""
        try:
            return self._link.recv(size)
        except ssl.SSLWantReadError:
            raise WaitError(IN) from None
        except ssl.SSLWantWriteError:
            raise WaitError(OUT) from None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    def close(self) -> None:
        """Say so, without which a session is not resumed, and keep the session."""
        if self._ready:
            with contextlib.suppress(OSError, ValueError):
                self._keep()
                self._link.unwrap()
        self._link.close()

    def _keep(self) -> None:
        memory, session = self._target.memory, self._link.session
        if session is None or not session.has_ticket:
            return
        if not self._link.session_reused:
            memory["until"] = self._began + _SESSION_SECONDS
        memory["session"] = session


def secured(link: socket.SocketType, target: Target) -> Secured | Reason:
    """``link``, which is connected, by TLS; it belongs to the result then. Or why this node cannot. Raises OSError."""
    probe, memory = target.probe, target.memory
    try:
        context = _UNVERIFIED if probe.unverified else _context(probe.ca_file)
    except (OSError, ValueError):
        return Reason.NO_CA_FILE
    if memory.get("context") is not context or memory.get("until", 0.0) < time.monotonic():
        memory.clear()
        memory["context"] = context
    name = probe.server_name or _without_port(probe.host) or target.address
    try:
        wrapped = context.wrap_socket(
            cast(socket.socket, link),
            server_hostname=name,
            do_handshake_on_connect=False,
            session=memory.get("session"),
        )
    except ValueError as error:  # what cannot be a name of a certificate
        raise OSError(errno.EINVAL, str(error)) from None
    return Secured(wrapped, target)


def reason(error: ssl.SSLError) -> Reason:
    """What an error of TLS says of the endpoint."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Reason.CERTIFICATE
    return Reason.CLOSED if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) else Reason.TLS


def _context(file: str) -> ssl.SSLContext:
    """Who is trusted: what is in ``file``, or whom this system trusts. Raises OSError, ssl.SSLError."""
    status = os.stat(file or ssl.get_default_verify_paths().cafile or os.devnull)
    known = status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
    found = _contexts.get(file)
    if found and found[0] == known:
        return found[1]
    context = ssl.create_default_context(cafile=file or None)
    _contexts[file] = known, context
    return context


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
