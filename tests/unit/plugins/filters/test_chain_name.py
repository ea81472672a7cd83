"""The filter chain_name gives the name that the engine gives, and refuses what is no protocol."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.sluice.lb.plugins.filter.chain_name import FilterModule

chain_name = FilterModule().filters()["chain_name"]


def test_published_names() -> None:
    assert chain_name("kube-system/kubernetes-lb:", "KUBE-SVC-") == "KUBE-SVC-EFPSQH5654KMWHJ5"
    assert chain_name("kube-system/kubernetes-lb:", "KUBE-SVC-", "tcp") == "KUBE-SVC-EFPSQH5654KMWHJ5"


def test_an_endpoint_has_its_own() -> None:
    found = {chain_name("shop/web", "KUBE-SEP-", "TCP", f"10.0.0.{n}:80") for n in range(3)}
    assert len(found) == 3
    assert chain_name("shop/web", "KUBE-SEP-") not in found


def test_what_is_no_protocol() -> None:
    with pytest.raises(AnsibleFilterError, match=r"^sluice.lb.chain_name: 'ICMP' is not one of TCP, UDP, SCTP$"):
        chain_name("shop/web", "KUBE-SVC-", "ICMP")
