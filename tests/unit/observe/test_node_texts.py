"""What tools print of a node besides its rules, and rules as ``iptables -S`` prints them."""

from __future__ import annotations

import pytest
from planted import odd, recorded
from support import in_a_namespace

from sluice.observe import node_texts
from sluice.observe.explain import explain
from sluice.observe.snapshot import Snapshot, snapshot

SYSCTLS = """\
net.ipv4.conf.eth0/7.rp_filter = 1
net.ipv4.ip_forward = 0
net.netfilter.nf_conntrack_count = 99
net.netfilter.nf_conntrack_max=100
kernel.core_pattern = |/usr/lib/systemd/systemd-coredump %P
dev.cdrom.info =
"""
MODULES = "Module   Size  Used by\nip_vs  180224  2 ip_vs_wrr\nnf_conntrack 172032 1 ip_vs\n"


def held(*texts: str) -> Snapshot:
    return snapshot((f"dump{number}", text) for number, text in enumerate(texts))


def test_sysctls() -> None:
    found = held(SYSCTLS)
    assert found.sysctls["net.ipv4.ip_forward"] == "0"
    assert found.sysctls["net.ipv4.conf.eth0/7.rp_filter"] == "1"
    assert found.conntrack == (99, 100)
    assert held(SYSCTLS.replace("99", "many")).conntrack == (0, 0)


def test_modules() -> None:
    assert held(MODULES).modules == {"ip_vs", "nf_conntrack"}
    assert held("ip_vs 180224 2 ip_vs_rr, Live 0x0000000000000000\n").modules == {"ip_vs"}
    assert held(SYSCTLS).modules is None


def test_neighbours() -> None:
    text = "10.1.0.1 dev eth0  FAILED\n10.1.0.2 dev cni0 lladdr 02:00:00:00:00:01 REACHABLE\n"
    assert held(f"{text}fe80::1 dev eth0 INCOMPLETE\n").dead == {"10.1.0.1", "fe80::1"}
    assert held("10.1.0.2 dev cni0 lladdr 02:00:00:00:00:01 router STALE\n").dead == set()


def _listed(saved: str) -> str:
    """What ``iptables -S`` prints of the same rules, one table behind the other."""
    policies = {"filter": ("INPUT", "FORWARD", "OUTPUT"), "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")}
    lines = []
    for line in saved.splitlines():
        if line.startswith("*"):
            lines += [f"-P {chain} ACCEPT" for chain in policies[line[1:]]]
        elif line.startswith(":"):
            lines.append(f"-N {line[1:].partition(' ')[0]}")
        elif line.startswith("-A"):
            lines.append(line)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("version", ["1.20", "1.36"])
@pytest.mark.parametrize("case", ["16-loadbalancer", "20-loadbalancer-local"])
def test_rules_as_they_are_listed(case: str, version: str) -> None:
    text = recorded(case, version=version)[".rules"]
    found = explain(held(_listed(text)))
    assert found.ports == explain(held(text)).ports
    assert not found.oddities
    assert not found.untold


def test_chains_that_somebody_picked_out_are_a_piece() -> None:
    text = recorded("16-loadbalancer")[".rules"]
    piece = "".join(f"{line}\n" for line in text.splitlines() if line.startswith(("-A KUBE-SVC-", "-A KUBE-SEP-")))
    found = held(f"-N KUBE-SVC-LOLE4ISW44XBNF3G\n{piece}")
    assert [tables.is_piece for tables in found.iptables.values()] == [True]
    assert not explain(found).oddities


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("tool", ["iptables-nft", "ip6tables-nft"])
def test_what_the_tool_lists(tool: str) -> None:
    suffix = ".rules6" if tool.startswith("ip6") else ".rules"
    text = recorded("37-dual-stack")[suffix]
    script = f"{tool}-restore; for table in raw mangle nat filter; do {tool} -t $table -S; done"
    found = held(in_a_namespace(script, text))
    (tables,) = found.iptables.values()
    assert sorted(tables.rules) == ["filter", "mangle", "nat", "raw"]
    assert tables.rules["nat"]["KUBE-SERVICES"] == held(text).iptables.popitem()[1].rules["nat"]["KUBE-SERVICES"]


def test_counters_of_rules_are_left_out() -> None:
    text = "-P INPUT DROP -c 1 2\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n-A INPUT -i lo -c 5 300 -j ACCEPT\n"
    assert node_texts.saved(text) == (
        "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n"
    )


def test_what_sysctls_say_is_odd() -> None:
    found = odd(recorded("16-loadbalancer")[".rules"], SYSCTLS)
    assert {(each.what, each.hurts) for each in found} == {
        ("the node does not forward", True),
        ("conntrack is nearly full", True),
        ("strict reverse path filter", False),
    }
