"""What ip(8) prints of addresses."""

from __future__ import annotations

import pytest

from sluice.system import links
from sluice.system.tools import NodeError

BRIEF = """\
lo               UNKNOWN        127.0.0.1/8 ::1/128 
eth0@if7         UP             172.18.0.2/24 metric 1024 2001:db8::2/64 fe80::1/64 
tun0             UNKNOWN        10.8.0.2 peer 10.8.0.1/32 
kube-ipvs0       DOWN           10.96.0.1/32 fd00:96::1/128 
bare             DOWN           
"""  # noqa: W291  # as ip pads it


def test_addresses_by_device() -> None:
    found = links.parse_brief(BRIEF)
    assert found == {
        "lo": ("127.0.0.1/8", "::1/128"),
        "eth0": ("172.18.0.2/24", "2001:db8::2/64", "fe80::1/64"),
        "tun0": ("10.8.0.2/32",),
        "kube-ipvs0": ("10.96.0.1/32", "fd00:96::1/128"),
        "bare": (),
    }
    assert links.own_addresses(found, "kube-ipvs0")[-1] == "10.8.0.2"


def test_ip_is_asked() -> None:
    assert "lo" in links.prefixes()
    assert {"lo"} <= {link["ifname"] for link in links.ask("address")}
    with pytest.raises(NodeError, match=r"^ip -json no-such-object: "):
        links.ask("no-such-object")


def test_an_address_on_two_devices_is_one() -> None:
    found = {"a": ("10.0.0.1/24", "10.0.0.2/24"), "b": ("10.0.0.1/32",)}
    assert links.own_addresses(found, []) == ["10.0.0.1", "10.0.0.2"]
    assert links.own_addresses(found, ["a"]) == ["10.0.0.1"]
