"""The action report writes a page about all nodes of a group, also about those that could not be asked."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import fleets
import pytest
from fleets import Node

HOSTS = ("lb1", "lb2", "lb3", "lb4")


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, Any]:
    """The play is about all but the last one; the first one told of itself."""
    (told,) = fleets.states([Node("lb1")], fleets.catalogue(2, 3, seed=1), seed=2)
    (tmp_path / "lb1").write_text(fleets.packed(told.told or {}))
    answers: dict[str, Any] = {
        "lb1": {"file": str(tmp_path / "lb1")},
        "lb2": {"unreachable": True, "msg": "timed\nout"},
        "lb3": {"msg": "needs root"},
    }
    return {
        "groups": {"load_balancers": list(HOSTS)},
        "ansible_play_hosts_all": list(HOSTS[:3]),
        "hostvars": {host: {"report_asked": answers[host]} if host in answers else {} for host in HOSTS},
    }


def nodes(path: str) -> list[dict[str, Any]]:
    """Those in the data of a page."""
    found = re.search(r'<script id="data"[^>]*>([^<]+)<', Path(path).read_text())
    assert found
    told: list[dict[str, Any]] = json.loads(zlib.decompress(base64.b64decode(found[1])))["nodes"]
    return told


def test_a_page(act: Any, variables: dict[str, Any], tmp_path: Path) -> None:
    done = act("report", variables=variables, path=str(tmp_path / "made/page.html"), check=True)
    assert done["changed"] is False
    assert done["bytes"] == Path(done["path"]).stat().st_size
    assert (done["told"], done["lost"]) == (1, {"lb2": "unreachable: timed out", "lb3": "failed: needs root"})
    found = nodes(done["path"])
    assert found[0]["status"]["backend"] == "iptables"
    assert [(node["name"], node.get("failed")) for node in found] == [
        ("lb1", None),
        ("lb2", "unreachable"),
        ("lb3", "failed"),
        ("lb4", "not asked"),
    ]


def test_where_it_is(act: Any, variables: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert act("report", variables=variables, path=str(tmp_path))["path"] == str(tmp_path / "sluice-report.html")
    monkeypatch.chdir(tmp_path)
    assert act("report", variables=variables, path="here.html")["path"] == str(tmp_path / "here.html")
    (tmp_path / "file").write_text("")
    done = act("report", variables=variables, path=str(tmp_path / "file/page.html"))
    assert (done["failed"], "the page is not written" in done["msg"]) == (True, True)


def test_nobody_was_asked(act: Any, variables: dict[str, Any], tmp_path: Path) -> None:
    """A task that was skipped, or another name than it was registered as."""
    done = act("report", variables=variables, path=str(tmp_path), asked="other")
    assert (done["told"], done["lost"]["lb1"]) == (0, "failed: it was not asked")
