"""The module report_facts answers what the engine finds, as text that is small; its action keeps that in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.sluice.lb.plugins.action import report_facts as action
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system import tools

from sluice.fleet import states


def test_what_a_node_tells(run: Any, node_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "PATH", str(node_root / "bin"))  # no tool that prints this machine's rules
    etc = node_root / "etc"
    etc.mkdir()
    (etc / "settings.json").write_text('{"backend": "folder"}')
    done = run("report_facts", path=str(etc), check=True)
    assert done["changed"] is False
    found = states.unpacked("lb1", done["packed"])
    assert found.told
    assert found.told["status"]["backend"] == "folder"


def test_a_node_without_sluice(run: Any, tmp_path: Path) -> None:
    done = run("report_facts", path=str(tmp_path))
    assert (done["failed"], "was given no Services" in done["msg"]) == (True, True)


def test_it_is_kept_out_of_variables(act: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[dict[str, Any]] = [{"changed": False, "packed": "abc"}, {"failed": True, "msg": "no"}]
    monkeypatch.setattr(action.ActionModule, "_execute_module", lambda *_self, **_given: answers.pop(0))
    done = act("report_facts")
    assert "packed" not in done
    assert Path(done["file"]).read_text() == "abc"
    Path(done["file"]).unlink()
    assert "file" not in act("report_facts")
