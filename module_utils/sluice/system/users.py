"""Users of the system, for processes that need no privileges: made and removed by the distribution's own means."""

from __future__ import annotations

import contextlib
import grp
import pwd

from . import tools
from .tools import NodeError

_NO_HOME, _NO_SHELL = "/nonexistent", "/usr/sbin/nologin"


def exists(name: str) -> bool:
    """Whether there is such a user, wherever it comes from (nsswitch.conf(5))."""
    return _comment(name) is not None


def is_ours(name: str, comment: str) -> bool:
    """Whether ``make`` made such a user: its comment tells."""
    return _comment(name) == comment


def may_make() -> bool:
    """Whether this host has the means to make one."""
    return bool(tools.find("useradd") or tools.find("systemd-sysusers"))


def make(name: str, comment: str) -> None:
    """Make a system user and its group, which nobody logs in as. Raises NodeError.

    useradd(8) is everywhere but in images that were made small, where systemd's own means may be.
    """
    if tools.find("useradd"):
        home = ["--no-create-home", "--home-dir", _NO_HOME, "--shell", _NO_SHELL]
        _run("useradd", "--system", *_group(name), *home, "--comment", comment, name)
    else:
        _run("systemd-sysusers", "--inline", f'u {name} - "{comment}" {_NO_HOME} {_NO_SHELL}')


def may_remove() -> bool:
    """Whether this host has the means to remove one."""
    return bool(tools.find("userdel"))


def remove(name: str) -> None:
    """Remove a user, and its group with it (USERGROUPS_ENAB, login.defs(5)). Raises NodeError."""
    _run("userdel", name)


def _comment(name: str) -> str | None:
    """What is noted about a user; None where there is no such user."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name).pw_gecos
    return None


def _group(name: str) -> list[str]:
    """The options by which useradd gives a user the group of its name, which may be there already."""
    try:
        grp.getgrnam(name)
    except KeyError:
        return ["--user-group"]
    return ["--gid", name]


def _run(*command: str) -> None:
    done = tools.run(command)
    if done.returncode:
        raise NodeError(f"{command[0]}: {tools.reason(done)}")
