"""Who brings a node to something, and by what: it is kept with each generation, and said in the journal."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..faults import printable

ANSIBLE, COMMAND, ROLLBACK = "ansible", "command", "rollback"
BOOT, HEALTH, REPAIR, TIMER = "boot", "health", "repair", "timer"
BY = (ANSIBLE, COMMAND, BOOT, HEALTH, REPAIR, ROLLBACK, TIMER)

LONGEST = 200
"""Characters that are kept of a name or a command line."""

_NOBODY = 2**32 - 1
"""What loginuid holds in a process that no login led to (audit's AUDIT_UID_UNSET)."""


class Origin(NamedTuple):
    """Who asked for something.

    ``by``: one of BY. ``user``: the person, ``""`` where the node acts by itself. ``detail``: the command line; by
    Ansible, the name that the inventory has for the node.
    """

    by: str = COMMAND
    user: str = ""
    detail: str = ""

    @property
    def text(self) -> str:
        """``ops (ansible)``; what the node does by itself has no user."""
        return f"{self.user} ({self.by})" if self.user else self.by

    @property
    def act(self) -> str:
        """What was done, as a line in the journal begins: ``apply by ops (ansible)``."""
        if self.by in (ROLLBACK, TIMER):
            return f"rollback by {self.user or self.by}"
        return f"apply by {self.text}"


SOMEBODY = Origin()
"""Who does not say more."""


def of_command() -> Origin:
    """That of this process, which a person started."""
    return Origin(COMMAND, _cut(login()), _cut(shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]])))


def of_ansible(given: Mapping[str, Any] | None) -> Origin:
    """That of a module: what its action has handed over, else who logged in to the node."""
    said = given or {}
    return Origin(ANSIBLE, _cut(str(said.get("user") or login())), _cut(str(said.get("node") or "")))


def of_run(variables: Mapping[str, Any]) -> dict[str, str]:
    """What an action hands over to its module, which ``of_ansible`` reads: no secrets, every log may have it."""
    return {"user": login(), "node": str(variables.get("inventory_hostname", ""))}


def login() -> str:
    """The person who works here, also as root: sudo(8) says it, or the login (loginuid), or it is this process's user.

    It is for people: root may say anything.
    """
    said = os.environ.get("SUDO_USER", "")
    if said:
        return said
    user = os.getuid()
    with contextlib.suppress(OSError, ValueError), open("/proc/self/loginuid", encoding="ascii") as stream:
        found = int(stream.read())
        user = user if found == _NOBODY else found
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def parsed(value: Any) -> Origin | None:
    """The origin that was kept as a JSON value; None where it is none."""
    if not isinstance(value, dict) or value.keys() != set(Origin._fields):
        return None
    return Origin(**value) if value["by"] in BY and all(isinstance(each, str) for each in value.values()) else None


def _cut(text: str) -> str:
    return printable(text)[:LONGEST]
