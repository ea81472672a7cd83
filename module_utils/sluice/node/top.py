"""``sluice top``: samples of what the kernel counts, on a terminal again and again."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from types import FrameType

from ..catalogue import sources
from ..catalogue.model import Catalogue
from ..system.tools import NodeError
from . import files, traffic
from .rates import Rates, Sample, rates

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""The terminal's other screen without a cursor, and back (xterm's control sequences, DECSET 1049 and 25)."""

_HOME, _REST_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"
_QUIT = b"qQ\x03\x04"
"""Also Ctrl-C and Ctrl-D, where a terminal sends them as characters."""


class Sampler:
    """Reads what the kernel counts, with the names of the catalogue in ``directory``.

    Raises NodeError where it cannot be read, InputError where the catalogue is none.
    """

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, files.CATALOGUE_FILE)
        self._made: tuple[int, int] | None = None
        self._catalogue = Catalogue()
        if os.geteuid():
            raise NodeError("only root can read what the kernel counts")

    def sample(self) -> Sample:
        """What is counted now."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            raise NodeError(f"there is no {self._path}: this node was given no Services") from None
        if self._made != (found.st_ino, found.st_mtime_ns):
            self._catalogue, self._made = sources.compiled(self._path), (found.st_ino, found.st_mtime_ns)
        counters = traffic.read()
        return Sample(time.monotonic(), traffic.by_service(self._catalogue, counters))


def once(directory: str, interval: float) -> Rates:
    """What goes through this node in ``interval`` seconds."""
    sampler = Sampler(directory)
    before = sampler.sample()
    time.sleep(interval)
    return rates(before, sampler.sample())


def is_terminal() -> bool:
    """Whether there is somebody to look, and to end it."""
    return bool(sys.stdin and sys.stdin.isatty() and sys.stdout.isatty())  # there may be no stdin at all


def watch(directory: str, interval: float) -> None:
    """Show it every ``interval`` seconds until somebody presses q or Ctrl-C, or ends this process."""
    sampler = Sampler(directory)
    before = sampler.sample()
    with contextlib.suppress(KeyboardInterrupt), _screen(sys.stdin.fileno()):
        _show(["one moment"])
        while not _asked_to_end(interval):
            now = sampler.sample()
            found = rates(before, now)
            _show(found.lines(_size().lines - 2))
            before = now


def _show(lines: list[str]) -> None:
    """Draw over what is there: nothing flickers."""
    size = _size()
    head = f"sluice top on {os.uname().nodename}, {time.strftime('%H:%M:%S')}, q ends it"
    shown = [line[: size.columns] for line in (head, *lines)][: size.lines]
    sys.stdout.write(_HOME + "\r\n".join(line + _REST_OF_LINE for line in shown) + _REST)
    sys.stdout.flush()


def _size() -> os.terminal_size:
    return shutil.get_terminal_size()


def _asked_to_end(seconds: float) -> bool:
    """Whether somebody asks to end it within so many seconds; other keys change nothing."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0]:
            keys = os.read(sys.stdin.fileno(), 100)
            if not keys or any(key in _QUIT for key in keys):
                return True
    return False


@contextlib.contextmanager
def _screen(terminal: int) -> Iterator[None]:
    """Have the terminal to ourselves, and give it back as it was, also where this process is told to end."""
    before = termios.tcgetattr(terminal)
    ended = signal.signal(signal.SIGTERM, _end)
    try:
        tty.setcbreak(terminal)
        sys.stdout.write(_ENTER)
        yield
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        signal.signal(signal.SIGTERM, ended)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signal.SIGTERM)
