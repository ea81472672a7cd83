"""The module confirm keeps the change that waits, and fails where it was taken back; its action says who confirms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import pending, state
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system import linux
from places import journal


def wait() -> None:
    until = linux.uptime() + 3600
    pending.keep(pending.Pending({"settings.json": "{}"}, 0, "change", 0.0, "", "", until, linux.boot()))


def test_nothing_waits(run: Any) -> None:
    done = run("confirm")
    assert (done["changed"], done["confirmed"]) == (False, False)


def test_a_change_is_kept(run: Any, node_root: Path) -> None:
    wait()
    assert run("confirm", check=True)["confirmed"] is False
    assert pending.exists()
    assert run("confirm", origin={"user": "ops", "node": "lb1"})["confirmed"] is True
    assert not pending.exists()
    assert journal(node_root) == ["confirm by ops (ansible): generation 0"]


def test_a_change_that_was_taken_back(run: Any) -> None:
    state.set_note("it was not confirmed in time")
    done = run("confirm")
    assert done["failed"]
    assert done["msg"].endswith(": it was not confirmed in time")
    assert json.loads(Path(f"{state.ROOT}/rolled-back.json").read_text())["reason"]


@pytest.mark.parametrize("name", ["apply", "confirm", "drain"])
def test_the_action_says_who_runs_the_play(act: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []

    def execute(_action: object, module_args: dict[str, Any], **_more: object) -> dict[str, Any]:
        sent.append(module_args)
        return {"changed": False}

    monkeypatch.setattr(ActionBase, "_execute_module", execute)
    monkeypatch.setenv("SUDO_USER", "ops")
    act(name)
    assert sent == [{"origin": {"user": "ops", "node": ""}}]
