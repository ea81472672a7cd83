"""What a node's kernel needs beside the files."""

from __future__ import annotations

from typing import Any

import pytest
import support

from sluice import render
from sluice.backends.interface import Needs
from sluice.backends.ipvs.backend import BACKEND
from sluice.catalogue.model import Catalogue, Service, ServicePort
from sluice.settings import Settings

IPVS = Settings(backend="ipvs", node_name="lb1", node_addresses=("127.0.0.1", "192.0.2.1"))


def catalogue(*schedulers: str) -> Catalogue:
    services = [
        Service(
            namespace="shop",
            name=f"web{number}",
            type="ClusterIP",
            cluster_ips=(f"10.96.0.{number}",),
            ports=(ServicePort("", "TCP", 80, 8080, 0),),
            annotations=(("scheduler", scheduler),),
        )
        for number, scheduler in enumerate(schedulers, 1)
    ]
    return Catalogue(services=tuple(services), host_ports=(), nodes=())


def needs(found: Catalogue, own: Settings, kernel: tuple[int, int] = (6, 1)) -> Needs:
    return render.needs(render.views(found, own), own, kernel)


def test_modules_of_every_scheduler_in_use() -> None:
    found = needs(catalogue("mh", "sh"), IPVS._replace(ipvs_scheduler="wrr")).modules
    assert {"ip_vs", "dummy", "ip_vs_wrr", "ip_vs_mh", "ip_vs_sh"} <= set(found)
    assert "ip_vs_rr" not in found
    assert needs(catalogue("mh"), Settings()).modules == ["nf_conntrack"]


@pytest.mark.parametrize(("kernel", "value"), [((4, 19), "0"), ((5, 8), "0"), ((5, 9), "1"), ((6, 1), "1")])
def test_port_reuse_follows_the_kernel(kernel: tuple[int, int], value: str) -> None:
    assert needs(Catalogue(), IPVS, kernel).sysctls["net.ipv4.vs.conn_reuse_mode"] == value


def test_sysctls_of_ipvs_are_only_for_ipvs() -> None:
    assert not [name for name in needs(Catalogue(), Settings()).sysctls if ".vs." in name]
    assert needs(Catalogue(), IPVS._replace(ipvs_strict_arp=True)).sysctls["net.ipv4.conf.all.arp_ignore"] == "1"
    assert "net.ipv4.conf.all.arp_ignore" not in needs(Catalogue(), IPVS).sysctls


def test_loopback_is_opened_where_it_serves_node_ports() -> None:
    opened = "net.ipv4.conf.all.route_localnet"
    assert opened in needs(Catalogue(), IPVS._replace(compat="1.20")).sysctls
    assert opened not in needs(Catalogue(), IPVS).sysctls
    assert opened in needs(Catalogue(), Settings()).sysctls


def test_ipvs_has_no_limit_of_clients() -> None:
    assert not needs(Catalogue(), IPVS._replace(affinity_clients=5000)).module_options


def test_files_that_the_kernel_s_tools_take() -> None:
    """ipvsadm takes no comments."""
    found = support.rendered(catalogue("rr"), IPVS)
    assert found["ipvs.conf"] == "-A -t 10.96.0.1:80 -s rr\n"
    assert found["addresses"] == "10.96.0.1/32\n"
    assert "#" not in found["ipset.conf"]


def test_addresses_of_the_node_are_in_files_with_node_ports() -> None:
    def names_own(entry: dict[str, Any]) -> bool:
        return BACKEND.names_own(render.views(support.catalogue(entry), IPVS), IPVS)

    assert names_own(support.service(type="NodePort", ports=[{"port": 80, "nodePort": 30080}]))
    assert not names_own(support.service())
