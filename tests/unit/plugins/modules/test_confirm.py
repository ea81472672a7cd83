"""The module confirm keeps the change that waits, and fails where it was taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import pending, state
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system import linux


def wait() -> None:
    until = linux.uptime() + 3600
    pending.keep(pending.Pending({"settings.json": "{}"}, 0, "change", 0.0, "", "", until, linux.boot()))


def test_nothing_waits(run: Any) -> None:
    done = run("confirm")
    assert (done["changed"], done["confirmed"]) == (False, False)


def test_a_change_is_kept(run: Any) -> None:
    wait()
    assert run("confirm", check=True)["confirmed"] is False
    assert pending.exists()
    assert run("confirm")["confirmed"] is True
    assert not pending.exists()


def test_a_change_that_was_taken_back(run: Any) -> None:
    state.set_note("it was not confirmed in time")
    done = run("confirm")
    assert done["failed"]
    assert done["msg"].endswith(": it was not confirmed in time")
    assert json.loads(Path(f"{state.ROOT}/rolled-back.json").read_text())["reason"]
