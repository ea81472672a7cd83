"""A user of the system is made by what the host has, and is known again by its comment."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from places import script

from sluice.system import users
from sluice.system.tools import NodeError

NAME = f"sluice-test-{os.getpid()}"


def test_who_there_is() -> None:
    root = pwd.getpwuid(0)
    assert users.exists(root.pw_name)
    assert users.is_ours(root.pw_name, root.pw_gecos)
    assert not users.is_ours(root.pw_name, "another comment")
    assert not users.exists(NAME)
    assert not users.is_ours(NAME, "")


def test_means(programs: Path) -> None:
    assert not users.may_make()
    assert not users.may_remove()
    script(programs / "systemd-sysusers", "")
    script(programs / "userdel", "")
    assert users.may_make()
    assert users.may_remove()


def test_useradd_comes_first(programs: Path) -> None:
    for name in ("useradd", "systemd-sysusers", "userdel"):
        script(programs / name, f'printf "%s|" {name} "$@" >>{programs}/log; echo >>{programs}/log')
    home = "--no-create-home|--home-dir|/nonexistent|--shell|/usr/sbin/nologin"
    users.make(NAME, "asks things")
    # The group root is there already.
    users.make("root", "asks things")
    users.remove(NAME)
    (programs / "useradd").unlink()
    users.make(NAME, "asks things")
    assert (programs / "log").read_text().splitlines() == [
        f"useradd|--system|--user-group|{home}|--comment|asks things|{NAME}|",
        f"useradd|--system|--gid|root|{home}|--comment|asks things|root|",
        f"userdel|{NAME}|",
        f'systemd-sysusers|--inline|u {NAME} - "asks things" /nonexistent /usr/sbin/nologin|',
    ]


def test_what_is_refused_is_said(programs: Path) -> None:
    script(programs / "useradd", "echo 'useradd: cannot lock /etc/passwd; try again later.' >&2; exit 1")
    with pytest.raises(NodeError, match=r"^useradd: useradd: cannot lock /etc/passwd; try again later\.$"):
        users.make(NAME, "asks things")
