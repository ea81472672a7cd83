"""The playbook report against nodes: what is on the page is what their kernels hold, and it changes nothing there."""

from __future__ import annotations

import base64
import json
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sites import Ran, Site

SERVICES = ("web", "api")


@pytest.fixture(scope="module")
def site(needs_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A node that programs SERVICES, and one that nobody has given anything."""
    found = Site(tmp_path_factory.mktemp("site"), "bare")
    found.declare(*SERVICES)
    with found.up():
        found.play("site.yml", "--limit", "node")
        yield found


def play(site: Site, *words: str) -> Ran:
    """As an operator runs it, with the output of an operator's run."""
    ansible = Path(sys.executable).with_name("ansible-playbook")
    page = f"sluice_report={site.folder / 'page.html'}"
    return site.run(ansible, "-i", site.inventory, "playbooks/report.yml", "-e", page, *words)


def data(site: Site) -> dict[str, Any]:
    """What the page has."""
    found = re.search(r'<script id="data"[^>]*>([^<]+)<', (site.folder / "page.html").read_text())
    assert found
    told: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(found[1])))
    return told


def nodes(site: Site) -> dict[str, dict[str, Any]]:
    return {node["name"]: node for node in data(site)["nodes"]}


def held(site: Site) -> str:
    """All that a report must not touch; what is counted goes on by itself."""
    return re.sub(r"\[\d+:\d+\]", "", site.state())


def test_what_the_kernel_holds_and_counts(site: Site) -> None:
    address = f"10.96.0.{sum(b'web') % 250}"
    site.shell("ip link set lo up; ip route replace 10.0.0.0/8 dev lo")
    for _turn in range(3):
        site.shell(f"timeout 1 bash -c 'exec 3<>/dev/tcp/{address}/80' || true")
    before = held(site)
    ran = play(site, "--limit", "node")
    assert ran.code == 0, ran.output
    assert f"sluice: {site.folder}/page.html tells of 1 node\n" in ran.output
    assert len(ran.output.splitlines()) < 12, "quiet"
    found = data(site)
    assert nodes(site)["bare"]["failed"] == "not asked"
    assert nodes(site)["node"]["status"]["drift"] is False
    web = next(at for at, row in enumerate(found["rows"]) if row["name"] == "shop/web")
    assert [row["name"] for row in found["rows"]] == ["shop/api", "shop/web"]
    (group,) = found["rows"][web]["forms"][0]["groups"]
    assert (group["source"], group["cluster"][0][1]) == ("iptables-nft", "1")
    assert group["ways"][0][3] in site.shell("iptables-save -t nat")
    assert found["at"][0]["total"][web * 5] == 3
    assert held(site) == before


def test_drift_is_told(site: Site) -> None:
    site.meddle("iptables -t nat -F KUBE-SERVICES")
    assert play(site, "--check", "--limit", "node").code == 0, "check mode asks just as well"
    node = nodes(site)["node"]
    assert node["status"]["drift"] is True
    assert any(line.startswith("drift: ") for line in node["trouble"])
    assert all(row["trouble"] for row in data(site)["rows"])


def test_a_node_that_cannot_be_asked(site: Site) -> None:
    """The page is written, says so, and the play fails for that node."""
    ran = play(site)
    assert ran.code == 2, ran.output
    assert re.search(r"^bare +: .* failed=1 ", ran.output, re.MULTILINE)
    assert re.search(r"^node +: .* failed=0 ", ran.output, re.MULTILINE)
    bare = nodes(site)["bare"]
    assert bare["failed"] == "failed"
    assert "was given no Services" in bare["why"]


def test_a_node_that_cannot_be_reached(site: Site) -> None:
    ran = play(site, "-e", '{"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}')
    assert ran.code != 0, ran.output
    assert [node.get("failed") for node in data(site)["nodes"]] == ["unreachable", "unreachable"]
