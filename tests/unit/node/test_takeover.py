"""What other Service proxies have left is only replaced where the settings say so, of each address family."""

from __future__ import annotations

from typing import Any

from sluice.addresses import IPV4, IPV6
from sluice.backends.interface import Leftover
from sluice.node import takeover

CHAINS = Leftover("nat/KUBE-SERVICES and 12 more chains of iptables-nft", IPV4, ["10.96.0.1"])
TABLE = Leftover("the table ip6 kube-proxy", IPV6, ["fd00::1", "fd00::2", "fd00::3", "fd00::4", "fd00::5"])
EMPTY = TABLE._replace(services=[])


def settings(**given: Any) -> dict[str, Any]:
    return {"takeover": True, "takeover_families": [], "ip_families": [IPV4], **given}


def test_nothing_left_is_nothing_wrong() -> None:
    assert takeover.faults([], settings(takeover=False)) == takeover.faults([], settings()) == []


def test_all_that_is_left_is_told_in_one_line() -> None:
    (line,) = takeover.faults([CHAINS, TABLE], settings(takeover=False))
    assert f"a kubelet has left {CHAINS.name}, {TABLE.name} here" in line
    assert "sluice_takeover: true says that they may be replaced" in line


def test_a_family_that_nobody_spoke_of_does_not_go() -> None:
    (line,) = takeover.faults([CHAINS, TABLE], settings())
    assert line == (
        "the table ip6 kube-proxy serves Services at fd00::1, fd00::2, fd00::3 and 2 more, which would go without "
        "another: sluice_ip_families leaves IPv6 out; name it there, or in sluice_takeover_families if they may go"
    )
    assert takeover.faults([CHAINS, TABLE], settings(ip_families=[IPV4, IPV6])) == []
    assert takeover.faults([CHAINS, TABLE], settings(takeover_families=[IPV6])) == []
    assert len(takeover.faults([CHAINS, TABLE], settings(ip_families=[], takeover_families=["IPv4"]))) == 1


def test_a_family_without_services_goes() -> None:
    assert takeover.faults([CHAINS, EMPTY], settings()) == []


def test_what_stays_is_told() -> None:
    assert takeover.stays([EMPTY]) == ["left by another Service proxy, and stays: the table ip6 kube-proxy"]
