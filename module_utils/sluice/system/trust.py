"""Who but root could put something else in a place whose content root executes."""

from __future__ import annotations

import os
import pwd
import stat


def others(path: str) -> str:
    """Who besides root may change what ``path`` leads to, through links as well; ``""`` for nobody. Raises OSError.

    A name is safe where root owns it, and nobody else may write to what it names; the same is true of each folder on
    the way. Others may write to a folder with the sticky bit (/tmp): they cannot replace root's files there.
    """
    place = "/"
    waiting = [name for name in os.path.abspath(path).split("/") if name][::-1]
    found = _others(place)
    for _step in range(1000):  # links may lead in a circle
        if found or not waiting:
            return found
        name = waiting.pop()
        here = os.path.normpath(os.path.join(place, name))
        found = _others(here)
        if os.path.islink(here):
            target = os.readlink(here)
            place = "/" if target.startswith("/") else place
            waiting += [each for each in target.split("/") if each][::-1]
        else:
            place = here
    return f"links that lead in a circle: {path}"


def _others(path: str) -> str:
    status = os.lstat(path)
    if status.st_uid:
        return f"{_user(status.st_uid)}, who owns {path}"
    if stat.S_ISLNK(status.st_mode) or (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX):
        return ""
    if status.st_mode & stat.S_IWOTH:
        return f"everybody, who may write to {path}"
    if status.st_mode & stat.S_IWGRP and status.st_gid:
        return f"the group {status.st_gid}, which may write to {path}"
    return ""


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
