"""What operators drain is kept, whatever becomes of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.node import outage, state
from sluice.outages import NO_OUTAGES, Outages
from sluice.system.tools import NodeError

FILE = "drained.json"


@pytest.fixture(autouse=True)
def root(node_root: Path) -> Path:
    return Path(state.ROOT)


def test_it_is_kept_until_it_is_taken_back() -> None:
    assert outage.current() == NO_OUTAGES
    outage.set_drained(["fd00::1", "10.0.0.1"])
    assert outage.current() == Outages(frozenset(("10.0.0.1", "fd00::1")))
    assert outage.drained() == {"10.0.0.1", "fd00::1"}
    outage.set_drained([])
    assert outage.current() == NO_OUTAGES


@pytest.mark.parametrize("text", ["", "{", "[]]", '["10.0.0.1"', '["10.0.0.01"]', '["web"]', "3", '{"value": [1]}'])
def test_what_is_damaged_is_set_aside_and_nothing_is_drained(root: Path, text: str) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / FILE).write_text(text)
    assert outage.current() == NO_OUTAGES
    (line,) = outage.mend()
    assert line == f"{root}/{FILE} was damaged: it is set aside as {root}/{FILE}.damaged; nothing is drained any more"
    assert outage.mend() == []


def test_a_disk_that_takes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / FILE).mkdir()
    with pytest.raises(NodeError, match=r"nothing was changed$"):
        outage.set_drained(["10.0.0.1"])


def test_the_node_itself(root: Path) -> None:
    assert outage.set_node_drained(drained=True, check=True)
    assert not outage.node_is_drained()
    assert outage.set_node_drained(drained=True)
    assert not outage.set_node_drained(drained=True)
    assert outage.node_is_drained()
    assert outage.current() == NO_OUTAGES, "its rules stay"
    assert outage.set_node_drained(drained=False)
    assert list(root.iterdir()) == []
