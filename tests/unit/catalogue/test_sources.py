"""What a command or a role was given, to one catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluice import render
from sluice.catalogue import model, sources
from sluice.faults import InputError


@pytest.mark.parametrize("hosts", ["abc", {"a": 1}, 3, [None]])
def test_inventory_hosts_that_are_no_list(hosts: Any) -> None:
    with pytest.raises(InputError):
        sources.catalogue_of(sources.read([]), hosts, render.checks_for([]))


def test_a_compiled_catalogue_is_known(tmp_path: Path) -> None:
    kept, other = tmp_path / "catalogue.json", tmp_path / "other.json"
    kept.write_text(model.compiled(model.Catalogue()))
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
