"""What a command or a role was given, to one catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import support
import yaml

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


def test_nothing_is_missing_where_not_all_could_be_read(tmp_path: Path) -> None:
    """A file or a host that is wrong is a line; what it may have held is not looked for in vain by all others."""
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    objects = [
        *(support.service("web", selector={"app": "web"}), support.endpoint_slice("10.1.0.1", of="gone")),
        *(
            support.service("dns", ip="10.96.0.2"),
            support.endpoint_slice("10.1.0.1", of="dns", ports=[{"name": "x", "port": 53}]),
        ),
    ]
    good.write_text(yaml.safe_dump_all(objects))
    checks = render.checks_for([])._replace(inventory=True)

    def said(hosts: list[dict[str, Any]]) -> list[str]:
        try:
            return [fault.message for fault in sources.catalogue_of(sources.read([str(tmp_path)]), hosts, checks)[1]]
        except InputError as error:
            return [fault.message for fault in error.faults]

    bad.write_text("")
    assert len(said([])) == 3
    (wrong,) = said([{"name": "a", "labels": ["app"], "endpoint_ip": "10.1.0.2"}])
    assert wrong.startswith("must be a mapping")
    bad.write_text("a: [\n")
    assert len(said([])) == 1


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
