"""The module confirm keeps the change that waits, and fails where it was taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import state


def wait() -> None:
    state.set_pending(state.Pending({}, 0, "change", 0.0, "", ""))


def test_nothing_waits(run: Any) -> None:
    done = run("confirm")
    assert (done["changed"], done["confirmed"]) == (False, False)


def test_a_change_is_kept(run: Any) -> None:
    wait()
    assert run("confirm", check=True)["confirmed"] is False
    assert state.waits()
    assert run("confirm")["confirmed"] is True
    assert not state.waits()


def test_a_change_that_was_taken_back(run: Any) -> None:
    state.set_note("it was not confirmed in time")
    done = run("confirm")
    assert done["failed"]
    assert done["msg"].endswith(": it was not confirmed in time")
    assert json.loads(Path(f"{state.ROOT}/rolled-back.json").read_text())["reason"]
