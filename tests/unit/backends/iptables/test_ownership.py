"""Whose chains are whose: by their names, and by what stands beside them."""

from __future__ import annotations

import pytest

from sluice.backends.iptables.ownership import is_ours, leftovers, marks, owned, target_of
from sluice.backends.iptables.text import OWNER_CHAIN

OURS = {OWNER_CHAIN: [], "KUBE-SERVICES": ["-p tcp -j KUBE-SVC-A"], "KUBE-SVC-A": ["-j RETURN"]}


@pytest.mark.parametrize(
    ("rule", "target"),
    [
        ("-p tcp -j KUBE-SVC-A", "KUBE-SVC-A"),
        ("-g KUBE-SVC-A", "KUBE-SVC-A"),
        ('-m comment --comment "x -j KUBE-B" -j DROP', "DROP"),
        ("-j REJECT --reject-with x", "REJECT"),
        ('-m comment --comment "only matches"', ""),
    ],
)
def test_target(rule: str, target: str) -> None:
    assert target_of(rule) == target


def test_whose_chains_are() -> None:
    assert all(map(is_ours, ("KUBE-SERVICES", "SLUICE-OWNER")))
    assert not any(map(is_ours, ("DOCKER", "INPUT", "KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY")))
    held = {
        "nat": {**OURS, "OUTPUT": ["-j DOCKER", "-j KUBE-SERVICES"], "DOCKER": []},
        "mangle": {"KUBE-IPTABLES-HINT": [], "INPUT": ["-j LOG"]},
    }
    assert owned(held) == {"nat": {**OURS, "OUTPUT": ["-j KUBE-SERVICES"]}}


def test_chains_of_a_kube_proxy() -> None:
    """Nothing beside them says that they are ours."""
    assert leftovers({"nat": {**OURS, "DOCKER": []}}) == []
    assert leftovers({"nat": {"KUBE-SERVICES": [], "DOCKER": []}, "filter": {OWNER_CHAIN: [], "KUBE-FORWARD": []}}) == [
        "nat/KUBE-SERVICES"
    ]
    for tree in ("KUBE-SVC-PFX-AAAAAAAAAAAAAAA", "KUBE-PFX-AAAAAAAAAAAAAAAA"):
        assert leftovers({"nat": {"KUBE-SERVICES": [], tree: []}}) == []


def test_what_a_kube_router_makes_is_not_ours() -> None:
    """Its network policies, whether or not ours are beside them."""
    theirs = {"KUBE-ROUTER-INPUT": ["-j KUBE-POD-FW-X"], "KUBE-POD-FW-X": ["-j KUBE-NWPLCY-X"], "KUBE-NWPLCY-X": []}
    rules = {"filter": {"INPUT": ["-j KUBE-ROUTER-INPUT"], OWNER_CHAIN: [], "KUBE-FORWARD": [], **theirs}}
    assert leftovers({"filter": theirs}) == []
    assert owned(rules) == {"filter": {OWNER_CHAIN: [], "KUBE-FORWARD": []}}


def test_a_kube_proxy_that_came_later() -> None:
    """Its chain beside ours says so; of ours the marks are left."""
    rules = {**OURS, "KUBE-PROXY-CANARY": [], "KUBE-SVC-PFX-A": []}
    assert leftovers({"nat": rules}) == ["nat/KUBE-SERVICES", "nat/KUBE-SVC-A", "nat/KUBE-PROXY-CANARY"]
    assert marks(rules) == {OWNER_CHAIN: [], "KUBE-SVC-PFX-A": []}
