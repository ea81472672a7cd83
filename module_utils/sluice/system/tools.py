"""Runs programs of the host: one search path, one environment, one kind of error."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Callable

PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
"""Where programs are searched, whatever the environment says."""

ENVIRONMENT = {"PATH": PATH, "LC_ALL": "C"}

Done = subprocess.CompletedProcess  # of str, or of bytes where the output may be megabytes
Finish = Callable[[], "Done[bytes]"]


class NodeError(Exception):
    """This node cannot do what was asked; the message is one line that says why, and where possible what to do."""


def find(command: str) -> str:
    """The path of a program, or ``""`` where it is not installed."""
    return shutil.which(command, path=PATH) or ""


def start(command: Sequence[str], text: str = "", environment: Mapping[str, str] | None = None) -> Finish:
    """Start a program with ``text`` as its input; what is returned waits for its end. Raises NodeError.

    Megabytes go faster through files in memory than through pipes, and the program has all of its input whatever
    becomes of this process.
    """
    streams = [os.fdopen(os.memfd_create("sluice"), "w+b") for _stream in range(3)]
    streams[0].write(text.encode())
    streams[0].seek(0)
    try:
        process = subprocess.Popen(
            command,
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            env={**ENVIRONMENT, **(environment or {})},
            close_fds=False,  # it inherits the locks (module locks)
        )
    except OSError as error:
        for stream in streams:
            stream.close()
        raise _not_started(command[0], error) from None

    def finish() -> Done[bytes]:
        code = process.wait()
        outputs = []
        for stream in streams:
            with stream:
                stream.seek(0)
                outputs.append(stream.read() if stream is not streams[0] else b"")
        return subprocess.CompletedProcess(command, code, *outputs[1:])

    return finish


def run(command: Sequence[str], text: str = "") -> Done[str]:
    """Run a program with ``text`` as its input. Raises NodeError where it cannot be started."""
    done = start(command, text)()
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), _decoded(done.stderr))


def reading(command: Sequence[str], text: str = "") -> Callable[[], str]:
    """Start a program; what is returned waits for its output. Either raises NodeError, the second if it fails."""
    finish = start(command, text)

    def wait() -> str:
        done = finish()
        if done.returncode:
            raise NodeError(f"{' '.join(command)}: {reason(done)}")
        return done.stdout.decode()

    return wait


def output(command: Sequence[str], text: str = "") -> str:
    """What a program prints. Raises NodeError where it cannot be started or fails."""
    return reading(command, text)()


def reason(done: Done[bytes] | Done[str]) -> str:
    """Why a program failed, on one line."""
    errors = done.stderr if isinstance(done.stderr, str) else _decoded(done.stderr)
    return " ".join(errors.split()) or f"exit code {done.returncode}"


def detach(command: Sequence[str]) -> int:
    """Start a process that outlives this one, in a session of its own and without its locks; returns its pid."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise _not_started(command[0], error) from None
    process.returncode = 0  # nobody waits for it
    return process.pid


def _not_started(command: str, error: OSError) -> NodeError:
    missing = isinstance(error, FileNotFoundError)
    return NodeError(f"{command} is not installed" if missing else f"{command}: {error.strerror}")


def _decoded(errors: bytes) -> str:
    return errors.decode(errors="replace")
