"""The module apply brings files to their place and the kernel to them, and its action sends only what differs."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import folder_backend
import pytest
import support
from ansible_collections.sluice.lb.plugins.action import apply as action
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import state
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node.origin import Origin
from places import journal

from sluice.catalogue import compiled
from sluice.node import delivery, files


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    return tmp_path / "etc"


def put(folder: Path, text: str, more: dict[str, str] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    contents = {"settings.json": json.dumps({"backend": "folder"}), folder_backend.FILE: text, **(more or {})}
    for name, sealed in files.sealed(contents).items():
        (folder / name).write_text(sealed)
    return folder


def of(*objects: dict[str, Any]) -> dict[str, str]:
    """The file of the catalogue of ``objects``."""
    return {files.CATALOGUE_FILE: compiled.text(support.catalogue(*objects))}


def held() -> dict[str, str]:
    return {path.name: path.read_text() for path in folder_backend.KERNEL.glob("*")}


def test_files_that_are_on_the_node(run: Any, etc: Path) -> None:
    put(etc, "web a\n")
    predicted = run("apply", path=str(etc), check=True)
    assert (held(), predicted["changed"], predicted["differences"]) == ({}, True, ["add folder web", "  + a"])
    assert predicted["diff"] == []
    predicted = run("apply", path=str(etc), check=True, diff_rules=9)
    done = run("apply", path=str(etc), diff_rules=9)
    assert (held(), done["changed"], done["counts"]["added"]) == ({"web": "a\n"}, True, 1)
    assert done["diff"] == predicted["diff"] == [{"prepared": "add folder web\n  + a\n"}]
    again = run("apply", path=str(etc))
    assert (again["changed"], again["pending"]) == (False, False)


def test_by_service_before_rules(run: Any, etc: Path) -> None:
    """Rules where they are asked for: by a number of lines, or by -v."""
    ends = "10.0.0.1", "10.0.0.2"
    for end in ends:
        put(etc, f"web {end}\n", of(support.service(), support.endpoint_slice(end)))
        done = run("apply", path=str(etc))
    services = ["shop/web: + 10.0.0.2:8080, - 10.0.0.1:8080"]
    assert (done["backend"], done["generation"], done["services"]) == ("folder", 2, services)
    assert done["diff"] == [{"prepared": f"{services[0]}\n"}]
    put(etc, f"web {ends[0]}\n", of(support.service(), support.endpoint_slice(ends[0])))
    back = "shop/web: + 10.0.0.1:8080, - 10.0.0.2:8080\n"
    for more, rules in (
        ({"diff_rules": 2}, "change folder web\n  - 10.0.0.2\n… and 1 more, which -v shows\n"),
        ({"_ansible_verbosity": 1}, "change folder web\n  - 10.0.0.2\n  + 10.0.0.1\n"),
    ):
        shown = run("apply", path=str(etc), check=True, **more)
        assert (shown["diff"], shown["generation"]) == ([{"prepared": back}, {"prepared": rules}], 2)


def test_drift_is_said(run: Any, etc: Path) -> None:
    put(etc, "web a\n", of(support.service()))
    run("apply", path=str(etc))
    (folder_backend.KERNEL / "web").write_text("b\n")
    done = run("apply", path=str(etc))
    assert (done["services"], done["changed"]) == ([], True)
    assert done["diff"] == [{"prepared": "drift: the catalogue is the same, the kernel's rules are not\n"}]


def test_what_the_node_lacks_is_asked_for(run: Any, etc: Path, tmp_path: Path) -> None:
    """The first call names it, the second one has it."""
    put(etc, "web a\n")
    source = put(tmp_path / "sent", "web b\n")
    asked = action.checksums(str(source))
    first = run("apply", path=str(etc), checksums=asked)
    assert (first["changed"], set(first["lacking"]), held()) == (False, {folder_backend.FILE, "settings.json"}, {})
    second = run("apply", path=str(etc), checksums=asked, source=str(source))
    assert (second["changed"], held()) == (True, {"web": "b\n"})
    assert (etc / folder_backend.FILE).read_text() == "web b\n"
    assert "lacking" not in run("apply", path=str(etc), checksums=asked)


def test_files_that_change_meanwhile(run: Any, etc: Path, tmp_path: Path) -> None:
    asked = action.checksums(str(put(tmp_path / "sent", "web b\n")))
    put(tmp_path / "sent", "web c\n")
    done = run("apply", path=str(etc), checksums=asked, source=str(tmp_path / "sent"))
    assert done["failed"]
    assert done["msg"] == f"{etc} has changed while it was compared: {folder_backend.FILE}, settings.json"


def test_files_that_were_edited(run: Any, etc: Path) -> None:
    put(etc, "web a\n")
    (etc / folder_backend.FILE).write_text("web b\n")
    done = run("apply", path=str(etc))
    assert done["failed"]
    assert done["msg"].endswith("cut off or was edited by hand (6 bytes): --force takes the files as they are")
    assert run("apply", path=str(etc), force=True)["changed"]
    assert held() == {"web": "b\n"}


def test_removal(run: Any, etc: Path) -> None:
    put(etc, "web a\n")
    run("apply", path=str(etc))
    assert run("apply", state="absent", check=True)["differences"] == ["remove folder web", "  - a"]
    assert run("apply", state="absent")["changed"]
    assert held() == {}
    assert not run("apply", state="absent")["changed"]


def test_the_generation_before(run: Any, etc: Path) -> None:
    for text in ("web a\n", "web b\n"):
        put(etc, text)
        run("apply", path=str(etc))
    predicted = run("apply", path=str(etc), state="previous", check=True)
    done = run("apply", path=str(etc), state="previous")
    assert done["changed"]
    assert done["msg"] == predicted["msg"]
    assert re.fullmatch(r"back to generation 1 of 20..-..-.. ..:.. UTC \(by \S+, ansible\)", done["msg"])
    assert (held(), (etc / folder_backend.FILE).read_text()) == ({"web": "a\n"}, "web a\n")
    done = run("apply", path=str(etc), state="previous")
    assert done["failed"]
    assert done["msg"] == "there is no earlier generation to go back to: kept are 1, 2, in force is 1"


def test_a_generation_by_its_number(run: Any, etc: Path) -> None:
    for text in ("web a\n", "web b\n", "web c\n"):
        put(etc, text)
        run("apply", path=str(etc))
    assert run("apply", path=str(etc), state="previous", generation=1)["changed"]
    assert held() == {"web": "a\n"}
    again = run("apply", path=str(etc), state="previous", generation=1)
    assert (again["changed"], again["msg"][:20]) == (False, "back to generation 1")
    for number, line in (
        (4, "there is no generation 4: kept are 1, 2, 3, in force is 1"),
        (0, "there is no generation 0"),
    ):
        done = run("apply", path=str(etc), state="previous", generation=number)
        assert done["failed"]
        assert done["msg"].startswith(line)


def test_who_asked_is_kept(run: Any, etc: Path, node_root: Path) -> None:
    """As the action hands it over: the controller's user and the inventory's name of the node."""
    by = {"user": "ops", "node": "lb1"}
    for text in ("web a\n", "web b\n"):
        put(etc, text)
        run("apply", path=str(etc), origin=by)
    assert state.in_force().origin == Origin("ansible", "ops", "lb1")
    run("apply", path=str(etc), state="previous", check=True, origin=by)
    run("apply", path=str(etc), state="previous", origin=by)
    assert state.in_force().origin == Origin("rollback", "ops", "lb1")
    assert [line.partition(":")[0] for line in journal(node_root)] == [
        "apply by ops (ansible)",
        "apply by ops (ansible)",
        "rollback by ops",
    ]


def test_what_cannot_be_done_is_one_line(run: Any, etc: Path) -> None:
    assert run("apply", path=str(etc))["msg"] == f"{etc}: there is no settings.json"
    put(etc, "web a\n")
    done = run("apply", path=str(etc), confirm_timeout=30)
    assert "is not installed, so nothing could take an unconfirmed change back" in done["msg"]
    assert held() == {}


def test_checksums_are_of_each_file(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).write_text(name)
    assert action.checksums(str(tmp_path)) == {name: hashlib.sha256(name.encode()).hexdigest() for name in "ab"}


def test_the_node_finds_files_by_these_checksums(tmp_path: Path) -> None:
    (tmp_path / "iptables.rules").write_text("*nat\nCOMMIT\n")
    (tmp_path / "addresses").write_text("")
    found = action.checksums(str(tmp_path))
    assert list(found) == ["addresses", "iptables.rules"]
    contents = {"addresses": "", "iptables.rules": "*nat\nCOMMIT\n"}
    assert delivery.gather(found, [str(tmp_path)]) == (contents, [])


def test_a_source_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        action.checksums(str(tmp_path / "nowhere"))


def test_a_difference_is_shown_once_a_run(tmp_path: Path) -> None:
    one, other = [{"prepared": "a\n"}], [{"prepared": "b\n"}]
    assert action.once(one, "lb1", str(tmp_path)) == one
    assert action.once(one, "lb2", str(tmp_path)) == [{"prepared": "the same as on lb1\n"}]
    assert action.once(other, "lb2", str(tmp_path)) == other
    assert action.once(one, "lb1", str(tmp_path)) == one, "a host is not told of itself"
    assert action.once(one, "lb2", str(tmp_path / "missing")) == one
