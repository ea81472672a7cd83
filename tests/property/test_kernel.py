"""Random catalogues through the real iptables: what it saves is what we rendered, line for line."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import strategies
import support
from hypothesis import given
from hypothesis import settings as profile
from support import catalogue, endpoint, endpoint_slice, in_a_namespace, service

from sluice import settings
from sluice.addresses import FAMILIES, IPV4, IPV6
from sluice.backends.iptables import text as ruleset
from sluice.catalogue.model import Catalogue

TOOLS = {IPV4: "iptables", IPV6: "ip6tables"}


def check_kernel(found: Catalogue, own: settings.Settings, variant: str) -> None:
    """Load both families into one empty network namespace, save them, and compare."""
    for family in FAMILIES:
        if not shutil.which(f"{TOOLS[family]}-{variant}-restore"):
            pytest.fail(f"{TOOLS[family]}-{variant}-restore is not installed: the package iptables has it")
        tool, wanted = f"{TOOLS[family]}-{variant}", support.rule_set(found, own, family)
        saved = ruleset.parse(in_a_namespace(f"{tool}-restore --noflush; {tool}-save", ruleset.text(wanted)))
        for table, chains in wanted.items():
            held = {chain: rules for chain, rules in saved[table].items() if chain in chains or rules}
            assert held == chains


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("variant", ["nft", "legacy"])
@profile(max_examples=12)
@given(objects=strategies.catalogues(8), variables=strategies.variables())
def test_kernel_prints_what_we_render(variant: str, objects: list[dict[str, Any]], variables: dict[str, Any]) -> None:
    check_kernel(catalogue(*objects), settings.from_variables(variables)[0], variant)


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize("compat", ["1.18", "1.20", "1.36"])
def test_the_longest_names_fit_into_a_comment(variant: str, compat: str) -> None:
    """63 letters each for namespace, Service and port, and the longest address: the kernel keeps 255 bytes."""
    name, port = "s" * 63, "p" * 63
    ends = {IPV4: "210.244.100.100", IPV6: "fd00:1111:2222:3333:4444:5555:6666:7777"}
    web = service(
        name,
        ip=["210.100.100.100", "fd00:1111:2222:3333:4444:5555:6666:8888"],
        type="LoadBalancer",
        externalTrafficPolicy="Local",
        ingress=["192.0.2.1", "2001:db8::1"],
        loadBalancerSourceRanges=["203.0.113.0/24", "2001:db8:1::/64"],
        healthCheckNodePort=32767,
        ports=[{"name": port, "port": 65535, "nodePort": 32000}],
    )
    ports = [{"name": port, "port": 65535}]
    slices = [
        endpoint_slice(endpoint(ends[family], "node1"), of=name, name=f"s{family.lower()}", family=family, ports=ports)
        for family in FAMILIES
    ]
    for entry in (web, *slices):
        entry["metadata"]["namespace"] = "n" * 63
    variables = {
        "sluice_node_name": "node1",
        "sluice_compat": compat,
        "sluice_ip_families": list(FAMILIES),
        "sluice_cluster_cidrs": ["10.244.0.0/16", "fd00::/16"],
    }
    check_kernel(catalogue(web, *slices), settings.from_variables(variables)[0], variant)
