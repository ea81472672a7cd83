"""The module node_facts says what the engine finds, and warns of what speaks against it."""

from __future__ import annotations

from typing import Any

from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import facts, state


def test_facts(run: Any) -> None:
    done = run("node_facts", backend="folder")
    assert not done["changed"]
    assert done["node"] == facts.facts("folder")
    assert done["node"]["missing_packages"] == []
    assert "taken back" not in done["warned"]


def test_warnings(run: Any) -> None:
    state.set_note("because")
    assert "the last change was taken back by the node at" in run("node_facts", backend="folder")["warned"]
