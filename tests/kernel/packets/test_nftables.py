"""The layer of nftables against the kernel: what it makes is what the files say, whoever meddles with it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import cases
import hosts
import load
import pytest
from nftables_layer import FIRST, SETTINGS, Brought, bring
from support import node as settings_of

from sluice import render
from sluice.addresses import IPV4, IPV6
from sluice.backends.interface import Files, KernelChanged, Leftover, Memo, Memory, Phase
from sluice.backends.nftables import kernel, layer, netlink, obstacles, text
from sluice.backends.nftables.backend import BACKEND
from sluice.backends.nftables.elements import Elements
from sluice.backends.nftables.layer import LAYER
from sluice.catalogue import compiled
from sluice.catalogue.model import Catalogue
from sluice.node import installation


def rendered(*services: cases.Service, **variables: Any) -> dict[str, str]:
    own = settings_of(ip_families=[IPV4, IPV6], **variables)
    return BACKEND.render(render.views(catalogue(*services), own), own, Memo())


def catalogue(*services: cases.Service) -> Catalogue:
    import support

    return support.catalogue(*(entry for service in services for entry in service.objects(both=True)))


def differs(wanted: Files, before: Brought = FIRST) -> tuple[str, ...]:
    with LAYER.look(wanted, before.files, before.memory, SETTINGS, check=True) as look:
        return tuple(change.thing for change in look.changes)


WEB, DNS = cases.Service(1), cases.Service(2, protocol="UDP", node_port=30002)
STICKY = cases.Service(3, more=(("sessionAffinity", "ClientIP"),))
INVITED, OTHERS = (
    cases.Service(
        number,
        more=(
            ("type", "LoadBalancer"),
            ("ingress", [f"203.0.113.{number}"]),
            ("loadBalancerSourceRanges", [network]),
        ),
    )
    for number, network in ((4, f"{cases.CLIENT_ADDRESS}/32"), (5, "198.51.100.0/24"))
)


def test_it_comes_stays_and_goes(node: hosts.Node) -> None:
    wanted = rendered(WEB, DNS, STICKY)
    first = node.call(lambda: bring(wanted))
    assert first.things[0] == "add table ip sluice"
    assert "add map ip6 sluice addresses" in first.things
    assert node.call(lambda: bring(wanted, first)).things == ()
    assert node.call(lambda: differs(wanted)) == (), "the table says what its chains were made of"
    gone = node.call(lambda: bring({}, first))
    assert {"remove table ip sluice", "remove table ip6 sluice"} <= set(gone.things)
    assert node.run("nft", "list", "ruleset").stdout == ""
    assert node.call(lambda: bring({}, gone)).things == ()


def test_an_apply_makes_what_nft_makes_of_the_file(node: hosts.Node) -> None:
    """All bytes of all elements: rules are nft's, and compare them in its order of bytes."""
    fence = ["10.0.0.0/8", "192.0.2.7/32", "fd00:c::/64", "fd00:d::7/128"]
    more = {"type": "LoadBalancer", "ingress": ["203.0.113.9", "2001:db8::9"], "loadBalancerSourceRanges": fence}
    wanted = rendered(WEB, DNS, STICKY, cases.Service(4, more=tuple(more.items())))

    def held(how: Callable[[], object]) -> list[Elements]:
        node.shell("nft flush ruleset")
        node.call(how)
        return [node.call(lambda family=family: netlink.read(family)) for family in (IPV4, IPV6)]  # type: ignore[misc]

    by_nft = held(lambda: kernel.load(wanted[text.FILE]))
    assert held(lambda: bring(wanted)) == by_nft
    assert all(found["ranges"] for found in by_nft)


def test_one_change_is_small(node: hosts.Node) -> None:
    several = [cases.Service(number) for number in range(1, 60)]
    first = node.call(lambda: bring(rendered(*several)))
    changed = [*several[:30], several[30]._replace(endpoints=cases.PODS[1:4]), *several[31:]]
    second = node.call(lambda: bring(rendered(*changed), first))
    assert second.amount.lines < 50, "a chain for three endpoints, and their slots"
    assert node.call(lambda: differs(rendered(*changed), second)) == ()


