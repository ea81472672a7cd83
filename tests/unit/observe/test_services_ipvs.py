"""Which virtual servers belong together, where recorded dumps do not show it."""

from __future__ import annotations

from fractions import Fraction

from sluice.backends.ipvs import ipset_text, text
from sluice.observe import services_ipvs
from sluice.observe.service_ports import Endpoint, ServicePort

SETS = (
    "create KUBE-CLUSTER-IP hash:ip,port family inet\nadd KUBE-CLUSTER-IP 10.96.0.1,tcp:80\n"
    "add KUBE-CLUSTER-IP 10.96.0.2,tcp:80\n"
    "create KUBE-EXTERNAL-IP-LOCAL hash:ip,port family inet\nadd KUBE-EXTERNAL-IP-LOCAL 203.0.113.7,tcp:80\n"
    "create KUBE-NODE-PORT-TCP bitmap:port range 0-65535\nadd KUBE-NODE-PORT-TCP 30080\n"
)


def _ports(servers: str, sets: str = SETS) -> dict[str, ServicePort]:
    return {each.cluster_ip: each for each in services_ipvs.ports(text.parse(servers), ipset_text.parse(sets))}


def test_addresses_join_the_service_with_their_endpoints() -> None:
    found = _ports(
        "-A -t 10.96.0.1:80 -s rr\n-a -t 10.96.0.1:80 -r 10.1.0.1:80 -m -w 1\n"
        "-a -t 10.96.0.1:80 -r 10.1.0.2:80 -m -w 1\n"
        "-A -t 10.96.0.2:80 -s rr\n-a -t 10.96.0.2:80 -r 10.1.0.3:80 -m -w 1\n"
        "-A -t 203.0.113.7:80 -s rr\n-a -t 203.0.113.7:80 -r 10.1.0.2:80 -m -w 1\n"
        "-A -t 10.0.0.10:30080 -s rr\n-a -t 10.0.0.10:30080 -r 10.1.0.3:80 -m -w 1\n"
    )
    first, second = found["10.96.0.1"], found["10.96.0.2"]
    assert (first.external_ips, first.external_policy) == (("203.0.113.7",), "Local")
    assert first.local_endpoints == (Endpoint("10.1.0.2:80", Fraction(1), 1),)
    assert (second.node_port, second.node_addresses, second.entries) == (30080, ("10.0.0.10",), 4)


def test_addresses_of_which_nobody_can_tell_whose_they_are_stand_for_themselves() -> None:
    found = _ports(
        "-A -t 10.96.0.1:80 -s rr\n-a -t 10.96.0.1:80 -r 10.1.0.1:80 -m -w 1\n"
        "-A -t 10.96.0.2:80 -s rr\n-a -t 10.96.0.2:80 -r 10.1.0.1:80 -m -w 1\n"
        "-A -t 10.0.0.10:30080 -s rr\n-a -t 10.0.0.10:30080 -r 10.1.0.1:80 -m -w 1\n"
    )
    assert sorted(found) == ["", "10.96.0.1", "10.96.0.2"]
    assert (found[""].node_port, found[""].family) == (30080, "IPv4")


def test_weights_and_persistence() -> None:
    found = _ports(
        "-A -t 10.96.0.1:80 -s wrr -p 600\n-a -t 10.96.0.1:80 -r 10.1.0.1:80 -m -w 3\n"
        "-a -t 10.96.0.1:80 -r 10.1.0.2:80 -m -w 1\n-a -t 10.96.0.1:80 -r 10.1.0.3:80 -m -w 0\n"
    )["10.96.0.1"]
    assert found.affinity_seconds == 600
    assert found.endpoints == (
        Endpoint("10.1.0.1:80", Fraction(3, 4), 3),
        Endpoint("10.1.0.2:80", Fraction(1, 4), 1),
    )


def test_what_is_drained_does_not_part_addresses() -> None:
    """kube-proxy lets endpoints that are gone keep their connections, of each address as long as that has some."""
    (found,) = _ports(
        "-A -t 10.96.0.1:80 -s rr\n-a -t 10.96.0.1:80 -r 10.1.0.1:80 -m -w 1\n"
        "-a -t 10.96.0.1:80 -r 10.1.0.9:80 -m -w 0\n"
        "-A -t 10.0.0.10:30080 -s rr\n-a -t 10.0.0.10:30080 -r 10.1.0.1:80 -m -w 1\n"
    ).values()
    assert (found.node_port, found.entries) == (30080, 4)
    assert found.endpoints == (Endpoint("10.1.0.1:80", Fraction(1), 1),)
