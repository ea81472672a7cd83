"""Virtual servers, addresses and IP sets that do not fit together."""

from __future__ import annotations

from planted import odd, recorded, said, without


def _planted(suffix: str, part: str, case: str = "16-loadbalancer") -> str:
    held = recorded(case, "ipvs")
    held[suffix] = without(held[suffix], part)
    return said(*held.values())


def test_virtual_server_without_its_address() -> None:
    assert "! virtual server whose address is not on kube-ipvs0: ipvs: tcp 10.96.0.50:80" in _planted(
        ".addresses", "10.96.0.50"
    )


def test_address_without_a_virtual_server() -> None:
    found = _planted(".ipvs", "198.51.100.9")
    assert "! address on kube-ipvs0 without a virtual server: kube-ipvs0: 198.51.100.9" in found
    assert "! address in an IP set without a virtual server" in found


def test_virtual_server_in_no_set() -> None:
    assert "! virtual server that is in no IP set: ipvs: tcp 10.96.0.50:80" in _planted(".ipset", "add KUBE-CLUSTER-IP")


def test_virtual_server_without_real_servers() -> None:
    found = _planted(".ipvs", "-a -t 198.51.100.9:80")
    assert "! virtual server without real servers, though other addresses" in found


def test_set_that_no_rule_asks_for() -> None:
    found = _planted(
        ".rules", '-A KUBE-POSTROUTING -m comment --comment "Kubernetes endpoints', "20-loadbalancer-local"
    )
    assert "! IP set with members that no rule asks for: ipset: KUBE-LOOP-BACK" in found


def test_all_weights_are_zero() -> None:
    held = recorded("16-loadbalancer", "ipvs")
    held[".ipvs"] = held[".ipvs"].replace("-m -w 1", "-m -w 0")
    assert "! virtual server whose real servers all have weight 0" in said(*held.values())


def test_addresses_that_were_not_dumped_are_not_missed() -> None:
    held = recorded("16-loadbalancer", "ipvs")
    assert not odd(held[".ipvs"], held[".ipset"])


def test_addresses_of_other_devices_are_no_services() -> None:
    held = recorded("16-loadbalancer", "ipvs")
    shown = "1: lo: <UP>\n    inet 127.0.0.1/8 scope host lo\n2: eth0: <UP>\n    inet 10.0.0.10/24 scope global eth0\n"
    shown += "3: kube-ipvs0: <NOARP>\n" + "".join(
        f"    inet {line} scope global kube-ipvs0\n" for line in held.pop(".addresses").splitlines()
    )
    assert not odd(*held.values(), shown)
    assert "10.96.0.50" in said(*held.values(), without(shown, "10.96.0.50"))