def test_one_change_is_small_where_others_change_something_too(node: hosts.Node) -> None:
    """Then all is read; but what the chains are made of is known of the files before."""
    first = node.call(lambda: bring(rendered(WEB, DNS)))
    node.shell("nft add table ip other")
    wanted = rendered(WEB._replace(endpoints=cases.PODS[:3]), DNS)
    second = node.call(lambda: bring(wanted, first))
    assert second.things[0] == "add chain ip sluice random-3"
    assert node.call(lambda: differs(wanted)) == ()


def listed(node: hosts.Node) -> list[str]:
    """All words of our tables, but for the note of what the chains are: it changes whenever they are made anew."""
    return sorted(
        re.sub('comment "[0-9a-f]{32}( [0-9a-f]{32})+"', "", node.run("nft", "list", "ruleset").stdout).split()
    )


@pytest.mark.parametrize(
    ("meddling", "found"),
    [
        ("nft delete element ip sluice lists '{ %s }'", {"map ip sluice lists"}),
        ("nft add rule ip sluice services accept", {"chains of table ip sluice"}),
        ("nft flush chain ip6 sluice nat-postrouting", {"chains of table ip6 sluice"}),
        ("nft 'chain ip sluice filter-forward { policy drop; }'", {"chains of table ip sluice"}),
        ("nft add chain ip sluice more", {"chains of table ip sluice"}),
        ("nft flush set ip sluice hairpin", {"set ip sluice hairpin"}),
    ],
)
def test_what_somebody_changed_is_put_right(meddling: str, found: set[str], node: hosts.Node) -> None:
    wanted = rendered(WEB, DNS)
    first = node.call(lambda: bring(wanted))
    before = listed(node)
    element = str(text.tables(wanted[text.FILE])[IPV4].elements["lists"]).split()[0]
    node.shell(meddling % element if "%s" in meddling else meddling)
    assert set(node.call(lambda: differs(wanted, first))) == found
    node.call(lambda: bring(wanted, first))
    assert node.call(lambda: differs(wanted)) == ()
    assert listed(node) == before


def test_other_peoples_changes_are_none_of_ours(node: hosts.Node) -> None:
    wanted = rendered(WEB)
    first = node.call(lambda: bring(wanted))
    node.shell("nft add table inet other; nft add chain inet other c")
    assert node.call(lambda: bring(wanted, first)).things == ()


@pytest.mark.parametrize("how", ["nft flush ruleset", "nft delete table ip sluice"])
def test_a_flush_is_put_right(how: str, node: hosts.Node) -> None:
    wanted = rendered(WEB)
    first = node.call(lambda: bring(wanted))
    node.shell(how)
    assert "add table ip sluice" in node.call(lambda: bring(wanted, first)).things
    assert node.call(lambda: netlink.table_exists(IPV6))


def test_a_set_that_is_full_is_made_larger(node: hosts.Node) -> None:
    """All of the table at once, with what is remembered of clients."""
    small = rendered(STICKY)
    first = node.call(lambda: bring(small))
    numbers = str(text.tables(small[text.FILE])[IPV4].elements["sticky"]).split()[0]
    service = f"{numbers[:-3]}000"
    node.shell(f"nft add element ip sluice affinity '{{ 192.0.2.1 . {service} timeout 1h : {numbers} }}'")
    large = rendered(STICKY, *(cases.Service(number) for number in range(10, 1200)))
    second = node.call(lambda: bring(large, first))
    assert node.call(lambda: differs(large, second)) == ()
    assert "192.0.2.1" in node.run("nft", "list", "map", "ip", "sluice", "affinity").stdout
    assert node.call(lambda: netlink.frame(IPV4)).sizes["lists"] == 4096  # type: ignore[union-attr]


