"""The module render writes a node's files by their templates, in Ansible's own process, and says what they need."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support import catalogue, endpoint_slice, node, rendered, service

from sluice import render, settings
from sluice.catalogue import compiled

ROOT = Path(__file__).resolve().parents[4]
WEB = catalogue(service(), endpoint_slice("10.244.1.1"))
OWN = node()


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """The arguments of a task, and the templates of the roles that have such a task."""
    for role in ("iptables", "services"):
        shutil.copytree(ROOT / "roles" / role / "templates", tmp_path / "templates", dirs_exist_ok=True)
    (tmp_path / "catalogue.json").write_text(compiled.text(WEB))
    return {"catalogue": str(tmp_path / "catalogue.json"), "settings": settings.to_variables(OWN)}


def held(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_and_needs(act: Any, given: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert act("render", check=True, **given, path=str(out))["changed"] is True
    assert not out.exists()
    done = act("render", **given, path=str(out), kernel=[6, 1])
    assert (done["changed"], held(out)) == (True, rendered(WEB, OWN))
    needs = render.needs(render.views(WEB, OWN), OWN, (6, 1))
    assert done["needs"] == {"sysctls": needs.sysctls, "modules": needs.modules, "devices": []}
    (out / "ipvs.conf").write_text("of another backend")
    assert act("render", **given, path=str(out))["changed"] is True
    assert set(held(out)) == set(rendered(WEB, OWN))
    assert act("render", **given, path=str(out))["changed"] is False


def test_what_is_wrong_is_a_line(act: Any, given: dict[str, Any], tmp_path: Path) -> None:
    wrong = {**given, "settings": {"sluice_masquerade_bit": 99}}
    done = act("render", **wrong, path=str(tmp_path / "out"))
    assert done["msg"].endswith("sluice_masquerade_bit: must be a whole number from 0 to 31, is 99")
