"""Endpoints are drained by their addresses, and only those that there are."""

from __future__ import annotations

from pathlib import Path

import folder_backend
import pytest
from places import journal

from sluice.backends.interface import KernelChanged, Phase
from sluice.node import drain, outage, state
from sluice.node.origin import COMMAND, Origin
from sluice.system.tools import NodeError

ADDRESS = "192.0.2.1"


@pytest.fixture(autouse=True)
def _in_force(etc: Path, folder: Path) -> None:
    folder_backend.put_and_apply(etc, "web a\n", with_catalogue=True)


def test_a_word_is_kept() -> None:
    drain.drain([ADDRESS])
    assert outage.current().drained == {ADDRESS}
    drain.drain([ADDRESS])
    drain.undrain([ADDRESS])
    assert outage.current().drained == frozenset()


def test_check_keeps_nothing() -> None:
    drain.drain([ADDRESS], check=True)
    assert outage.current().drained == frozenset()


def test_the_node_itself(node_root: Path) -> None:
    before = journal(node_root)
    ops = Origin(COMMAND, "ops")
    assert drain.node(drained=True, check=True, origin=ops)
    assert not drain.node(drained=False, check=True, origin=ops)
    assert (outage.node_is_drained(), journal(node_root)) == (False, before)
    assert drain.node(drained=True, origin=ops)
    assert not drain.node(drained=True, check=True, origin=ops)
    assert not drain.node(drained=True, origin=ops)
    assert outage.node_is_drained()
    assert drain.node(drained=False, origin=ops)
    assert not outage.node_is_drained()
    said = [f"{word} of the node by ops (command)" for word in ("drain", "undrain")]
    assert journal(node_root) == [*before, *said]


@pytest.mark.parametrize("check", [False, True])
def test_what_is_not_there(check: bool) -> None:
    with pytest.raises(NodeError, match=r"^not an endpoint of this node's catalogue: 10.0.0.1; nothing was changed$"):
        drain.drain([ADDRESS, "10.0.0.1"], check=check)
    assert drain.undrain([ADDRESS], check=check).warnings == (f"{ADDRESS} was not drained",)
    assert outage.current().drained == frozenset()


def test_nothing_in_force(node_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "last", lambda: state.Last(0, {}, "", {}))
    outage.set_drained([ADDRESS])
    with pytest.raises(NodeError, match=r"^nothing of Sluice is in force on this node$"):
        drain.undrain([ADDRESS])


def test_a_kernel_that_refuses_leaves_it_as_it_was(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_look: folder_backend.FolderLook, _phase: Phase) -> None:
        raise KernelChanged("busy")

    monkeypatch.setattr(folder_backend.FolderLook, "send", refused)
    with pytest.raises(NodeError, match=r"^busy$"):
        drain.drain([ADDRESS])
    assert outage.current().drained == frozenset()
