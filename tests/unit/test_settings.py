"""Variables to settings: what each may hold, every fault in one run, and what a node makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from sluice import settings
from sluice.addresses import IPV4, IPV6
from sluice.faults import InputError
from sluice.settings import PRIMARY, Settings


def read(**variables: Any) -> Settings:
    """The settings of variables without their prefix."""
    found, warnings = settings.from_variables({f"sluice_{name}": value for name, value in variables.items()})
    assert not warnings
    return found


def test_defaults() -> None:
    assert read() == Settings()
    assert read(**dict.fromkeys(Settings._fields)) == Settings(), "null is the default"


@pytest.mark.parametrize(
    ("name", "value", "read_as"),
    [
        ("masquerade_all", "yes", True),
        ("masquerade_all", "False", False),
        ("masquerade_bit", "0", 0),
        ("cluster_cidrs", "10.244.1.7/16, fd00::/64", ("10.244.0.0/16", "fd00::/64")),
        ("node_addresses", ["10.0.0.1/24", "FD00::1"], ("10.0.0.1", "fd00::1")),
        ("ip_families", "IPv6", (IPV6,)),
        ("nodeport_addresses", [PRIMARY, "10.0.0.1/8"], (PRIMARY, "10.0.0.0/8")),
        ("nodeport_range", "1-65535", (1, 65535)),
        ("health_node_port_addresses", [PRIMARY, "10.0.0.1/8"], (PRIMARY, "10.0.0.0/8")),
        ("healthz", "127.0.0.1:1", "127.0.0.1:1"),
        ("healthz", "[FD00:0::1]:10256", "[fd00::1]:10256"),
        ("healthz", "", ""),
        ("affinity_clients", "1000000", 1_000_000),
        ("labels", {"zone": 1}, {"zone": "1"}),
    ],
)
def test_values_are_made_canonical(name: str, value: Any, read_as: Any) -> None:
    assert getattr(read(**{name: value}), name) == read_as


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("masquerade_all", "maybe", "must be true or false, is 'maybe'"),
        ("masquerade_bit", True, "must be a whole number from 0 to 31, is True"),
        ("masquerade_bit", 14.0, "must be a whole number from 0 to 31, is 14.0"),
        ("masquerade_bit", 32, "must be a whole number from 0 to 31, is 32"),
        ("node_name", 1, "must be a string, is 1"),
        ("compat", 1.2, 'must be one of 1.18, 1.20, 1.36, in quotes: "1.20", is 1.2'),
        ("ip_families", ["IPv5"], "must be one of IPv4, IPv6, is 'IPv5'"),
        ("ip_families", [], "must name IPv4, IPv6 or both, is empty"),
        ("cluster_cidrs", ["10.0.0.1"], "'10.0.0.1' is not a CIDR"),
        ("cluster_cidrs", {"a": 1}, "must be a list, is {'a': 1}"),
        ("node_addresses", ["here"], "'here' is not an IP address"),
        ("nodeport_addresses", ["secondary"], "'secondary' is not a CIDR"),
        ("nodeport_range", "30000", "must be a range of ports such as 30000-32767, is '30000'"),
        ("nodeport_range", "2-1", "must be a range of ports such as 30000-32767, is '2-1'"),
        ("nodeport_range", "0-1", "must be a range of ports such as 30000-32767, is '0-1'"),
        ("nodeport_range", "1-65536", "must be a range of ports such as 30000-32767, is '1-65536'"),
        *(
            ("healthz", value, f"must be an address and a port such as 0.0.0.0:10256 or [::]:10256, is {value!r}")
            for value in ("0.0.0.0", ":10256", "::1:10256", "[10.0.0.1]:1", "here:1", "0.0.0.0:0", "0.0.0.0:65536", "a")
        ),
        ("healthz", 10256, "must be a string, is 10256"),
        ("health_node_port_addresses", ["0.0.0.0"], "'0.0.0.0' is not a CIDR"),
        ("labels", ["zone"], "must be a mapping of labels, is ['zone']"),
        ("node_name", "../a", "must be a name, without blanks and slashes, is '../a'"),
        ("node_name", "a\nb", "must be a name, without blanks and slashes, is 'a\\nb'"),
        ("affinity_clients", 1_000_001, "must be a whole number from 0 to 1000000, is 1000001"),
        ("conntrack_max", "many", "must be a whole number from 0 to 100000000, is 'many'"),
        ("metrics_seconds", 0, "must be a whole number from 1 to 86400, is 0"),
        ("metrics_file", False, "must be a string, is False"),
        *(
            (
                "metrics_file",
                path,
                f"must be the absolute path of a file *.prom, of letters, digits, '-', '_' and '.', is {path!r}",
            )
            for path in ("a.prom", "/a", "/a b.prom", "/%h/a.prom", "/a/../b.prom", "/a.prom\n", "//a.prom", "/$x.prom")
        ),
        ("repair_seconds", -1, "must be a whole number from 0 to 86400, is -1"),
    ],
)
def test_bad_values(name: str, value: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(**{name: value})
    (fault,) = caught.value.faults
    assert (fault.field, fault.message) == (f"sluice_{name}", said)


def test_every_fault_in_one_run() -> None:
    with pytest.raises(InputError) as caught:
        settings.from_variables({"sluice_masquerade_bit": 99, "sluice_backnd": "x", "sluice_compat": "2"}, "group.yml")
    assert [(fault.file, fault.field, fault.warning) for fault in caught.value.faults] == [
        ("group.yml", "sluice_backnd", True),
        ("group.yml", "sluice_compat", False),
        ("group.yml", "sluice_masquerade_bit", False),
    ]


def test_other_variables_are_nobody_s_business() -> None:
    found, warnings = settings.from_variables({"ansible_host": "x", 1: 2, "sluice_endpoint_ip": "x", "sluice_wat": 1})
    assert found == Settings()
    assert [str(warning) for warning in warnings] == ["settings: sluice_wat: warning: no such setting"]


def test_the_bit_that_a_release_needs_itself() -> None:
    assert read(masquerade_bit=settings.DROP_BIT, compat="1.36").masquerade_bit == settings.DROP_BIT
    with pytest.raises(InputError, match="15 is the bit of KUBE-MARK-DROP"):
        read(masquerade_bit=settings.DROP_BIT, compat="1.20")


def test_backends_are_those_that_there_are() -> None:
    assert settings.from_variables({"sluice_backend": "b"}, backends=["a", "b"])[0].backend == "b"
    with pytest.raises(InputError, match="sluice_backend: must be one of a, b, is 'c'"):
        settings.from_variables({"sluice_backend": "c"}, backends=["a", "b"])


def test_what_is_written_is_read() -> None:
    own = read(nodeport_range="1-2", labels={"a": "b"}, ip_families=[IPV6, IPV4], takeover=True, node_ips=["fd00::1"])
    assert settings.from_variables(settings.to_variables(own)) == (own, [])


def test_primary_address_of_a_node() -> None:
    own = Settings(node_addresses=("127.0.0.1", "10.0.0.1", "10.0.0.2", "::1", "fd00::1"))
    assert (own.node_ip(IPV4), own.node_ip(IPV6)) == ("10.0.0.1", "fd00::1")
    named = own._replace(node_ips=("10.0.0.2",))
    assert (named.node_ip(IPV4), named.node_ip(IPV6)) == ("10.0.0.2", "fd00::1")
    assert Settings().node_ip(IPV4) == ""


def test_one_cluster_cidr_a_family() -> None:
    own = Settings(cluster_cidrs=("fd00::/64", "10.1.0.0/16", "10.2.0.0/16"))
    assert (own.cluster_cidr(IPV4), own.cluster_cidr(IPV6)) == ("10.1.0.0/16", "fd00::/64")
    assert Settings().cluster_cidr(IPV4) == ""


def test_networks_of_node_ports() -> None:
    own = Settings(node_addresses=("10.0.0.1",), nodeport_addresses=(PRIMARY, "192.168.0.0/16"))
    assert own.nodeport_networks(IPV4) == ("10.0.0.1/32", "192.168.0.0/16")
    assert own.nodeport_networks(IPV6) == ("::/0",), "none of the family is named"
    assert Settings().nodeport_networks(IPV4) == ("0.0.0.0/0",)


def test_networks_of_health_check_node_ports() -> None:
    own = Settings(node_addresses=("10.0.0.1",), nodeport_addresses=(PRIMARY,))
    assert own.health_networks(IPV4) == own.nodeport_networks(IPV4) == ("10.0.0.1/32",)
    own = own._replace(health_node_port_addresses=("0.0.0.0/0",))
    assert (own.health_networks(IPV4), own.nodeport_networks(IPV4)) == (("0.0.0.0/0",), ("10.0.0.1/32",))
