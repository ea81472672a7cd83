"""``sluice explain`` on a node that runs: nothing hurts if Sluice has prepared it, and what is broken is told."""

from __future__ import annotations

import json

import cases
import hosts
import pytest
import support

from sluice import render
from sluice.addresses import IPV4, IPV6
from sluice.observe import live
from sluice.system import linux

SERVICES = [cases.Service(1, cases.PODS[:3], node_port=30001), cases.Service(2, cases.PODS[:1]), cases.Service(3, ())]


def put(node: hosts.Node, plane: str) -> None:
    """Give the node rules, and the sysctls that it is prepared with."""
    variables = {"ip_families": [IPV4, IPV6], **cases.settings_of(plane)}
    objects = [entry for service in SERVICES for entry in service.objects(both=True)]
    own = support.node(**variables)
    needed = render.needs(render.views(support.catalogue(*objects), own), own, linux.release())
    for pattern, value in needed.sysctls.items():
        for name in node.call(lambda pattern=pattern: linux.sysctls(pattern)):
            node.call(lambda name=name, value=value: linux.set_sysctl(name, value))
    node.apply(cases.rendered(SERVICES, **variables))


def test_nothing_hurts_on_a_node_that_is_prepared(plane: str, node: hosts.Node) -> None:
    put(node, plane)
    told = node.sluice("explain")
    assert told.returncode == 0
    assert not [line for line in told.stdout.splitlines() if line.startswith("!")]
    assert "CVE-2020-8558" not in told.stdout, "rules guard what is on loopback"


def test_a_node_that_does_not_forward(plane: str, node: hosts.Node) -> None:
    put(node, plane)
    node.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
    told = node.sluice("explain", "--json", check=False)
    assert told.returncode == 1
    hurting = [each["where"] for each in json.loads(told.stdout)["oddities"] if each["hurts"]]
    assert hurting == ["net.ipv4.ip_forward = 0"]
    node.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    assert node.sluice("explain").returncode == 0


def test_a_bridge_is_seen(node: hosts.Node) -> None:
    """In a new network namespace, bridged packets come to iptables where br_netfilter is there at all."""
    put(node, "nft")
    node.ip("link add cni0 type bridge")
    if node.call(lambda: linux.sysctl("net.bridge.bridge-nf-call-iptables")) is not None:
        node.run("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0")
    assert "(cni0)" in node.sluice("explain").stdout


def test_what_a_tool_cannot_print_hides_nothing_else(node: hosts.Node) -> None:
    """One rule of nft's in a table of iptables-nft's is enough to end that."""
    put(node, "nftables")
    node.shell(
        "nft add table ip filter; nft 'add chain ip filter INPUT { type filter hook input priority 0; }';"
        "nft add rule ip filter INPUT meta skuid 1000 accept"
    )
    told = json.loads(node.sluice("explain", "--json", check=False).stdout)
    (line,) = told["untold"]
    assert line.startswith("not all rules could be read: iptables-nft-save: ")
    assert len(told["services"]) == 6
    asked = json.loads(node.sluice("trace", "--to", f"{SERVICES[0].address}:80", "--json").stdout)
    assert line in asked["notes"]
    assert len(asked["outcomes"]) == 3


BASE = "table ip raw { chain PREROUTING { type filter hook prerouting priority -300; }; }"
UNSHOWN = {
    "another table": "table inet raw { chain c { type filter hook input priority 0; }; }",
    "a set": f"{BASE}; add rule ip raw PREROUTING ip saddr {{ 192.0.2.1, 192.0.2.2 }} drop",
    "a map": f"{BASE}; add rule ip raw PREROUTING udp dport vmap {{ 9: drop }}",
    "another expression": f"{BASE}; add rule ip raw PREROUTING numgen random mod 2 == 1 drop",
    "another base chain": f"{BASE}; add chain ip raw mine {{ type filter hook input priority 5; }}",
}


@pytest.mark.parametrize("what", UNSHOWN)
def test_nft_lists_what_iptables_does_not_show(what: str, node: hosts.Node) -> None:
    """And nothing else: rules of iptables-nft are read once."""
    put(node, "nft")

    def listed() -> list[str]:
        return node.call(lambda: sorted(f"{table.family} {table.name}" for table in live.dump().nftables))

    assert listed() == []
    node.run("nft", "-f", "-", text=UNSHOWN[what].replace("; add", "\nadd"))
    assert listed() == ["inet raw" if what == "another table" else "ip raw"]
    node.run("iptables-nft", "-t", "mangle", "-A", "INPUT", "-m", "mark", "--mark", "9", "-j", "ACCEPT")
    assert len(listed()) == 1


def test_nft_lists_all_where_iptables_is_another_one(node: hosts.Node) -> None:
    put(node, "nftables")
    listed = node.call(lambda: [(table.family, table.name) for table in live.dump().nftables])
    assert {family for family, _name in listed} == {"ip", "ip6"}
