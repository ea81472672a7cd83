"""A process that goes on sees in its loop that it was asked to end."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator

import pytest

from sluice.system import signals


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_can_be_read_from(number: signal.Signals) -> None:
    with signals.until_ended() as ended:
        assert select.select([ended], [], [], 0)[0] == []
        os.kill(os.getpid(), number)
        assert select.select([ended], [], [], 60)[0] == [ended]
