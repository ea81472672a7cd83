"""playbooks/trace.yml against two nodes: alike, until somebody meddles with the rules of one by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sites import Site

ADDRESS = f"10.96.0.{sum(b'web') % 250}:80"
ENDPOINT = f"10.244.0.{sum(b'web') % 250}:80"


@pytest.fixture
def site(needs_root: None, tmp_path: Path) -> Iterator[Site]:
    """Two nodes that program shop/web."""
    found = Site(tmp_path, "other")
    found.declare("web")
    with found.up():
        found.play("site.yml")
        yield found


def lines(site: Site, *words: str, fails: bool = False) -> list[str]:
    ran = site.play("playbooks/trace.yml", *words, fails=fails)
    assert fails or ran.changed == 0
    return ran.output.splitlines()


def test_who_differs_is_told(site: Site) -> None:
    question = ("-e", "sluice_trace_to=shop/web", "-e", "sluice_trace_from=192.0.2.7")
    told = lines(site, *question, "--check")
    at = told.index("sluice: all 2 nodes alike")
    assert told[at + 1 : at + 3] == ["node, other:", f"  tcp to {ADDRESS}, from 192.0.2.7"]
    assert f"  └─ {ENDPOINT}, which sees 192.0.2.7" in told

    before = site.state()
    site.shell(f"iptables -I FORWARD -p tcp -d {ENDPOINT.partition(':')[0]} -j DROP", "other")
    told = lines(site, *question)
    assert (
        f"sluice: no two of 2 nodes alike; node: tcp to {ADDRESS}: {ENDPOINT}; other differs: tcp to {ADDRESS}: "
        f"dropped (filter FORWARD: -d {ENDPOINT.partition(':')[0]}/32 -p tcp -j DROP) instead of {ENDPOINT}"
    ) in told
    assert told.index("node:") < told.index("other:")
    assert "  └─ dropped" in told
    assert site.state() == before

    site.shell("iptables -t nat -F KUBE-SERVICES", "other")
    told = lines(site, *question)
    assert "other differs: shop/web: the rules name no such Service" in next(
        line for line in told if line.startswith("sluice: no two of 2 nodes alike")
    )
    told = lines(site, fails=True)
    assert any("which packet? -e sluice_trace_to=ADDRESS:PORT" in line for line in told)
