"""The iptables backend: its files by setting, and what they need of a node."""

from __future__ import annotations

from support import catalogue, endpoint_slice, node, rendered, service

from sluice import render
from sluice.addresses import IPV4, IPV6
from sluice.backends.interface import Needs
from sluice.backends.iptables.backend import BACKEND
from sluice.backends.iptables.dispatch import MANY_ADDRESSES

MANY = catalogue(
    *(service(f"web{n}", ip=f"10.96.{n}.1") for n in range(20)),
    *(endpoint_slice("10.244.1.1", of=f"web{n}") for n in range(20)),
)


def test_a_file_for_each_family() -> None:
    assert set(rendered(MANY, node())) == {"settings.json", "iptables.rules"}
    assert set(rendered(MANY, node(ip_families=[IPV6]))) == {"settings.json", "ip6tables.rules"}


def test_dispatch_by_setting() -> None:
    linear, prefix = (rendered(MANY, node(iptables_dispatch=how))["iptables.rules"] for how in ("linear", "prefix"))
    assert ":KUBE-SVC-PFX-" not in linear
    assert ":KUBE-SVC-PFX-" in prefix


def test_a_long_list_becomes_a_tree_by_itself() -> None:
    """Each dispatch chain by the addresses in it: those without endpoints are in filter's."""
    for own in (MANY_ADDRESSES, MANY_ADDRESSES + 1):
        services = [service(f"web{n}", ip=f"10.96.{n // 250}.{n % 250 + 1}") for n in range(own)]
        served = [endpoint_slice("10.244.1.1", of=f"web{n}") for n in range(own)]
        how = "linear" if own == MANY_ADDRESSES else "prefix"
        for objects in (services, [*services, *served]):
            auto, explicit = (
                rendered(catalogue(*objects), node(iptables_dispatch=each))["iptables.rules"] for each in ("auto", how)
            )
            assert auto == explicit


def test_needs() -> None:
    redirects = {"send_redirects": True, "accept_redirects": True}
    own = node(ip_families=[IPV4, IPV6], nodeport_addresses=["10.0.0.0/8"], **redirects)
    forwarding = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}
    assert render.needs({}, own, (6, 1)) == Needs(forwarding, ["nf_conntrack"])


def test_clients_of_session_affinity_are_an_option_of_the_kernel_s_module() -> None:
    """IPVS counts none (test_backend.py of that backend)."""
    needs = [render.needs({}, node(affinity_clients=number), (6, 1)) for number in (0, 5000)]
    assert [each.module_options for each in needs] == [{}, {"xt_recent": {"ip_list_tot": "5000"}}]


def test_addresses_of_the_node_are_in_files_where_networks_serve_node_ports() -> None:
    ported = catalogue(service(type="NodePort", ports=[{"port": 80, "nodePort": 30080}]))
    for own, names in ((node(), False), (node(nodeport_addresses=["10.0.0.0/8"]), True)):
        assert BACKEND.names_own(render.views(ported, own), own) is names
        assert not BACKEND.names_own(render.views(MANY, own), own)
