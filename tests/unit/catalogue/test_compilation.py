"""A catalogue is compiled once, and kept as long as nothing that went in changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from support import endpoint_slice, service

from sluice.catalogue import compilation, sources
from sluice.catalogue.checks import Checks
from sluice.faults import InputError

WEB = [service(selector={"app": "web"}), endpoint_slice("10.244.1.1", "10.244.1.2")]
MANIFEST = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIP: 10.96.0.9, ports: [{port: 80}]}\n"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "services.yml"
    path.write_text(MANIFEST)
    return path


def compiled(paths: list[Path], target: Path, **more: Any) -> compilation.Compiled:
    return compilation.compile_catalogue([str(path) for path in paths], str(target), **more)


def test_what_is_counted_and_written(tmp_path: Path, manifest: Path) -> None:
    target = tmp_path / "out" / "catalogue.json"
    done = compiled([manifest], target, manifests=WEB)
    assert done == compilation.Compiled(services=2, endpoints=2, warnings=[])
    assert [each.full_name for each in sources.compiled(str(target)).services] == ["default/a", "shop/web"]


def test_nothing_is_done_again_until_something_changes(tmp_path: Path, manifest: Path) -> None:
    target = tmp_path / "catalogue.json"

    def again(**more: Any) -> bool:
        os.utime(target, ns=(1, 1))
        done = compiled([manifest], target, **more)
        assert done == compiled([manifest], target, **more), "kept as it was reported"
        return target.stat().st_mtime_ns != 1

    compiled([manifest], target)
    assert not again()
    assert again(manifests=WEB)
    assert again(hosts=[{"name": "a", "endpoint_ip": "10.0.0.1"}])
    assert again(checks=Checks(service_cidrs=("10.0.0.0/8",)))
    compiled([manifest], target)
    manifest.write_text(MANIFEST.replace("80", "81"))
    assert again()
    target.unlink()
    compiled([manifest], target)
    assert target.exists()


def test_warnings_are_kept(tmp_path: Path, manifest: Path) -> None:
    checks = Checks(service_cidrs=("10.97.0.0/16",))
    first = compiled([manifest], tmp_path / "catalogue.json", checks=checks)
    assert "10.96.0.9 is not in sluice_service_cidrs" in str(first.warnings[0])
    assert compiled([manifest], tmp_path / "catalogue.json", checks=checks) == first


def test_faults_leave_what_there_was(tmp_path: Path, manifest: Path) -> None:
    target = tmp_path / "catalogue.json"
    compiled([manifest], target)
    before = target.read_text()
    manifest.write_text(MANIFEST.replace("80", "0"))
    with pytest.raises(InputError, match="0 is not in 1-65535"):
        compiled([manifest], target)
    assert target.read_text() == before


def test_a_path_may_be_missing_where_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        compiled([tmp_path / "missing"], tmp_path / "catalogue.json")
    assert compiled([tmp_path / "missing"], tmp_path / "catalogue.json", optional=True).services == 0