def test_how_many_clients_are_remembered_is_a_setting(node: hosts.Node) -> None:
    first = node.call(lambda: bring(rendered(STICKY)))
    number = str(text.tables(rendered(STICKY)[text.FILE])[IPV4].elements["sticky"]).split()[0]
    clients = ", ".join(f"192.0.2.{each} . {number[:-3]}000 timeout 1h : {number}" for each in range(1, 6))
    node.shell(f"nft add element ip sluice affinity '{{ {clients} }}'")
    wanted = rendered(STICKY, affinity_clients=3)
    things = tuple(f"change sets of table {family} sluice" for family in ("ip", "ip6"))
    assert node.call(lambda: bring(wanted, first)).things == things
    assert node.call(lambda: netlink.frame(IPV6)).sizes["affinity"] == 3  # type: ignore[union-attr]
    assert node.run("nft", "list", "map", "ip", "sluice", "affinity").stdout.count("192.0.2.") == 3, "as many as may be"
    assert node.call(lambda: differs(wanted)) == ()


def test_a_device_that_offloads_is_not_there(node: hosts.Node) -> None:
    """Nothing is lost for it but the short cut: at boot it may come later."""
    wanted = rendered(WEB, flowtable=["nowhere0"])
    first = node.call(lambda: bring(wanted))
    assert "flowtable" not in node.run("nft", "list", "ruleset").stdout
    assert node.call(lambda: (differs(wanted, first), differs(wanted))) == ((), ())


def test_a_change_in_the_middle(node: hosts.Node) -> None:
    """The transaction is for the rule set that was looked at, and for no other."""

    def meddle() -> str:
        first = bring(rendered(WEB))
        with LAYER.look(rendered(WEB, DNS), first.files, first.memory, SETTINGS, check=False) as look:
            look.send(Phase.PREPARE)
            kernel.load("table ip other\n")
            try:
                look.send(Phase.SWITCH)
            except KernelChanged as error:
                return str(error)
        return ""

    assert "restarted" in node.call(meddle)


def test_a_kube_proxy_s_table(node: hosts.Node) -> None:
    node.shell("nft add table ip kube-proxy; nft add table ip6 kube-proxy")

    def left() -> list[Leftover]:
        with LAYER.look(rendered(WEB), {}, Memory(), SETTINGS, check=True) as look:
            assert not any("kube-proxy" in change.thing for change in look.changes)
            return list(look.leftovers)

    assert node.call(left) == [
        Leftover("the table ip kube-proxy", "IPv4", []),
        Leftover("the table ip6 kube-proxy", "IPv6", []),
    ]
    taken = node.call(lambda: bring(rendered(WEB), settings={**SETTINGS, "takeover": True}))
    assert "remove table ip kube-proxy" in taken.things
    assert "kube-proxy" not in node.run("nft", "list", "tables").stdout


def test_what_is_held_brings_it_back(node: hosts.Node) -> None:
    """As for a change that is not confirmed, where nothing is known of the last apply."""
    wanted = rendered(WEB, STICKY)

    def held() -> Files:
        bring(wanted)
        with LAYER.look({}, {}, Memory(), SETTINGS, check=True) as look:
            return look.held().files

    files = node.call(held)
    before = listed(node)
    node.shell("nft flush ruleset")
    node.call(lambda: bring(files))
    assert listed(node) == before


def test_random_catalogues_follow_each_other(node: hosts.Node, record_property: Any) -> None:
    seed = random.randrange(2**32)
    print(f"test_nftables.py: seed {seed}", flush=True)
    source = random.Random(seed)
    services = cases.random_services(source, range(1, 40))
    done = node.call(lambda: bring(rendered(*services.values())))
    for _step in range(12):
        services = cases.random_step(source, services, range(1, 60))
        wanted = rendered(*services.values())
        before = done if source.random() < 0.7 else done._replace(memory=Memory())
        done = node.call(lambda wanted=wanted, before=before: bring(wanted, before))  # type: ignore[misc]
        assert node.call(lambda wanted=wanted, done=done: differs(wanted, done)) == ()  # type: ignore[misc]


