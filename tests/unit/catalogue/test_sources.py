"""What a command or a role was given, to one catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluice import render
from sluice.catalogue import compiled, model, sources
from sluice.faults import InputError


@pytest.mark.parametrize("hosts", ["abc", {"a": 1}, 3, [None]])
def test_inventory_hosts_that_are_no_list(hosts: Any) -> None:
    with pytest.raises(InputError):
        sources.catalogue_of(sources.read([]), hosts, render.checks_for([]))


def test_a_compiled_catalogue_is_known(tmp_path: Path) -> None:
    kept, other = tmp_path / "catalogue.json", tmp_path / "other.json"
    kept.write_text(compiled.text(model.Catalogue()))
    other.write_text("{}")
    assert sources.compiled(str(kept)) == sources.compiled_in(str(kept)) == model.Catalogue()
    kept.rename(tmp_path / "catalogue.yml")
    for path in (other, tmp_path / "catalogue.yml", tmp_path / "missing.json", tmp_path):
        assert sources.compiled_in(str(path)) is None
    with pytest.raises(InputError, match=r"other.json: catalogue: there is no compiled catalogue in it"):
        sources.compiled(str(other))


def test_faults_of_all_sources_come_together(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text("a: [\n")
    read = sources.read([str(bad), str(tmp_path / "missing")], [{"kind": "Service"}])
    with pytest.raises(InputError) as caught:
        sources.catalogue_of(read, [{"name": "a"}])
    assert [fault.file for fault in caught.value.faults] == [
        str(tmp_path / "missing"),
        str(bad),
        "inventory",
        "sluice_manifests[0]",
    ]


def test_a_compiled_catalogue_that_may_be_another_s_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.json"
    path.write_text(compiled.text(model.Catalogue()))
    path.chmod(0o622)
    for call in (sources.compiled, sources.compiled_in):
        with pytest.raises(InputError, match=r"catalogue.json: catalogue: it may be written by others \(mode 622\)$"):
            call(str(path))
    path.write_text(path.read_text()[:-3])
    path.chmod(0o600)
    for call in (sources.compiled, sources.compiled_in):
        with pytest.raises(InputError, match=r"catalogue.json: catalogue: it is damaged$"):
            call(str(path))


def test_a_catalogue_without_services() -> None:
    (warning,) = sources.emptiness(model.Catalogue(), ["a", "b"])
    assert str(warning) == "catalogue: warning: no Services in a, b: there is nothing to program"
    pod = model.HostPort("shop", "a", "b", "node1", "TCP", "", 80, ("10.244.0.1",), 80)
    assert sources.emptiness(model.Catalogue(host_ports=(pod,)), ["a"]) == []
