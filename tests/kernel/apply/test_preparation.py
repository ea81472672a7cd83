"""A node is prepared once, keeps it over a reboot, and check mode only says so."""

from __future__ import annotations

import os
import re

import cases
import hosts
import load
import support

from sluice.backends import shared
from sluice.node import preparation
from sluice.system import conntrack, linux

NAME = "net.ipv4.conf.all.arp_ignore"
LOCALNET = "net.ipv4.conf.all.route_localnet"
WANTED = ((), {NAME: "1"}, (), {})


def test_sysctls_are_set_now_and_at_boot(node: hosts.Node) -> None:
    def value() -> str | None:
        return node.call(lambda: linux.sysctl(NAME))

    before = value()
    predicted = node.call(lambda: preparation.prepare(*WANTED, check=True))
    assert value() == before != "1"
    assert not node.call(lambda: os.path.exists(preparation.SYSCTL_FILE))

    done = node.call(lambda: preparation.prepare(*WANTED))
    assert done == predicted
    assert done.changed
    assert [entry["after"] for entry in done.diff] == [f"# Written by Sluice.\n{NAME} = 1\n", f"{NAME} = 1\n"]
    assert value() == "1"
    assert node.shell(f"cat {preparation.SYSCTL_FILE}") == done.diff[0]["after"]
    assert not node.call(lambda: preparation.prepare(*WANTED)).changed


def test_what_is_not_needed_any_more_leaves_the_files_and_stays_in_the_kernel(node: hosts.Node) -> None:
    """But for what lets neighbours in unless a rule of Sluice keeps them out."""
    node.call(lambda: preparation.prepare((), {NAME: "1", LOCALNET: "1"}, (), {}))
    assert node.call(lambda: linux.sysctl(LOCALNET)) == "1"
    removed = node.call(lambda: preparation.prepare((), {}, (), {}))
    assert removed.changed
    assert len(removed.warnings) == 1
    assert f"keeps its values of {NAME}: " in removed.warnings[0]
    assert not node.call(lambda: os.path.exists(preparation.SYSCTL_FILE))
    assert [node.call(lambda name=name: linux.sysctl(name)) for name in (NAME, LOCALNET)] == ["1", "0"]
    assert node.call(lambda: preparation.prepare((), {}, (), {})) == ([], [], [])

    node.call(lambda: linux.set_sysctl(LOCALNET, "1"))
    node.call(lambda: preparation.prepare((), {}, (), {}))
    assert node.call(lambda: linux.sysctl(LOCALNET)) == "1", "what somebody else has set is theirs"


def test_a_sysctl_that_the_kernel_does_not_have_is_kept_for_later(node: hosts.Node) -> None:
    done = node.call(lambda: preparation.prepare((), {"net.ipv4.vs.nobody_has_it": "1"}, (), {}))
    assert [entry["after_header"] for entry in done.diff] == [preparation.SYSCTL_FILE]
    assert not node.call(lambda: preparation.prepare((), {"net.ipv4.vs.nobody_has_it": "1"}, (), {})).changed


ELSEWHERE = "198.18.0.1"
"""A host that the node reaches by another router on the link from which clients come: it tells them of that one."""


def redirects(network: load.Network) -> int:
    """How many the node has sent for a packet of the client's."""
    network.client.call(lambda: load.ask(ELSEWHERE, 9, "UDP", timeout=0.5))
    names, values = re.findall(r"^Icmp: (.*)$", network.node.shell("cat /proc/net/snmp"), re.MULTILINE)
    return int(values.split()[names.split().index("OutRedirects")])


def test_clients_are_not_told_of_another_router(network: load.Network) -> None:
    """One interface that may send them is enough, whatever all of them say; and those that come later may not."""
    router = cases.NODE_ADDRESS.rpartition(".")[0] + ".77"
    network.node.ip(
        f"neighbour add {router} lladdr 02:00:00:00:00:77 dev client",
        f"route add {ELSEWHERE}/32 via {router}",
        "link add eth0.7 type veth peer name other",
    )
    # A new namespace begins with the machine's values (net.core.devconf_inherit_init_net), and Sluice may be in use.
    network.node.shell("sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.client.send_redirects=1")
    network.node.shell("sysctl -qw net.ipv4.conf.eth0/7.send_redirects=1")
    network.client.shell("sysctl -qw net.ipv4.conf.all.accept_redirects=0 net.ipv4.conf.eth0.accept_redirects=0")
    assert redirects(network) == 1
    wanted = ((), shared.sysctls(support.node(), localnet=False), (), {})
    predicted = network.node.call(lambda: preparation.prepare(*wanted, check=True))
    assert redirects(network) > 1
    sent = redirects(network)
    done = network.node.call(lambda: preparation.prepare(*wanted))
    assert done == predicted
    assert "net.ipv4.conf.client.send_redirects = 1\n" in done.diff[-1]["before"]
    assert "net.ipv4.conf.eth0/7.send_redirects = 0\n" in done.diff[-1]["after"]
    assert redirects(network) == sent
    network.node.ip("link add later type veth peer name latest")
    assert network.node.shell("cat /proc/sys/net/ipv4/conf/later/send_redirects") == "0\n"
    assert not network.node.call(lambda: preparation.prepare(*wanted)).changed


def test_the_node_believes_no_redirects(node: hosts.Node) -> None:
    """A host that forwards wants both, its own value and that of all."""
    node.shell("sysctl -qw net.ipv4.conf.all.accept_redirects=1 net.ipv4.conf.lo.accept_redirects=1")
    wanted = ((), shared.sysctls(support.node(), localnet=False), (), {})
    node.call(lambda: preparation.prepare(*wanted))
    assert node.shell("cat /proc/sys/net/ipv4/conf/all/accept_redirects") == "0\n"


def test_a_namespace_may_not_give_conntrack_room(node: hosts.Node) -> None:
    room = node.shell("cat /proc/sys/net/netfilter/nf_conntrack_max")
    wanted = ((), {}, (), {})
    done = node.call(lambda: preparation.prepare(*wanted, conntrack_max=2 * int(room)))
    assert (done.changed, len(done.warnings)) == (False, 1)
    assert node.shell("cat /proc/sys/net/netfilter/nf_conntrack_max") == room
    assert node.call(lambda: preparation.prepare(*wanted, conntrack_max="auto")) == preparation.Prepared([], [], [])
    assert node.call(conntrack.fill)[1] == int(room)
