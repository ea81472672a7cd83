"""The module catalogue compiles in Ansible's own process, and reports all that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.sluice.lb.plugins.action import catalogue as action
from support import NODE, endpoint_slice, service

from sluice.catalogue import sources


def test_a_catalogue_is_compiled(act: Any, tmp_path: Path) -> None:
    path = tmp_path / "out" / "catalogue.json"
    web = service(selector={"app": "web"}, type="LoadBalancer", ingress=["10.0.0.10"])
    hosts = [{"name": "a", "labels": {"app": "web"}, "endpoint_ip": "10.0.0.1"}]
    done = act("catalogue", manifests=[web], endpoint_hosts=hosts, nodes=[NODE], path=str(path))
    assert (done["changed"], done["services"], done["endpoints"]) == (False, 1, 1)
    assert "10.0.0.10 is a node's own address" in str(done["invocation"]["told"])
    assert [each.full_name for each in sources.compiled(str(path)).services] == ["shop/web"]


def test_every_fault_is_a_line(act: Any, tmp_path: Path) -> None:
    bad = [service("a", ports=[{"port": 0}]), service("b", ip="10.96.0.2", type="nothing")]
    done = act("catalogue", manifests=bad, paths=[str(tmp_path / "missing")], path=str(tmp_path / "catalogue.json"))
    head, *lines = done["msg"].splitlines()
    assert head.endswith("The catalogue is not valid; nothing was changed.")
    assert len(lines) == 3
    assert not (tmp_path / "catalogue.json").exists()


def test_what_is_inline_goes_to_no_callback(act: Any, tmp_path: Path) -> None:
    """Of a kind that Sluice does not know, nothing goes anywhere, whether the rest is valid or not."""
    path = str(tmp_path / "catalogue.json")
    secret = {"apiVersion": "v1", "kind": "Secret", "stringData": {"password": "hunter2"}}
    hosts = [{"name": "a", "endpoint_ip": "10.0.0.1"}]
    for objects in ([secret, service()], [secret, service(type="nothing"), {"stringData": {"password": "hunter2"}}]):
        done = act("catalogue", manifests=objects, endpoint_hosts=hosts, nodes=[NODE], paths=[], path=path)
        assert done["kept"] == {"paths": [], "path": path}
        assert "v1 Secret is not a kind" in str(done)
        assert "hunter2" not in str(done)
        for file in tmp_path.iterdir():
            assert "hunter2" not in file.read_text()


def test_a_task_that_is_tried_again_has_its_arguments(
    tmp_path: Path, act: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``until`` calls the same action again: it must not take what it forgot for nothing."""
    run = action.ActionModule.run
    monkeypatch.setattr(action.ActionModule, "run", lambda self, *_, **more: run(self, **more) and run(self, **more))
    assert act("catalogue", manifests=[service()], path=str(tmp_path / "catalogue.json"))["services"] == 1


def test_a_folder_that_others_may_write_is_a_line(act: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    done = act("catalogue", manifests=[service()], path=str(tmp_path / "catalogue.json"))
    assert done["msg"].endswith(f"its folder {tmp_path} may be written by others (mode 777)")


def test_what_services_are_given_is_kept(act: Any, tmp_path: Path) -> None:
    """Shown in check mode and not written; one change; none in the second run."""
    kept, path = tmp_path / "allocations.yml", str(tmp_path / "catalogue.json")
    given = {"manifests": [service(ip="", type="NodePort")], "path": path, "allocations": str(kept)}
    checked = act("catalogue", check=True, **given)
    assert (checked["changed"], kept.exists()) == (True, False)
    done = act("catalogue", **given)
    assert (done["changed"], done["diff"], checked["diff"]) == (True, checked["diff"], done["diff"])
    assert done["diff"][0]["after"] == kept.read_text()
    assert "shop/web: {clusterIPs: [" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o644
    for check in (True, False):
        assert act("catalogue", check=check, **given)["changed"] is False
    (web,) = sources.compiled(path).services
    assert web.cluster_ips[0] in kept.read_text()
    assert act("catalogue", manifests=[service(ip="10.96.0.1")], path=path, allocations=str(kept))["changed"] is True
    assert "shop/web" not in kept.read_text()


def test_a_file_that_cannot_be_written_is_a_warning(act: Any, tmp_path: Path) -> None:
    objects = [service(ip=""), endpoint_slice("10.244.1.1")]
    given = {"manifests": objects, "path": str(tmp_path / "catalogue.json")}
    where = "/proc/sluice/allocations.yml"  # for root, too
    for _again in range(2):
        done = act("catalogue", **given, allocations=where)
        assert "failed" not in done
        (warning,) = done["invocation"]["told"]
        assert warning.startswith(f"{where}: warning: cannot be written (")
        assert warning.endswith("1 Service has its addresses by hash and may move when others come: shop/web")


def test_a_file_that_is_damaged_is_a_line(act: Any, tmp_path: Path) -> None:
    kept = tmp_path / "allocations.yml"
    kept.write_text("shop/web: {clusterIPs: [banana]}\n")
    done = act("catalogue", manifests=[service(ip="")], path=str(tmp_path / "catalogue.json"), allocations=str(kept))
    assert done["failed"]
    assert done["msg"].splitlines()[1:] == [f"{kept}:1: Service shop/web: clusterIPs: must be a list of IP addresses"]
    assert kept.read_text() == "shop/web: {clusterIPs: [banana]}\n"
