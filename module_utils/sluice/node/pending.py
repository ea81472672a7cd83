"""A change that waits for its confirmation: what was before it, and until when the node waits.

It lies in ``pending/`` below /var/lib/sluice, and has a timer of the node's own. What becomes of it: confirmation.py.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..backends.interface import Files
from ..system import linux, owned_files
from ..system.tools import NodeError
from . import kept, state, timer

_FOLDER = f"{state.ROOT}/pending"


class Pending(NamedTuple):
    """What was before the change, its name, when it is taken back, and by which timer.

    ``contents`` is what the kernel (``place``) held, ``generation`` what the node's files said; no ``contents``: they
    are damaged. ``deadline`` is for people, in seconds of the epoch. ``until`` counts: in seconds of uptime of the
    boot ``boot``, since somebody may set the clock meanwhile.
    """

    contents: Files
    generation: int
    change: str
    deadline: float
    timer: str
    place: str
    until: float
    boot: str

    @property
    def overdue(self) -> bool:
        """Whether the time is over. A node that went down meanwhile has not been reached either."""
        return self.boot != linux.boot() or linux.uptime() >= self.until

    @property
    def time(self) -> str:
        """The time until which it waits, by the node's clock."""
        return time.strftime("%H:%M:%S", time.localtime(self.deadline))


def waiting() -> Pending | None:
    """The change that waits for its confirmation, or None where none does, or what was before it is lost."""
    meta = kept.value(f"{_FOLDER}/{state.META}", _is_meta)
    if meta is None:
        return None
    try:
        contents = state.read_folder(_FOLDER)
    except (OSError, UnicodeDecodeError):
        contents = {}
    # An earlier version wrote neither a digest nor the boot.
    found = meta.pop("digest", None)
    if found is not None and not state.is_digest(found, contents):
        contents = {}
    if not contents and not state.whole(meta["generation"]):
        return None
    clock = {"until": linux.uptime() + meta["deadline"] - time.time(), "boot": meta["place"].partition(" ")[0]}
    return Pending(contents, **{**clock, **meta})


def mend(*, check: bool = False) -> list[str]:
    """Set aside what should be a change that waits but is damaged; the line that says so."""
    if not exists() or waiting():
        return []
    return [f"{kept.set_aside(_FOLDER, check=check)}; the change that waited there for its confirmation stays"]


def keep(change: Pending) -> None:
    """Write down that a change waits. Raises OSError; then the one that waited still does."""
    meta: dict[str, Any] = {**change._asdict(), "digest": state.digest(change.contents)}
    state.write_beside(_FOLDER, {**meta.pop("contents"), state.META: kept.text(meta)})
    state.put_in_place(_FOLDER)


def forget() -> None:
    """The change is confirmed, or taken back. Raises OSError."""
    # The file that makes it one goes first: half a folder is no change that waits.
    owned_files.write({f"{_FOLDER}/{state.META}": None})
    shutil.rmtree(_FOLDER, ignore_errors=True)


_FIELDS: Mapping[str, tuple[type, ...]] = {
    "generation": (int,),
    "change": (str,),
    "deadline": (float, int),
    "timer": (str,),
    "place": (str,),
}
_NEWER: Mapping[str, tuple[type, ...]] = {"until": (float, int), "boot": (str,), "digest": (str,)}


def _is_meta(value: Any) -> bool:
    kinds = {**_FIELDS, **_NEWER}
    return (
        isinstance(value, dict)
        and value.keys() in (_FIELDS.keys(), kinds.keys())
        and all(type(field) in kinds[name] for name, field in value.items())
    )


def arm(before: Files, generation: int, seconds: int) -> None:
    """Have the node put ``before`` back by itself after ``seconds``. Raises NodeError: then no change may be made.

    ``generation`` is what the node's files said. An earlier change that still waits is taken back along with this one.
    """
    earlier = waiting()
    if earlier:
        before, generation = earlier.contents, earlier.generation
    change = f"{time.time_ns():x}"
    armed = ""
    try:
        # Armed before it is written down: a timer whose change does not wait does nothing.
        armed = timer.arm(seconds, change)
        deadline, until = time.time() + seconds, linux.uptime() + seconds
        keep(Pending(before, generation, change, deadline, armed, linux.place(), until, linux.boot()))
    except OSError as error:
        if armed:
            timer.disarm(armed)
        raise NodeError(f"{error.filename or state.ROOT}: {error.strerror}: nothing was changed") from None
    if earlier:
        timer.disarm(earlier.timer)


def exists() -> bool:
    """Whether a change waits for its confirmation."""
    return os.path.exists(f"{_FOLDER}/{state.META}")