def test_packets_find_their_endpoints(network: load.Network) -> None:
    """Before, while and after the kernel is changed."""
    several = (WEB, DNS, STICKY)
    with_traffic = network.serve(several)
    network.node.call(lambda: bring(rendered(*several)))
    for service in several:
        found = {network.ask(service.address, 80, service.protocol) for _turn in range(20)}
        assert found <= {f"{pod} {service.target_port}" for pod in service.endpoints}
        assert len(found) == (1 if service is STICKY else 2)
    assert network.ask(cases.NODE_ADDRESS, 30002, "UDP").startswith("10.1.0.1")
    with_traffic.kill()


def test_what_of_others_is_in_the_way(node: hosts.Node) -> None:
    """Docker's policy is in either variant of iptables."""
    node.call(lambda: bring(rendered(WEB)))
    assert node.call(lambda: obstacles.obstacles([IPV4, IPV6])) == []
    node.shell("iptables-nft -P FORWARD DROP; ip6tables-legacy -P FORWARD DROP")
    node.shell("nft 'add table inet o; add chain inet o c { type nat hook prerouting priority -150; }'")
    four, six = (node.call(lambda family=family: obstacles.obstacles([family])) for family in (IPV4, IPV6))
    assert [line.partition(" drops ")[0].partition(" may ")[0] for line in (*four, *six)] == [
        "chain c of table inet o (priority -150)",
        "chain FORWARD of table ip filter",
        "chain c of table inet o (priority -150)",
        "chain FORWARD of ip6tables-legacy",
    ]


def test_connections_are_counted(network: load.Network) -> None:
    """Whatever becomes of the endpoints meanwhile; who may not ask the kernel is told nothing of them."""
    node = network.node
    network.serve([WEB, DNS])
    node.apply(with_catalogue(WEB, DNS))
    for _turn in range(5):
        network.ask(WEB.address, 80, "TCP")
    network.ask(cases.NODE_ADDRESS, 30002, "UDP")
    node.apply(with_catalogue(WEB._replace(endpoints=cases.PODS[:3]), DNS))
    network.ask(WEB.address, 80, "TCP")
    head, *lines = node.sluice("get", "services", "-A", "-o", "wide").stdout.splitlines()
    found = {line.split()[1]: line.split()[-1] for line in lines}
    assert head.split()[-1] == "CONNECTIONS"
    assert found["s1"].split(",")[0] == f"{WEB.address}:80/TCP=6"
    assert found["s2"].split(",")[-1] == "*:30002/UDP=1"
    nobody = ("setpriv", "--reuid=65534", "--clear-groups")
    plain = node.run(*nobody, installation.COMMAND, "get", "services", "-A", "-o", "wide")
    assert "CONNECTIONS" not in plain.stdout


def with_catalogue(*services: cases.Service) -> dict[str, str]:
    own, found = settings_of(ip_families=[IPV4, IPV6], backend="nftables"), catalogue(*services)
    return render.render(render.views(found, own), own, compiled.text(found))


def test_source_ranges_let_in_who_is_meant(network: load.Network) -> None:
    """Elements that netlink writes have the form in which nft's rules ask for them, and nft lists them as they are."""
    several = (INVITED, OTHERS)
    with_traffic = network.serve(several)
    wanted = rendered(*several)
    network.node.call(lambda: bring(wanted))
    assert network.ask("203.0.113.4", 80).startswith("10.1.0.1")
    assert not network.ask("203.0.113.5", 80, timeout=0.5).startswith("10.1.0.1")
    number = str(text.tables(wanted[text.FILE])[IPV4].elements["ranges"]).split()[0]
    assert number in network.node.run("nft", "list", "set", "ip", "sluice", "ranges").stdout
    with_traffic.kill()


def test_memory_is_json() -> None:
    assert layer._of_json({}) == layer.Known()
