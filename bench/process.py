"""Run one command and say what it took."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import tempfile
import time
import typing
from collections.abc import Sequence

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
NODE_PYTHON = "/usr/bin/python3"
"""What a node runs the engine with; the controller's is that of the virtual environment."""


class MeasureError(Exception):
    """Something that was to be measured did not work; the message is one line."""


class Run(typing.NamedTuple):
    """What one run took: wall clock and CPU (with its children's) in seconds, the largest process's peak in MB (10^6).

    ``lines`` that were sent to the kernel, 0 where it is not said.
    """

    seconds: float
    cpu: float
    peak: float
    lines: int = 0


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    input_file: pathlib.Path | None = None,
    output_file: pathlib.Path | None = None,
    environment: dict[str, str] | None = None,
) -> tuple[Run, str]:
    """Run ``command``; what it took (wait4(2)) and the end of what it printed. Raises MeasureError if it fails."""
    with contextlib.ExitStack() as stack:
        source = stack.enter_context((input_file or pathlib.Path(os.devnull)).open("rb"))
        target = stack.enter_context(tempfile.TemporaryFile())
        if output_file:
            target = stack.enter_context(output_file.open("w+b"))
        errors = stack.enter_context(tempfile.TemporaryFile())
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=source, stdout=target, stderr=errors, env={**os.environ, **(environment or {})}
        )
        _pid, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said = _end(errors) or _end(target) or f"exit code {process.returncode}"
            raise MeasureError(f"{' '.join(map(str, command))}: {' '.join(said.split())}")
        taken = Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)
        return taken, "" if output_file else _end(target)


def _end(stream: typing.IO[bytes], size: int = 2000) -> str:
    stream.seek(0, os.SEEK_END)
    stream.seek(max(stream.tell() - size, 0))
    return stream.read().decode(errors="replace")


def sluice(python: str, *arguments: str | os.PathLike[str]) -> Run:
    """Run ``python -m sluice`` of this tree. ``lines`` are taken from its summary."""
    taken, said = run(
        [python, "-m", "sluice", *arguments], environment={"PYTHONPATH": str(REPOSITORY / "module_utils")}
    )
    words = dict(word.split("=", 1) for word in said.rpartition("changed=")[2].split() if "=" in word)
    return taken._replace(lines=int(words.get("lines", 0)))


def median(runs: Sequence[Run]) -> Run:
    """The run in the middle, by wall clock: all its figures are of one and the same run."""
    return sorted(runs)[(len(runs) - 1) // 2]
