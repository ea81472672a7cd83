"""The files of a node: what they have to be, whose they are, and that a folder holds no others."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support import catalogue, endpoint_slice, node, rendered, service

from sluice.backends import registry
from sluice.node import files, state
from sluice.node.origin import SOMEBODY
from sluice.system.tools import NodeError

WEB = catalogue(service(), endpoint_slice("10.244.1.1"))
RULES, IPVS = rendered(WEB, node()), rendered(WEB, node(backend="ipvs"))


def test_what_is_put_is_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    files.put(str(folder), IPVS)
    (folder / "others").write_text("")
    found = files.load(str(folder))
    assert (found.contents, found.source, found.settings["backend"]) == (IPVS, str(folder), "ipvs")
    files.put(str(folder), RULES)
    assert sorted(path.name for path in folder.iterdir()) == ["iptables.rules", "others", "settings.json"]
    files.put(str(folder), {})
    assert [path.name for path in folder.iterdir()] == ["others"]


def test_layers_and_their_files() -> None:
    wanted = files.parse(IPVS)
    ipvs, iptables = registry.BACKENDS["ipvs"].layers
    assert wanted.layers == (ipvs, iptables)
    assert set(wanted.of(ipvs)) == {"ipset.conf", "ipvs.conf", "addresses"}
    assert set(wanted.of(iptables)) == {"iptables.rules"}
    assert files.parse(RULES).of(ipvs) == {}
    assert files.own({**IPVS, "other": ""}, iptables) == wanted.of(iptables)


def test_another_backend_than_the_files_say(tmp_path: Path) -> None:
    files.put(str(tmp_path), IPVS)
    assert set(files.load(str(tmp_path), "iptables").contents) == set(RULES)
    files.put(str(tmp_path), RULES)
    with pytest.raises(NodeError, match=rf"^{tmp_path}: there is no ipset.conf$"):
        files.load(str(tmp_path), "ipvs")


def test_files_of_another_family_are_not_wanted() -> None:
    assert files.parse({**RULES, "ip6tables.rules": ""}).contents == RULES
    both = rendered(WEB, node(ip_families=["IPv4", "IPv6"]))
    assert set(both) == {*RULES, "ip6tables.rules"}
    del both["ip6tables.rules"]
    with pytest.raises(NodeError, match=r"there is no ip6tables.rules"):
        files.parse(both)


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"backend": "iptables", "ip_families": 3}', ""])
def test_settings_that_are_none(text: str) -> None:
    with pytest.raises(NodeError, match=r"^here: not what Sluice wrote: "):
        files.parse({files.SETTINGS_FILE: text}, "here")


def test_unknown_backend() -> None:
    with pytest.raises(NodeError, match=r"^files: there is no backend nobody$"):
        files.parse({files.SETTINGS_FILE: '{"backend": "nobody"}'})


def test_what_is_missing_or_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=rf"^{tmp_path}: there is no settings.json$"):
        files.load(str(tmp_path))
    (tmp_path / "iptables.rules").write_bytes(b"\xff")
    with pytest.raises(NodeError, match=rf"^{tmp_path}/iptables.rules: "):
        files.load(str(tmp_path))


def test_nothing_is_no_backend_and_no_files() -> None:
    wanted = files.of_nothing()
    assert (wanted.layers, set(wanted.contents)) == ((), {files.SETTINGS_FILE})
    assert all(wanted.of(layer) == {} for layer in registry.layers())


def test_settings_are_those_that_an_apply_needs() -> None:
    written = json.loads(files.settings_text(node(ipvs_drain_seconds=7, masquerade_all=True)._asdict()))
    assert {*files.nothing(), "compat", "confirm_timeout"} <= set(written)
    assert (written["ipvs_drain_seconds"], written["masquerade_all"]) == (7, True)
    assert "repair_seconds" not in written, "it makes no difference to a file"


def test_files_are_to_blame_for_their_text() -> None:
    wanted = files.parse(RULES, "/etc/sluice")
    with pytest.raises(NodeError, match=r"^/etc/sluice: not what Sluice wrote: line 1$"), wanted.reading():
        raise ValueError("line 1")
    with pytest.raises(NodeError, match=r"^busy$"), wanted.reading():
        raise NodeError("busy")


def test_files_carry_the_proof_that_they_are_whole(tmp_path: Path) -> None:
    """Any byte that is another one, or is missing, is seen, and said of the file."""
    files.put(str(tmp_path), IPVS)
    for name, text in IPVS.items():
        path = tmp_path / name
        for cut in {0, 1, len(text) // 2, len(text) - 1}:
            for edited in (text[:cut], text[:cut] + chr(ord(text[cut : cut + 1] or "a") ^ 1) + text[cut + 1 :]):
                if edited.rstrip() != text.rstrip():
                    path.write_text(edited)
                    with pytest.raises(NodeError, match=name if name != files.SETTINGS_FILE else str(tmp_path)):
                        files.load(str(tmp_path))
        path.write_text(text)
    assert files.load(str(tmp_path)).contents == IPVS


def test_all_files_that_are_not_whole_are_named(tmp_path: Path) -> None:
    files.put(str(tmp_path), IPVS)
    (tmp_path / "ipvs.conf").write_text("")
    (tmp_path / "addresses").write_text("10.96.0.2/32\n")
    with pytest.raises(NodeError) as caught:
        files.load(str(tmp_path))
    assert str(caught.value).split("; ") == [
        f"{tmp_path}/ipvs.conf is empty",
        f"{tmp_path}/addresses is cut off or was edited by hand (13 bytes): --force takes the files as they are",
    ]
    assert files.load(str(tmp_path), force=True).contents["ipvs.conf"] == ""


def test_settings_that_name_no_backend_are_none_even_by_force(tmp_path: Path) -> None:
    files.put(str(tmp_path), {**RULES, files.SETTINGS_FILE: "{}"})
    with pytest.raises(NodeError, match=r"settings.json names no backend$"):
        files.load(str(tmp_path), force=True)


@pytest.mark.usefixtures("node_root")
def test_files_of_an_earlier_version(tmp_path: Path) -> None:
    """They have no proof; those that it applied are whole."""
    fields = json.loads(files.without_proof(RULES[files.SETTINGS_FILE]))
    older = {**RULES, files.SETTINGS_FILE: json.dumps(fields)}
    files.put(str(tmp_path), older)
    with pytest.raises(NodeError, match=r"settings.json is cut off, or was edited by hand: --force"):
        files.load(str(tmp_path))
    state.keep(state.prepare(older, state.digest(older), 0, SOMEBODY), SOMEBODY)
    assert files.load(str(tmp_path)).contents == older


def test_what_proves_it_is_no_setting() -> None:
    text = RULES[files.SETTINGS_FILE]
    assert files.sealed({**RULES, files.SETTINGS_FILE: files.without_proof(text)}) == RULES
    assert set(json.loads(text)) - set(json.loads(files.without_proof(text))) == {"files", "sha256"}
    assert files.without_proof("[") == "["


def test_a_file_that_is_none_keeps_nobody_waiting(tmp_path: Path) -> None:
    files.put(str(tmp_path), RULES)
    (tmp_path / "iptables.rules").unlink()
    os.mkfifo(tmp_path / "iptables.rules")
    with pytest.raises(NodeError, match=r"iptables.rules: not a file$"):
        files.load(str(tmp_path))
