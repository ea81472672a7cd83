"""What checks say is believed for as long as it is asked for, and what is down is known to whoever comes next."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.health.reasons import Reason, State
from sluice.node import verdicts
from sluice.node.verdicts import Verdict, Verdicts
from sluice.system import linux

ONE, TWO = ("10.1.0.1", 80, "{}"), ("fd00::1", 80, "{}")


@pytest.fixture(autouse=True)
def _root(node_root: Path) -> None:
    """Nothing is kept yet."""


def asking(*checks: tuple[str, int, str]) -> Verdicts:
    found = Verdicts()
    found.ask_for(checks)
    return found


def test_only_what_is_asked_for_is_known() -> None:
    found = asking(ONE)
    assert found.known == {ONE: Verdict()}
    assert not found.take(TWO, State.DOWN, Reason.REFUSED, 1, 5.0)
    assert not found.take(ONE, State.UNKNOWN, Reason.NOT_YET, 0, 5.0)
    assert found.down == frozenset()


def test_what_changes_and_since_when() -> None:
    found = asking(ONE, TWO)
    assert not found.take(ONE, State.UP, Reason.FINE, 2, 10.0), "it served before"
    assert found.take(ONE, State.DOWN, Reason.REFUSED, 3, 20.0)
    assert not found.take(ONE, State.DOWN, Reason.TIMEOUT, 4, 30.0)
    assert found.known[ONE] == Verdict(State.DOWN, Reason.TIMEOUT, 20.0, 4)
    assert found.down == {ONE}
    assert found.take(ONE, State.UP, Reason.FINE, 5, 40.0)
    assert found.known[ONE].since == 40.0
    assert found.changes == {State.DOWN: 1, State.UP: 1}


def test_what_is_down_outlives_the_process() -> None:
    found = asking(ONE, TWO)
    found.take(ONE, State.DOWN, Reason.REFUSED, 3, 20.0)
    found.take(TWO, State.UP, Reason.FINE, 3, 20.0)
    found.keep()
    later = Verdicts()
    assert later.known == {ONE: Verdict(State.DOWN, Reason.REFUSED, 20.0)}
    assert not later.ask_for([ONE, TWO])
    assert later.down == {ONE}
    assert later.ask_for([TWO]), "it was down, and nobody asks any more"
    later.keep()
    assert not Path(verdicts.FILE).exists()


def test_of_another_boot_nothing_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asking(ONE)
    found.take(ONE, State.DOWN, Reason.REFUSED, 3, 20.0)
    found.keep()
    monkeypatch.setattr(linux, "boot", lambda: "another")
    assert Verdicts().known == {}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"boot": "x", "down": [1]}', '{"boot": "x", "down": [["a", 1, "q", 999, 1.0]]}',
     '{"boot": "x", "down": [["a", true, "q", 1, 1.0]]}'],
)  # fmt: skip
def test_what_is_damaged_counts_as_nothing(text: str) -> None:
    path = Path(verdicts.FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert verdicts.kept_down() == {}
