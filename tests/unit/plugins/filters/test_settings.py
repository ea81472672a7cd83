"""The filter settings completes a host's variables: what was found on the node, then the defaults."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.sluice.lb.plugins.filter.settings import FilterModule

from sluice.settings import Settings, to_variables

settings = FilterModule().filters()["settings"]
FACTS = {"addresses": ["127.0.0.1", "10.0.0.1"], "ips": ["10.0.0.1"], "kernel": [6, 1]}


def test_every_setting_is_there() -> None:
    found = settings({"inventory_hostname": "lb1", "ansible_host": "lb1.example.com", "sluice_catalogue": "services"})
    assert found == to_variables(Settings(node_name="lb1", node_addresses=("127.0.0.1", "::1")))


def test_facts_fill_in_what_is_not_said() -> None:
    found = settings({"inventory_hostname": "lb1"}, FACTS)
    assert (found["sluice_node_addresses"], found["sluice_node_ips"]) == (FACTS["addresses"], FACTS["ips"])
    said = {"inventory_hostname": "lb1", "sluice_node_name": "node1", "sluice_node_ips": ["10.0.0.9"]}
    found = settings({**said, "sluice_node_addresses": None}, FACTS)
    assert (found["sluice_node_name"], found["sluice_node_ips"]) == ("node1", ["10.0.0.9"])
    assert found["sluice_node_addresses"] == FACTS["addresses"], "null says nothing"


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ({"ansible_host": "192.0.2.1"}, ["192.0.2.1"]),
        ({"ansible_host": "lb1.example.com"}, []),
        ({"ansible_host": "192.0.2.1", "sluice_node_ips": ["10.0.0.1", "fd00::1"]}, ["10.0.0.1", "fd00::1"]),
    ],
)
def test_addresses_that_are_known_without_asking(said: dict[str, object], known: list[str]) -> None:
    found = settings({"inventory_hostname": "lb1", **said})
    assert found["sluice_node_addresses"] == ["127.0.0.1", "::1", *known]
    given = settings({"inventory_hostname": "lb1", **said, "sluice_node_addresses": ["10.0.0.9"]})
    assert given["sluice_node_addresses"] == ["10.0.0.9"]


def test_one_line_for_every_fault() -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        settings({"inventory_hostname": "lb1", "sluice_backend": "x", "sluice_masquerade_bit": 99})
    assert str(caught.value).splitlines() == [
        "host lb1: sluice_backend: must be one of iptables, ipvs, nftables, is 'x'",
        "host lb1: sluice_masquerade_bit: must be a whole number from 0 to 31, is 99",
    ]


@pytest.mark.parametrize("name", ["../lb1", "a/b", "..", ".", "a b", "a\nb", "a\x1b[0m", "/etc"])
def test_a_host_whose_name_cannot_be_that_of_a_folder(name: str) -> None:
    """playbooks/render.yml writes its files below it, whatever else the node is called."""
    for more in ({}, {"sluice_node_name": "lb1"}):
        with pytest.raises(AnsibleFilterError) as caught:
            settings({"inventory_hostname": name, "sluice_masquerade_bit": 99, **more})
        lines = str(caught.value).splitlines()
        assert len(lines) == 2
        assert lines[0].endswith(": inventory_hostname: must be a name, without blanks and slashes")
        assert all(map(str.isprintable, lines))


@pytest.mark.parametrize("name", ["lb_1.example.com", "LB-1", "192.0.2.1", "fd00::1", "löb", "a..b"])
def test_other_names_are_fine(name: str) -> None:
    assert settings({"inventory_hostname": name})["sluice_node_name"] == name.lower(), "as kube-proxy writes its own"
