"""What this node's kernel holds is what its tools print, and none is asked that would load a module of the kernel."""

from __future__ import annotations

import json
import os
from pathlib import Path

import places
import pytest

from sluice.observe import live
from sluice.system.tools import NodeError


@pytest.fixture(autouse=True)
def _root(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root, on a kernel with neither legacy tables nor IP sets nor IPVS."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for table in (live._HOLDS, live._NEEDS):
        for tool in table:
            monkeypatch.setitem(table, tool, str(tmp_path / tool))


def test_what_tools_print(programs: Path) -> None:
    address, bridges = "2: eth0    inet 10.0.0.10/24 scope global eth0", '[{"ifname": "br0"}]'
    places.script(programs / "ip", f"case $1 in -json) echo '{bridges}' ;; *) echo '{address}' ;; esac")
    places.script(programs / "iptables-nft-save", "echo '*nat'; echo ':OUTPUT ACCEPT [0:0]'; echo COMMIT")
    found = live.dump(["10.0.0.11"])
    assert found.addresses == {"10.0.0.10", "10.0.0.11"}
    assert found.bridges == ("br0",)
    assert [tables.chain("nat", "OUTPUT") for tables in found.iptables.values()] == [[]]


def test_no_tools() -> None:
    assert live.dump().addresses == frozenset()


@pytest.mark.parametrize("tool", ["iptables-legacy-save", "ip6tables-legacy-save", "ipset", "ipvsadm"])
def test_who_would_load_a_module_is_not_asked(tool: str, programs: Path, tmp_path: Path) -> None:
    places.script(programs / tool, "echo asked >&2; exit 1")
    live.dump()
    (tmp_path / tool).write_text("nat\n")
    (why,) = live.dump().unread
    assert why.startswith(tool)
    assert why.endswith(": asked")


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ("echo a >&2; echo b >&2; exit 3", r"^ip -o address: a b$"),
        ("exit 3", r"^ip -o address: exit code 3$"),
        ("echo nonsense", r"^ip -o address: none of .* has printed this$"),
        (r"printf '1: \377'", r"^ip -o address: prints what is not text$"),
    ],
)
def test_failure(says: str, why: str, programs: Path) -> None:
    places.script(programs / "ip", says)
    with pytest.raises(NodeError, match=why):
        live.dump()


def test_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NodeError, match=r"needs root$"):
        live.dump()


NAMES = (("ip", "nat"), ("inet", "mine"))
MINE = json.dumps({"nftables": [{"chain": {"family": "inet", "table": "mine", "name": "c", "handle": 1}}]})
TABLES = json.dumps({"nftables": [{"table": {"family": family, "name": name}} for family, name in NAMES]})


@pytest.mark.parametrize(
    ("tables", "table"),
    [
        (f"echo '{TABLES}'", f"echo '{MINE}'"),
        (f"echo '{TABLES}'", "exit 1"),
        ("echo '[]'", "exit 1"),
        ("echo nonsense", "exit 1"),
        ("echo '{\"nftables\": [7]}'", "exit 1"),
        ("true", "exit 1"),
    ],
)
def test_what_only_nft_prints(tables: str, table: str, programs: Path) -> None:
    """Whatever becomes of the shorter way; tests/kernel has what is left out on it."""
    places.script(programs / "iptables-nft-save", "echo '*nat'; echo ':OUTPUT ACCEPT [0:0]'; echo COMMIT")
    places.script(
        programs / "nft",
        f"case \"$*\" in '-j list tables') {tables} ;; '-j list table inet mine') {table} ;; "
        f"'-j list ruleset') echo '{MINE}' ;; *) exit 1 ;; esac",
    )
    assert [(each.family, each.name) for each in live.dump().nftables] == [("inet", "mine")]


def test_nft_that_fails_hides_nothing_else(programs: Path) -> None:
    places.script(programs / "nft", "echo no netlink >&2; exit 1")
    places.script(programs / "iptables-nft-save", "echo '*nat'; echo ':OUTPUT ACCEPT [0:0]'; echo COMMIT")
    found = live.dump()
    assert found.unread == ("nft -j list tables: no netlink",)
    assert len(found.iptables) == 1
