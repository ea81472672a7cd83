"""The module render writes a node's files by their templates, in Ansible's own process, and says what they need."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.sluice.lb.plugins.action import render as action
from support import catalogue, endpoint, endpoint_slice, node, service

from sluice import render, settings
from sluice.catalogue import compiled

ROOT = Path(__file__).resolve().parents[4]
WEB = catalogue(service(), endpoint_slice("10.244.1.1"))
OWN = node(affinity_clients=5000)
FILES = render.render(render.views(WEB, OWN), OWN, compiled.text(WEB))


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
    assert (done["changed"], held(out)) == (True, FILES)
    needs = render.needs(render.views(WEB, OWN), OWN, (6, 1))
    assert done["needs"] == {
        "sysctls": needs.sysctls,
        "modules": needs.modules,
        "module_options": {"xt_recent": {"ip_list_tot": "5000"}},
        "devices": [],
    }
    (out / "ipvs.conf").write_text("of another backend")
    assert act("render", **given, path=str(out))["changed"] is True
    assert set(held(out)) == set(FILES)
    assert act("render", **given, path=str(out))["changed"] is False


@pytest.mark.parametrize(
    ("own", "variables", "warned"),
    [
        ({"nodeport_addresses": ["10.0.0.0/8"]}, {}, True),
        ({"nodeport_addresses": ["10.0.0.0/8"]}, {"sluice_node_addresses": ["10.0.0.1"]}, False),
        ({}, {}, False),
    ],
)
def test_addresses_that_only_the_node_knows(
    own: dict[str, Any], variables: dict[str, Any], warned: bool, act: Any, given: dict[str, Any], tmp_path: Path
) -> None:
    ports = [{"port": 80, "nodePort": 30080}]
    (tmp_path / "catalogue.json").write_text(compiled.text(catalogue(service(type="NodePort", ports=ports))))
    words = {**given, "settings": settings.to_variables(node(**own)), "path": str(tmp_path / "out")}
    done = act("render", variables=variables, **words)
    assert done.get("warnings", []) == ([action.UNASKED] if warned else [])
    assert "warnings" not in act("render", variables=variables, kernel=[6, 1], **words), "the node was asked"


def test_what_is_wrong_is_a_line(act: Any, given: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert act("render", **given, path=str(tmp_path / "file"))["msg"] == f"{tmp_path}/file: File exists"
    wrong = {**given, "settings": {"sluice_masquerade_bit": 99}}
    done = act("render", **wrong, path=str(tmp_path / "out"))
    assert done["msg"].endswith("sluice_masquerade_bit: must be a whole number from 0 to 31, is 99")


TEMPLATE = "{{ lookup('pipe', 'touch PLACE') }}{{ 9 * 'x7' }}{% set x = 1 %}{# gone #}"


def test_what_is_rendered_is_no_template(
    act: Any, given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Templates are the roles'. The text that they put in is not evaluated, whatever has got there."""
    text = "# " + TEMPLATE.replace("PLACE", str(tmp_path / "touched")) + "\n"
    rendered = action.files.sealed({"iptables.rules": text, "settings.json": json.dumps({"compat": text})})
    monkeypatch.setattr(action.render, "render", lambda *_: rendered)
    act("render", **given, path=str(tmp_path / "out"))
    assert held(tmp_path / "out") == rendered
    assert not (tmp_path / "touched").exists()


def test_templates_in_a_catalogue_are_text(act: Any, given: dict[str, Any], tmp_path: Path) -> None:
    """In names they are refused, and where text may be anything they get nowhere."""
    text = TEMPLATE.replace("PLACE", str(tmp_path / "touched"))
    path = str(tmp_path / "catalogue.json")
    web = service(annotations={"example.com/a": text, text: "b"}, labels={"a": text, text: "b"}, ports=[{"port": 80}])
    ends = endpoint_slice(endpoint("10.244.1.1", zones=[text]))
    for objects, valid in (([web, ends], True), ([web, service(text)], False), ([{"kind": text}], False)):
        done = act("catalogue", manifests=objects, path=path)
        assert done.get("failed", False) is not valid
        assert "x7x7" not in str(done)
    assert act("render", **given, path=str(tmp_path / "out"))["changed"]
    written = held(tmp_path / "out")
    assert written.pop("catalogue.json") == Path(path).read_text(), "a node is told what the labels are, as they are"
    assert "{{" not in "".join(written.values())
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("text", ["", "{}", '{"format":"sluice-catalogue-1","catalogue":[[],[],[]]}'])
def test_a_catalogue_that_is_none_is_a_line(text: str, act: Any, given: dict[str, Any]) -> None:
    path = Path(given["catalogue"])
    whole = path.read_text()
    for damaged in (text, whole[:-5], whole.replace("shop", "shoq")):
        path.write_text(damaged)
        done = act("render", **given)
        assert done["failed"]
        assert done["msg"].startswith(f"{path}: catalogue: ")
        assert len(done["msg"].splitlines()) == 1
