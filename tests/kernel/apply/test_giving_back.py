"""A node goes back to a kube-proxy that comes without a word: it finds no rule of ours in its way."""

from __future__ import annotations

import time
from typing import Any, Callable

import cases
import hosts
import kube_proxy_sync
import load
import pytest
from kube_proxy_sync import OF_SERVICES, RELEASES, KubeProxy, as_kube_proxy, golden, together

from sluice.addresses import FAMILIES, IPV4
from sluice.backends.iptables import text as ruleset
from sluice.backends.iptables.kernel import VARIANTS
from sluice.backends.iptables.ownership import is_ours, target_of
from sluice.backends.iptables.text import BUILT_IN, OWNER_CHAIN, PREFIX_CHAIN, RuleSet

DISPATCHES = ("linear", "prefix")
SERVICES = [
    cases.Service(
        number,
        endpoints=cases.PODS[: number % 4],  # some are refused, by a tree in filter as well
        node_port=30000 + number if number % 3 == 0 else 0,
        more=(("externalTrafficPolicy", "Local"),) if number % 6 == 0 else (),
    )
    for number in range(100)
]
BOTH = list(FAMILIES)


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=DISPATCHES)
def dispatch(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def rendered(services: list[cases.Service], variant: str, release: str, **more: Any) -> dict[str, str]:
    return cases.rendered(services, iptables_variant=variant, compat=release, ip_families=BOTH, **more)


def wanted(services: list[cases.Service], release: str, *more: str) -> dict[str, RuleSet]:
    """What a kube-proxy has for ``services``, the two-family Service of tests/golden and ``more`` cases of IPv4."""
    found = {}
    for family, rules in ruleset.parse_files(rendered(services, "nft", release)).items():
        frame = golden(release, "37-dual-stack", family)
        recorded = [golden(release, case) for case in more] if family == IPV4 else []
        found[family] = together(frame, *recorded, as_kube_proxy(rules, frame))
    return found


def is_as_wanted(held: RuleSet, rules: RuleSet, *, is_marked: bool = True) -> None:
    """In nat, all that a packet can meet and all that bears the name of a Service's chain is the kube-proxy's."""
    nat, own = held["nat"], rules["nat"]
    kubelet = {"KUBE-MARK-DROP": nat.get("KUBE-MARK-DROP")}  # 1.20 writes nothing into it
    expected = {**own, **kubelet} if "KUBE-MARK-DROP" in own else own
    there = {chain: found for chain, found in nat.items() if found or chain not in BUILT_IN["nat"]}
    assert there.pop(kube_proxy_sync.CANARY) == []
    assert there.pop(OWNER_CHAIN, None) == ([] if is_marked else None)
    assert there == {chain: found for chain, found in expected.items() if found or chain not in BUILT_IN["nat"]}
    for chain, found in rules["filter"].items():
        assert _without_a_kubelet_s(held["filter"][chain]) == _without_a_kubelet_s(found), chain


def _without_a_kubelet_s(rules: list[str]) -> list[str]:
    return [rule for rule in rules if target_of(rule) != "KUBE-FIREWALL"]


def test_a_kube_proxy_comes_back(node: hosts.Node, variant: str, release: str, dispatch: str) -> None:
    """Its first sync, one with two Services fewer and one more, and its cleanup: nothing of ours makes one fail."""
    node.apply(rendered(SERVICES, variant, release, iptables_dispatch=dispatch))
    proxy = KubeProxy(node, variant, release)
    for rules in (
        wanted(SERVICES[:80], release, "01-walkthrough-kubernetes-lb"),
        wanted(SERVICES[1:80], release, "11-sctp"),
        wanted(SERVICES[1:60], release, "11-sctp"),
    ):
        proxy.sync(rules)
        for family, own in rules.items():
            is_as_wanted(ruleset.parse(node.save(variant, family)), own)
    for family in BOTH:
        left = set(ruleset.parse(node.save(variant, family))["filter"])
        assert any(chain.startswith(PREFIX_CHAIN) for chain in left) == (dispatch == "prefix"), (
            "it knows none in filter"
        )
    proxy.cleanup(BOTH)
    for family in BOTH:
        left = ruleset.parse(node.save(variant, family))
        assert [chain for chain in left["nat"] if chain.startswith(OF_SERVICES)] == []
        assert [rule for rules in left["nat"].values() for rule in rules if is_ours(target_of(rule))] == []
    assert node.call(hosts.apply.remove).changed
    for family in BOTH:
        held = ruleset.parse(node.save(variant, family))
        assert [
            chain for chains in held.values() for chain in chains if chain.startswith(("SLUICE-", PREFIX_CHAIN))
        ] == []


def test_what_is_left_goes_when_sluice_goes(node: hosts.Node, variant: str, release: str, dispatch: str) -> None:
    """The rules are the kube-proxy's from its first sync on."""
    ours = rendered(SERVICES, variant, release, iptables_dispatch=dispatch)
    node.apply(ours)
    rules = wanted(SERVICES[1:], release)
    KubeProxy(node, variant, release).sync(rules)
    node.write(ours)
    assert "sluice_takeover" in node.sluice("apply", check=False).stderr
    node.sluice("remove")
    for family, own in rules.items():
        held = node.save(variant, family)
        assert "SLUICE-" not in held
        assert PREFIX_CHAIN not in held
        is_as_wanted(ruleset.parse(held), own, is_marked=False)
    assert node.sluice("remove").stdout.startswith("changed=0")
    node.write(ours)
    assert "sluice_takeover" in node.sluice("apply", check=False).stderr


def test_no_connection_is_lost(network: load.Network, variant: str, release: str, dispatch: str) -> None:
    """From Sluice to a kube-proxy with the same Services, by a takeover to Sluice, and back again."""
    node = network.node
    services = [each for each in SERVICES[:60] if each.endpoints and not each.more]
    network.serve(services)
    ours = rendered(services, variant, release, iptables_dispatch=dispatch, takeover=True)
    theirs = {
        family: as_kube_proxy(rules, golden(release, "37-dual-stack", family))
        for family, rules in ruleset.parse_files(rendered(services, variant, release)).items()
    }
    node.apply(ours)
    targets = [(address, each.target_port) for each in services for address in _addresses(each)]
    client = network.request(targets, rate=300, held=40)
    spans = []

    def change(what: Callable[[], Any]) -> None:
        begun = time.monotonic()
        what()
        spans.append((begun, time.monotonic()))

    for _turn in range(2):
        change(lambda: KubeProxy(node, variant, release).sync(theirs))
        change(lambda: node.apply(ours))
        assert node.differs() == ()
    outcome = client.stop()
    assert outcome.faults == {}, outcome
    for begun, ended in spans:
        assert any(begun <= answer.begun <= ended for answer in outcome.answers)
    assert {":" in answer.service for answer in outcome.answers} == {False, True}


@pytest.mark.parametrize("wanted", cases.PLANES)
@pytest.mark.parametrize("release", ["1.36"])
def test_no_connection_is_lost_by_a_takeover_from_elsewhere(
    network: load.Network, variant: str, wanted: str, release: str
) -> None:
    """Rules of a kube-proxy in ``variant`` go, and ours are in another one, or in tables of nftables."""
    node = network.node
    services = [each for each in SERVICES[:30] if each.endpoints and not each.more]
    network.serve(services)
    for family, rules in ruleset.parse_files(rendered(services, variant, release)).items():
        frame = golden(release, "37-dual-stack", family)
        KubeProxy(node, variant, release).sync({family: as_kube_proxy(rules, frame)})
    targets = [(address, each.target_port) for each in services for address in _addresses(each)]
    client = network.request(targets, rate=200, held=40)
    node.apply(cases.rendered(services, ip_families=BOTH, takeover=True, **cases.settings_of(wanted)))
    assert node.differs() == ()
    outcome = client.stop()
    assert outcome.faults == {}, outcome
    held = [node.save(each, family) for each in VARIANTS for family in BOTH]
    assert sum("KUBE-SERVICES" in each for each in held) == (0 if wanted == "nftables" else len(BOTH))


def _addresses(service: cases.Service) -> tuple[str, str]:
    return service.address, cases.mapped(service.address)
