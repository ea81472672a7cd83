"""Runs modules as Ansible does, on a node below a folder of the test's own whose kernel is a folder."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import folder_backend
import places
import pytest
from ansible.errors import AnsibleActionFail
from ansible.module_utils.testing import patch_module_args
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.connection.local import Connection
from ansible.template import Templar

PLUGINS = "ansible_collections.sluice.lb.plugins"
ENGINE = f"{PLUGINS}.module_utils.sluice"

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def node_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As that of the engine's tests, for the engine as modules import it; the one backend is a folder."""
    root = tmp_path / "node"
    places.place_below(root, monkeypatch, ENGINE)
    monkeypatch.setattr(folder_backend, "KERNEL", root / "kernel")
    registry = importlib.import_module(f"{ENGINE}.backends.registry")
    monkeypatch.setattr(registry, "BACKENDS", {"folder": folder_backend.BACKEND})
    return root


@pytest.fixture
def run(node_root: Path) -> Run:
    """What a module answers to arguments (``failed`` and ``msg`` where it fails), with its warnings as ``warned``.

    It runs in a process of its own.
    """

    def call(name: str, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
        module = importlib.import_module(f"{PLUGINS}.modules.{name}")
        given = {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}
        with open(node_root / "out", "w+") as out, open(node_root / "err", "w+") as err:
            pid = os.fork()
            if not pid:
                sys.stdout, sys.stderr = out, err
                with contextlib.suppress(SystemExit), patch_module_args(given):
                    module.main()
                out.flush()
                err.flush()
                os._exit(0)
            os.waitpid(pid, 0)
            for stream in (out, err):
                stream.seek(0)
                os.unlink(stream.name)
            return {**json.load(out), "warned": err.read()}

    return call


@pytest.fixture
def act(tmp_path: Path) -> Run:
    """What the action of a module answers, and as ``kept`` the arguments that callbacks get with that.

    It works in this process, as in Ansible's, where ``variables`` are the host's. Templates are in ``tmp_path``.
    """

    def call(name: str, *, check: bool = False, variables: Any = None, **arguments: Any) -> dict[str, Any]:
        action = importlib.import_module(f"{PLUGINS}.action.{name}").ActionModule
        loader = DataLoader()
        loader.set_basedir(str(tmp_path))
        task = Task()
        task.args, task.check_mode = arguments, check
        templar = Templar(loader, variables={})
        connection = Connection(PlayContext())
        try:
            asked = action(task, connection, PlayContext(), loader, templar, None)
            found: dict[str, Any] = asked.run(task_vars=variables or {})
        except AnsibleActionFail as error:
            return {"failed": True, "msg": str(error)}
        return {**found, "kept": task.args}

    return call
