"""Where the supervisor and the checker meet: a Unix socket of type SOCK_SEQPACKET, and who is at its other end."""

from __future__ import annotations

import contextlib
import os
import socket
import struct

_CREDENTIALS = struct.Struct("iII")
"""struct ucred: pid, uid and gid (unix(7))."""


def listen(path: str, gid: int) -> socket.socket:
    """A socket at ``path`` that the owner and the group ``gid`` may connect to. What was there is replaced.

    It does not block. Raises OSError.
    """
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        before = os.umask(0o777)
        try:
            server.bind(path)
        finally:
            os.umask(before)
        # First whose it is, then who may: nobody else ever could.
        os.chown(path, -1, gid)
        os.chmod(path, 0o660)
        server.listen(1)
    except BaseException:
        server.close()
        raise
    return server


def connect(path: str) -> socket.socket | None:
    """A connection to who listens at ``path``, that does not block; None where nobody does."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        link.connect(path)
    except OSError:
        link.close()
        return None
    return link


def user(link: socket.socket) -> int:
    """The user that the process at the other end was when it connected (SO_PEERCRED, unix(7)). Raises OSError."""
    told = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _pid, uid, _gid = _CREDENTIALS.unpack(told)
    return int(uid)
