"""The module node_facts says what the engine finds, and warns of what speaks against it."""

from __future__ import annotations

import os
from typing import Any

import pytest
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


def test_without_rights_it_says_what_to_do(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done = run("node_facts", backend="folder")
    assert (done["failed"], done["msg"]) == (True, "needs root on the node, and is user 1000: ansible_become: true")


def test_what_check_mode_cannot_know(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {**facts.facts("folder"), "missing_packages": ["ipset"], "package_lists": "none"}
    monkeypatch.setattr(facts, "facts", lambda *_asked: found)
    assert "ipset would be installed, if there are such packages" in run("node_facts", check=True)["warned"]
    assert "ipset" not in run("node_facts")["warned"]
