"""The prefix dispatch leads every packet to the chain that the linear one leads it to."""

from __future__ import annotations

import functools
import ipaddress
import random
import re
from collections.abc import Iterator

import cases
import hosts
import pytest
import support

from sluice.backends.iptables import text as ruleset
from sluice.backends.iptables.ownership import target_of
from sluice.backends.iptables.text import PREFIX_CHAIN as PREFIX

TABLES = ("nat", "filter")
DESTINATION = re.compile(r"(!?) ?-d (\S+)")


def objects(source: random.Random, count: int) -> dict[str, list[dict[str, object]]]:
    """Services by name, their addresses dense, sparse and next to each other's prefixes, in both families."""
    found: dict[str, list[dict[str, object]]] = {}
    used: set[str] = set()
    while len(found) < count:
        low = source.choice([source.randrange(300), source.randrange(1 << 16), 1 << source.randrange(17)])
        four = str(ipaddress.IPv4Address((10 << 24) + (96 << 16) + low % (1 << 16)))
        six = str(ipaddress.IPv6Address((0xFD00_0096 << 96) + (low << source.choice([0, 0, 30]))))
        if {four, six} & used:
            continue
        used |= {four, six}
        name = f"s{len(found)}"
        port = {"name": "", "port": 8080, "protocol": source.choice(["TCP", "UDP"])}
        more: dict[str, object] = {}
        if source.random() < 0.2:
            more = {"type": "LoadBalancer", "ingress": [f"192.0.2.{len(found) % 250 + 1}"]} if len(found) < 250 else {}
        pods = source.sample(cases.PODS, source.choice([0, 1, 2]))
        found[name] = [
            support.service(
                name,
                ip=[four, six],
                ports=[{"port": source.choice([53, 80, 443]), "targetPort": 8080, "protocol": port["protocol"]}],
                **more,
            ),
            support.endpoint_slice(*pods, of=name, ports=[port]),
            support.endpoint_slice(*map(cases.mapped, pods), of=name, ports=[port], family="IPv6"),
        ]
    return found


def both(manifests: dict[str, list[dict[str, object]]]) -> dict[tuple[str, str], ruleset.RuleSet]:
    """The rule sets of a catalogue, by dispatch and family."""
    catalogue = support.catalogue(*(entry for entries in manifests.values() for entry in entries))
    families = ["IPv4", "IPv6"]
    return {
        (dispatch, family): support.rule_set(
            catalogue, support.node(ip_families=families, iptables_dispatch=dispatch), family
        )
        for dispatch in ("linear", "prefix")
        for family in families
    }


@functools.lru_cache(None)
def prefix_of(rule: str) -> tuple[bool, ipaddress.IPv4Network | ipaddress.IPv6Network] | None:
    found = DESTINATION.search(rule)
    return (bool(found[1]), ipaddress.ip_network(found[2])) if found else None


def excludes(rule: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether the rule's destination is another one."""
    found = prefix_of(rule)
    return found is not None and (address in found[1]) == found[0]


def walk(chains: dict[str, list[str]], address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Iterator[str]:
    """The rules that a packet to ``address`` is compared with besides its address, in their order."""

    def below(chain: str) -> Iterator[str]:
        for rule in chains.get(chain, ()):
            if excludes(rule, address):
                continue
            if target_of(rule).startswith(PREFIX):
                yield from below(target_of(rule))
            else:
                yield rule

    return below("KUBE-SERVICES")


@pytest.mark.parametrize("seed", range(6))
def test_same_way(seed: int) -> None:
    source = random.Random(seed)
    rules = both(objects(source, source.choice([10, 16, 17, 40, 300])))
    for family in ("IPv4", "IPv6"):
        linear, prefix = rules["linear", family], rules["prefix", family]
        asked = {
            ipaddress.ip_network(found[2]).network_address + offset
            for table in TABLES
            for rule in linear[table]["KUBE-SERVICES"]
            if (found := DESTINATION.search(rule))
            for offset in (0, 1, 16)
        }
        assert len(asked) > 20
        for address in sorted(asked):
            for table in TABLES:
                assert list(walk(prefix[table], address)) == list(walk(linear[table], address)), address
        for table in TABLES:
            others = {chain: held for chain, held in prefix[table].items() if not chain.startswith(PREFIX)}
            others["KUBE-SERVICES"] = linear[table]["KUBE-SERVICES"]
            assert others == linear[table]


def test_short_way() -> None:
    """What a packet meets on its way does not grow with the catalogue."""
    rules = both(objects(random.Random(1), 1500))
    for family in ("IPv4", "IPv6"):
        nat = rules["prefix", family]["nat"]
        longest = max(len(held) for chain, held in nat.items() if chain.startswith((PREFIX, "KUBE-SERVICES")))
        assert longest <= 40
        assert len(rules["linear", family]["nat"]["KUBE-SERVICES"]) > 900


def test_one_service_changes_one_leaf() -> None:
    """Adding or removing a Service touches one chain of the tree; where a leaf is cut, or put together, a few more."""
    source = random.Random(7)
    all_of_them = objects(source, 400)
    whole = both(all_of_them)
    counts: list[int] = []
    for name in source.sample(sorted(all_of_them), 25):
        less = both({other: entries for other, entries in all_of_them.items() if other != name})
        for family in ("IPv4", "IPv6"):
            now, then = whole["prefix", family], less["prefix", family]
            counts.append(sum(changed_in_tree(now[table], then[table]) for table in TABLES))
    assert min(counts) == 1
    more = sum(count > 2 for count in counts)  # a Service with a load balancer's address is in two leaves
    print(f"{more} of {len(counts)} changes touched more than their leaves, at most {max(counts)} chains")
    assert more <= len(counts) // 5
    assert max(counts) <= 20


def changed_in_tree(now: dict[str, list[str]], then: dict[str, list[str]]) -> int:
    tree = {chain for chain in {*now, *then} if chain.startswith((PREFIX, "KUBE-SERVICES"))}
    return sum(now.get(chain) != then.get(chain) for chain in tree)


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_kernel_takes_it(node: hosts.Node, variant: str, family: str) -> None:
    """There and back, both ways: the kernel holds what was meant."""
    manifests = objects(random.Random(3), 60)
    catalogue = support.catalogue(*(entry for entries in manifests.values() for entry in entries))
    for dispatch in ("prefix", "linear", "prefix"):
        settings = support.node(ip_families=[family], iptables_dispatch=dispatch, iptables_variant=variant)
        node.apply(support.rendered(catalogue, settings))
        assert node.differs() == ()
        assert (PREFIX in node.save(variant, family)) == (dispatch == "prefix")
