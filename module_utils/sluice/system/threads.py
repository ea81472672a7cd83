"""Work beside other work. It pays where one of the two waits for the kernel, a tool or a disk."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

Answer = TypeVar("Answer")


@contextlib.contextmanager
def beside(work: Callable[[], Answer]) -> Iterator[Callable[[], Answer]]:
    """Start ``work`` in a thread. What is given waits for its end, and returns or raises what it did.

    Whoever leaves the context waits as well.
    """
    answers: list[Answer] = []
    faults: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(work())
        except BaseException as fault:  # the one who waits has to hear of it, whatever it is
            faults.append(fault)

    def wait() -> Answer:
        if thread.ident:
            thread.join()
        if faults:
            raise faults[0]
        return answers[0]

    thread = threading.Thread(target=run)
    try:
        thread.start()
    except RuntimeError:  # there may be no more threads: then it is done first
        run()
    try:
        yield wait
    finally:
        if thread.ident:
            thread.join()
