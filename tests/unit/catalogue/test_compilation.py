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
    assert done == compilation.Compiled(services=2, idle=0, endpoints=2, not_ready=0, warnings=[])
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


def test_what_is_damaged_is_compiled_anew(tmp_path: Path, manifest: Path) -> None:
    """Whatever is in either file, what is there afterwards is what a first run makes."""
    target = tmp_path / "catalogue.json"
    key = tmp_path / "catalogue.json.key"
    first = compiled([manifest], target)
    right = {path: path.read_text() for path in (target, key)}
    for path, text in right.items():
        damages = [text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :] for place in range(0, len(text), 7)]
        for damaged in (*damages, "", "{}", "[]", "null", "[" * 100_000, text[:-1], f"{text}x"):
            path.write_text(damaged)
            assert compiled([manifest], target) == first
            assert {each: each.read_text() for each in right} == right
        path.write_bytes(b"\xff")
        assert compiled([manifest], target) == first
        path.unlink()
        os.mkfifo(path)
        assert compiled([manifest], target) == first
        assert {each: each.read_text() for each in right} == right


def test_a_sound_one_of_other_contents_is_not_kept(tmp_path: Path, manifest: Path) -> None:
    """The key says what went in, and of what came out it has the digest."""
    target, other = tmp_path / "catalogue.json", tmp_path / "other.json"
    compiled([manifest], target)
    compiled([manifest], other, manifests=WEB)
    target.write_text(other.read_text())
    assert compiled([manifest], target).services == 1
    assert len(sources.compiled(str(target)).services) == 1


@pytest.mark.usefixtures("needs_root")
def test_what_somebody_else_has_written_is_compiled_anew(tmp_path: Path, manifest: Path) -> None:
    target = tmp_path / "catalogue.json"
    compiled([manifest], target)
    for spoil in (lambda: os.chown(target, 65534, 65534), lambda: target.chmod(0o666)):
        spoil()
        os.utime(target, ns=(1, 1))
        compiled([manifest], target)
        assert (target.stat().st_uid, target.stat().st_mode & 0o777) == (0, 0o644)
        assert target.stat().st_mtime_ns != 1


def test_the_folder_is_its_owner_s(tmp_path: Path, manifest: Path) -> None:
    """Also where the umask would have others write into it; one that is there stays as it is, and is refused."""
    target = tmp_path / "deep" / "er" / "catalogue.json"
    before = os.umask(0)
    try:
        compiled([manifest], target)
    finally:
        os.umask(before)
    assert target.parent.stat().st_mode & 0o777 == 0o755
    target.parent.chmod(0o775)
    with pytest.raises(InputError, match=r"catalogue: its folder \S+ may be written by others \(mode 775\)$"):
        compiled([manifest], target)


def test_a_catalogue_without_services_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    done = compiled([tmp_path / "services"], tmp_path / "catalogue.json")
    assert list(map(str, done.warnings)) == [
        f"catalogue: warning: no Services in {tmp_path}/services: there is nothing to program",
    ]
    assert "no Services in sluice_manifests" in str(compiled([], tmp_path / "catalogue.json").warnings)


def test_keys_of_all_kinds(tmp_path: Path) -> None:
    """YAML has mappings with numbers beside text."""
    with pytest.raises(InputError, match="must be text"):
        compiled([], tmp_path / "catalogue.json", manifests=[service(labels={80: "a", "b": "c"})])


def test_an_empty_folder_gives_no_address_back(tmp_path: Path) -> None:
    """Its files may be somewhere else by mistake; without one Service of several, that one's are free."""
    services, kept = tmp_path / "services", tmp_path / "allocations.yml"
    services.mkdir()
    for name in ("a", "b"):
        (services / f"{name}.yml").write_text(
            MANIFEST.replace("name: a", f"name: {name}").replace("clusterIP: 10.96.0.9, ", "")
        )

    def given() -> list[str]:
        compiled([services], tmp_path / "catalogue.json", allocations=str(kept))
        return [line.partition(":")[0] for line in kept.read_text().splitlines() if not line.startswith("#")]

    assert given() == ["default/a", "default/b"]
    (services / "b.yml").rename(services / "b.yam")
    assert given() == ["default/a"]
    (services / "a.yml").rename(services / "a.yam")
    assert given() == ["default/a"]
