"""What the checker gives up before it reads the first byte of an endpoint, and the room that it needs."""

from __future__ import annotations

import ctypes
import os
import pwd
import resource

USER, NOBODY = "sluice-health", "nobody"

_SET_DUMPABLE, _SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = 4, 36, 38
"""From linux/prctl.h."""

_SPARE = 64
"""Descriptors that are not for endpoints."""


def drop() -> None:
    """Be nobody in particular, for good, and no one's business. Raises OSError.

    Root becomes the user ``sluice-health`` if there is one, and ``nobody`` where there is none. What this process
    executes gets no privileges either, and its orphans come to it.
    """
    if os.geteuid() == 0:
        user = _user()
        os.setgroups([])
        os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    _prctl(_SET_NO_NEW_PRIVS, 1)
    _prctl(_SET_DUMPABLE, 0)
    _prctl(_SET_CHILD_SUBREAPER, 1)


def descriptors() -> int:
    """Have as many descriptors as this process may; how many checks these are enough for at a time."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(hard - _SPARE, 1)


def user() -> int:
    """The user that the checker is."""
    return _user().pw_uid


def group() -> int:
    """The group of the checker."""
    return _user().pw_gid


def _user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        return pwd.getpwnam(NOBODY)


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")
