"""Work in a thread: its answer or its fault reaches whoever asks, and nobody leaves before it has ended."""

from __future__ import annotations

import threading

import pytest

from sluice.system.threads import beside


def test_both_go_on_at_once() -> None:
    """Each waits for the other: one after the other they would never end."""
    here, there = threading.Event(), threading.Event()

    def work() -> str:
        there.set()
        assert here.wait(60)
        return "done"

    with beside(work) as answer:
        assert there.wait(60)
        here.set()
        assert answer() == "done"
        assert answer() == "done"


def test_a_fault_is_raised_where_it_is_asked_for() -> None:
    def work() -> None:
        raise OSError("no space")

    with beside(work) as answer, pytest.raises(OSError, match="no space"):
        answer()
    with beside(work):
        pass  # nobody asks


def test_nobody_leaves_before_the_end() -> None:
    go, done = threading.Event(), []

    def work() -> None:
        assert go.wait(60)
        done.append(True)

    with pytest.raises(ValueError, match="ours"), beside(work):
        go.set()
        raise ValueError("ours")
    assert done == [True]


def test_without_a_thread_it_is_done_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with beside(lambda: 7) as answer:
        assert answer() == 7
    with pytest.raises(ZeroDivisionError), beside(lambda: 1 // 0) as answer:
        answer()
