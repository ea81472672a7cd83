"""What of a live node, besides its rules, keeps Services from working."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
import support
from planted import recorded, replaced, without

from sluice.observe.explain import explain
from sluice.observe.oddities_node import SYSCTLS
from sluice.observe.oddity import Oddity
from sluice.observe.snapshot import Snapshot, snapshot

WELL = {
    "net.ipv4.ip_forward": "1",
    "net.ipv6.conf.all.forwarding": "1",
    "net.ipv4.vs.conntrack": "1",
    "net.bridge.bridge-nf-call-iptables": "1",
    "net.bridge.bridge-nf-call-ip6tables": "1",
    **{
        f"net.ipv4.conf.{device}.{name}": value
        for device in ("all", "default", "eth0", "eth0/7", "lo", "kube-ipvs0")
        for name, value in (
            ("forwarding", "1"),
            ("rp_filter", "0"),
            ("route_localnet", "0"),
            ("arp_ignore", "0"),
            ("arp_announce", "0"),
        )
    },
    "net.ipv4.conf.all.route_localnet": "1",
    "net.ipv4.conf.all.arp_ignore": "1",
    "net.ipv4.conf.all.arp_announce": "2",
}
NEIGHBOURS = "2: eth0    inet 198.51.100.1/24 brd 198.51.100.255 scope global eth0\n"
OF_ALL = "net.ipv4.conf.all"


def rules() -> str:
    return recorded("16-loadbalancer")[".rules"]


def ipvs() -> Snapshot:
    texts = [*recorded("16-loadbalancer", "ipvs").values(), NEIGHBOURS]
    held = snapshot((f"dump{number}", text) for number, text in enumerate(texts))
    return held._replace(sysctls={f"{OF_ALL}.route_localnet": "0"})  # kube-proxy opens it in iptables mode alone


def six() -> Snapshot:
    objects = [support.service(ip="fd00:96::1"), support.endpoint_slice("fd00:1::1", family="IPv6")]
    own = support.node(ip_families=["IPv6"])
    return snapshot([("rules6", support.rendered(support.catalogue(*objects), own)["ip6tables.rules"])])


def odd(held: Snapshot | str, sysctls: Mapping[str, str] | None = None, **more: Any) -> list[Oddity]:
    """What is odd on a node that is well but for these."""
    dumped = snapshot([("rules", held)]) if isinstance(held, str) else held
    return list(explain(dumped._replace(sysctls={**WELL, **dumped.sysctls, **(sysctls or {})}, **more)).oddities)


def one(held: Snapshot | str, sysctls: Mapping[str, str] | None = None, **more: Any) -> Oddity:
    (found,) = odd(held, sysctls, **more)
    return found


def test_nothing_is_odd_on_a_node_that_is_well() -> None:
    for held in (rules(), ipvs(), six()):
        assert not odd(held, conntrack=(79, 100), bridges=("cni0",))


def test_what_is_looked_at_is_read() -> None:
    """A sysctl that nobody reads would never be odd."""
    assert {re.sub(r"ipv4\.conf\.[^.]+", "ipv4.conf.*", name) for name in WELL} == set(SYSCTLS)


def test_a_node_without_services_may_be_as_it_likes() -> None:
    assert not odd("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n", dict.fromkeys(WELL, "0"), conntrack=(100, 100))


def test_a_node_that_does_not_forward() -> None:
    off = {"net.ipv4.ip_forward": "0", f"{OF_ALL}.forwarding": "0"}
    off |= {f"net.ipv4.conf.{device}.forwarding": "0" for device in ("default", "eth0", "eth0/7")}
    found = one(rules(), off)
    assert found.hurts
    assert found.where == "net.ipv4.ip_forward = 0"
    assert found.remedy.startswith("sysctl -w net.ipv4.ip_forward=1,")
    assert not odd(rules(), {**off, "net.ipv4.conf.eth0.forwarding": "1"}), "that interface does"
    assert not odd(six(), off)


def test_a_node_that_does_not_forward_ipv6() -> None:
    off = {"net.ipv6.conf.all.forwarding": "0"}
    assert one(six(), off).hurts
    assert not odd(rules(), off)


@pytest.mark.parametrize(
    ("all_", "own", "where"),
    [("0", "1", "eth0/7"), ("1", "0", "default, eth0, eth0/7"), ("1", "2", "default, eth0"), ("2", "1", "")],
)
def test_reverse_path_filter_is_the_higher_of_two(all_: str, own: str, where: str) -> None:
    found = odd(rules(), {f"{OF_ALL}.rp_filter": all_, "net.ipv4.conf.eth0/7.rp_filter": own})
    told = [(each.hurts, each.where) for each in found]
    assert told == ([(False, f"net.ipv4.conf: rp_filter = 1 at {where.replace('/', '.')}")] if where else [])


def test_node_ports_on_loopback_that_are_not_routed() -> None:
    off = {f"{OF_ALL}.route_localnet": "0"}
    found = one(rules(), off)
    assert found.hurts
    assert "node port 30080" in found.effect
    elsewhere = replaced(rules(), "-m addrtype --dst-type LOCAL", "! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL")
    assert not odd(elsewhere, off)
    assert not odd(ipvs(), off)


@pytest.mark.parametrize("device", ["all", "eth0"])
def test_loopback_that_is_open_to_neighbours(device: str) -> None:
    on = {f"{OF_ALL}.route_localnet": "0", f"net.ipv4.conf.{device}.route_localnet": "1"}
    assert not odd(rules(), on)
    found = [each for each in odd(without(rules(), "-A KUBE-FIREWALL"), on) if "CVE-2020-8558" in each.effect]
    assert [each.hurts for each in found] == [False]


@pytest.mark.parametrize(("value", "remedy"), [("0", "sysctl -w"), ("", "modprobe br_netfilter, sysctl -w")])
@pytest.mark.parametrize("family", [4, 6])
def test_bridge_that_rules_do_not_see(family: int, value: str, remedy: str) -> None:
    name = f"net.bridge.bridge-nf-call-ip{'' if family == 4 else '6'}tables"
    held = snapshot([("rules", rules())]) if family == 4 else six()
    found = one(held, {name: value}, bridges=("cni0",))
    assert not found.hurts
    assert found.remedy.startswith(f"{remedy} {name}=1,")
    assert not odd(held, {name: value}), "there is no bridge"


@pytest.mark.parametrize(("count", "what"), [(80, "conntrack is nearly full"), (100, "conntrack is full")])
def test_conntrack_that_is_full(count: int, what: str) -> None:
    found = one(rules(), conntrack=(count, 100))
    assert (found.what, found.hurts) == (what, True)
    assert found.remedy.startswith("sysctl -w net.netfilter.nf_conntrack_max=200,")


def test_ipvs_without_conntrack() -> None:
    off = {"net.ipv4.vs.conntrack": "0"}
    assert one(ipvs(), off).hurts
    assert not odd(rules(), off)


def test_load_balancer_address_that_every_node_answers_for() -> None:
    found = one(ipvs(), {f"{OF_ALL}.arp_ignore": "0", f"{OF_ALL}.arp_announce": "0"})
    assert not found.hurts
    assert "198.51.100.9" in found.where
    assert "arp_ignore=1" in found.remedy
    assert "arp_announce=2" in found.remedy
    assert "arp_announce" not in one(ipvs(), {f"{OF_ALL}.arp_ignore": "0"}).remedy
    away = ipvs()._replace(networks=frozenset({"192.0.2.0/24", "2001:db8::/64"}))
    assert not odd(away, {f"{OF_ALL}.arp_ignore": "0"})
