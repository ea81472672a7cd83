"""What other people do to the tables: it is named, and repaired by a run or by the node itself; theirs stays."""

from __future__ import annotations

import time
import typing

if typing.TYPE_CHECKING:
    from conftest import Node

MEDDLING = {
    "map ip sluice addresses": "delete element ip sluice addresses { 10.96.0.10 . tcp . 80 }",
    "set ip sluice refuse-inside": "add element ip sluice refuse-inside { 10.96.0.20 . tcp . 80 }",
    "set ip sluice hairpin": "flush set ip sluice hairpin",
    "chains of table ip6 sluice": "add rule ip6 sluice services accept",
}
FOREIGN = "table inet acme { chain forward { type filter hook forward priority 10; ip daddr 203.0.113.99 accept; }; }"


def nft(node: Node, *commands: str) -> None:
    node.host.check_output("nft %s", "; ".join(commands))


def is_whole(node: Node) -> bool:
    return bool(node.host.run("sluice diff").stdout == "")


def wait_until_whole(node: Node) -> None:
    until = time.monotonic() + 120
    while not is_whole(node):
        assert time.monotonic() < until, "nobody repaired it"
        time.sleep(0.3)


def test_check_names_it_and_a_run_repairs_it(node: Node) -> None:
    nft(node, FOREIGN, *MEDDLING.values())
    check = node.play("check")
    assert check.returncode == 2, check.stdout
    assert "the kernel is not what its files say" in check.stdout
    assert [what for what in MEDDLING if what not in check.stdout] == []
    assert not is_whole(node), "a check is read-only"
    site = node.play("site")
    assert site.returncode == 0, site.stdout
    assert is_whole(node)
    assert len(node.ask("tcp", "10.96.0.10", 80, count=30)) == 3
    assert "acme" in node.host.check_output("nft list tables")


def test_nftables_service_takes_nothing_away(node: Node) -> None:
    """Its rule set begins with `flush ruleset`: Sluice's unit starts or reloads after it."""
    node.host.check_output("systemctl start nftables.service && systemctl restart sluice.service")
    assert is_whole(node)
    for verb in ("restart", "reload"):
        node.host.check_output("systemctl %s nftables.service", verb)
        wait_until_whole(node)
        assert node.ask("tcp", "10.96.0.40", 80) == {"refused": 1}
    assert "table inet filter" in node.host.check_output("nft list tables")


def test_the_node_repairs_itself(node: Node) -> None:
    site = node.play("site", sluice_repair_seconds=1)
    assert site.returncode == 0, site.stdout
    nft(node, "flush ruleset", FOREIGN)
    wait_until_whole(node)
    assert len(node.ask("tcp", "10.96.0.50", 80, count=20)) == 1
