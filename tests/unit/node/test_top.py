"""A terminal is given back as it was, whatever ends the command; without one, nothing is waited for."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import support
from places import comes_true

from sluice.catalogue import compiled
from sluice.faults import InputError
from sluice.node import files, top, traffic
from sluice.system.tools import NodeError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node's files, of which the kernel has counted nothing; asked by root, whoever runs this test."""
    monkeypatch.setattr(traffic, "read", list)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / files.CATALOGUE_FILE).write_text(compiled.text(support.catalogue(support.service())))
    return tmp_path


def test_once(folder: Path) -> None:
    found = top.once(str(folder), 0.1)
    assert found.seconds >= 0.1
    assert found.fields()["services"] == []


def test_what_it_needs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / files.CATALOGUE_FILE).write_text("{}")
    with pytest.raises(InputError, match=files.CATALOGUE_FILE):
        top.once(str(folder), 0.1)
    (folder / files.CATALOGUE_FILE).unlink()
    with pytest.raises(NodeError, match=f"there is no .*{files.CATALOGUE_FILE}: this node was given no Services"):
        top.once(str(folder), 0.1)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NodeError, match="only root can read what the kernel counts"):
        top.once(str(folder), 0.1)


WATCH = """
import os, sys
from sluice.node import top, traffic
traffic.read, os.geteuid = list, lambda: 0
assert top.is_terminal()
top.watch(sys.argv[1], 0.1)
"""


@pytest.mark.parametrize(("end", "code"), [(b"q", 0), (b"\x03", 0), (None, 128 + signal.SIGTERM)])
def test_a_terminal_is_given_back(folder: Path, end: bytes | None, code: int) -> None:
    """By a key, by Ctrl-C, which is a signal there, and by SIGTERM."""
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        [sys.executable, "-c", WATCH, folder],
        stdin=theirs,
        stdout=theirs,
        preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),
        start_new_session=True,
    )
    try:
        shown = b""

        def shows(words: bytes) -> bool:
            nonlocal shown
            if select.select([ours], [], [], 0.1)[0]:
                shown += os.read(ours, 10000)
            return words in shown

        assert comes_true(lambda: shows(b"service ports without traffic: "))
        assert shown.startswith(b"\x1b[?1049h")
        assert termios.tcgetattr(theirs) != before
        if end:
            os.write(ours, end)
        else:
            process.terminate()
        assert comes_true(lambda: shows(b"\x1b[?1049l"))
        assert comes_true(lambda: process.poll() is not None)
        assert process.returncode == code
        assert termios.tcgetattr(theirs) == before
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def test_it_ends_when_nobody_is_there_any_more() -> None:
    """What a closed terminal gives is no key, and asks for nothing for ever."""
    reader, writer = os.pipe()
    os.close(writer)
    done = subprocess.run(
        [sys.executable, "-c", "from sluice.node import top; assert top._asked_to_end(60)"], stdin=reader, check=False
    )
    os.close(reader)
    assert done.returncode == 0
