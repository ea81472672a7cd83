"""What ``trace`` predicts of a packet is what the kernel then does: for random catalogues, each backend and dialect.

A node's rules are loaded, dumped by the kernel's own tools, and traced from that dump. Then clients in and out of
source ranges, endpoints, the node itself and loopback ask for real. Every answer is one that was predicted, and all
that was predicted is seen. How often is judged by conntrack: shares are those that were predicted.
SLUICE_TRACE_SEED repeats a run, SLUICE_TRACE says how many catalogues per family.
"""

from __future__ import annotations

import collections
import itertools
import json
import os
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Union

import cases
import crossing
import hosts
import probes
import pytest
import random_catalogues
import support
from crossing import CROWD, DROPPED, GATEWAY, NODE, PODS, PORT, REFUSED, Answers, Crossing, Request
from predictions import P_MINIMUM, Oracle, Prediction, agree, samples
from probes import Probe
from random_catalogues import OF_STICKY, TIMES

from sluice import addresses, chance, render
from sluice.addresses import FAMILIES, IPV4
from sluice.backends.interface import Memo
from sluice.backends.iptables.text import FILES
from sluice.backends.nftables.backend import BACKEND
from sluice.backends.nftables.text import FILE
from sluice.catalogue.model import Catalogue
from sluice.observe import outcomes
from sluice.observe.outcomes import Outcome
from sluice.observe.packets import Packet
from sluice.observe.snapshot import Snapshot, snapshot
from sluice.settings import Settings

THE_NODE, NOWHERE = "the node", "goes on, to an address that nobody has"
CATALOGUES = int(os.environ.get("SLUICE_TRACE", "1"))
SEED = int(os.environ.get("SLUICE_TRACE_SEED", "0")) or random.randrange(1, 2**32)
PLANES = ("1.36 legacy", "1.36 nft", "1.20 legacy", "1.18 nft", "nftables")
SEEN_WITH = 96
"""So often a request is made of which something predicted was not seen: chance misses one of six once in 10^7."""

SHARED, PLACES, CROWDED = 240, 10, 5
"""So many connections are shared out at so many places; at these, which know their clients again, by that many."""


Owners = Mapping[Union[str, int], str]
"""The Services' names, by their addresses and node ports."""


@pytest.fixture(scope="module")
def network(needs_root: None) -> Iterator[Crossing]:
    with crossing.crossing() as found:
        yield found


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("number", range(CATALOGUES))
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_predicted_is_what_becomes(family: str, number: int, plane: str, network: Crossing) -> None:
    print(f"test_trace.py: seed {SEED}", flush=True)
    source = random.Random(f"{SEED} {family} {number}")
    settings = random_catalogues.settings(source, family)
    settings = settings._replace(compat=plane.split()[0] if plane != "nftables" else settings.compat)
    services = random_catalogues.services(source, family)
    pod = random_catalogues.pod(source, family)
    hashed = _annotate(source, services, family) if plane == "nftables" else set()
    catalogue = support.catalogue(*itertools.chain(*services), pod)
    owners = _owners(catalogue)
    requests = [
        each._replace(times=OF_STICKY) if _owner(owners, each) in hashed else each
        for each in random_catalogues.requests(catalogue, family)
    ]
    unload = _load(network, plane, catalogue, settings, family)
    try:
        oracle = Oracle(_dumped(network, plane, family))
        predicted = {}
        for request in requests:
            said = _predicted(oracle, request, _source(network, request, family))
            # Who gets no answer is not remembered either.
            predicted[request._replace(times=TIMES) if said <= {DROPPED, REFUSED} else request] = said
        faults = _odd(network, owners, predicted, family)
        even = [each for each in predicted if _owner(owners, each) not in hashed]
        faults += _shares(network, oracle, predicted, even, source, family)
        assert not faults, "\n".join(faults)
    finally:
        unload()


@pytest.mark.parametrize("where", cases.PLANES)
def test_a_node_is_asked(where: str, node: hosts.Node) -> None:
    """What its kernel holds, and its addresses, without a word of where that is."""
    web = cases.Service(1, cases.PODS[:3], node_port=30001)
    node.ip(f"address add {cases.NODE_ADDRESS}/32 dev lo", "link set lo up")
    node.apply(cases.rendered([web], **cases.settings_of(where)))
    for place in (f"{web.address}:80", f"{cases.NODE_ADDRESS}:30001"):
        told = json.loads(node.sluice("trace", "--to", place, "--json").stdout)
        shares = {each["endpoint"]: each["probability"] for each in told["outcomes"]}
        assert shares == {f"{pod}:{web.target_port}": "1/3" for pod in cases.PODS[:3]}
    lost = node.sluice("trace", "--to", "default/s2", check=False)
    assert (lost.returncode, lost.stderr) == (2, "sluice: --to default/s2: the rules name no such Service\n")


def _annotate(source: random.Random, services: Sequence[list[dict[str, Any]]], family: str) -> set[str]:
    """Give some Services weights, and some a hash of their clients; the names of the latter."""
    hashed = set()
    for service, _slice in services:
        said = source.choice([{}, {"weight": f"1, {PODS[family][0]}=3"}, {"scheduler": "maglev"}, {"hash": "source"}])
        service["metadata"]["annotations"] = {f"sluice.io/{name}": value for name, value in said.items()}
        if said and "weight" not in said:
            hashed.add(service["metadata"]["name"])
    return hashed


def _shares(
    network: Crossing,
    oracle: Oracle,
    requests: Collection[Request],
    even: Collection[Request],
    source: random.Random,
    family: str,
) -> list[str]:
    """Where connections are not shared out as predicted: by chance, or by who asks.

    ``even``: requests whose shares are exact, not those of some clients' hashes.
    """
    # What leaves ::1 does leave the node: conntrack says nothing of the answer, which is what is dropped.
    drawn = [
        Probe(each.host, _source(network, each, family), *each[2:5])
        for each in requests
        if each.times != OF_STICKY and each.address != "::1"
    ]
    places = dict.fromkeys(each[2:5] for each in requests if each.times == OF_STICKY and each.host == "client")
    crowds = [
        [Probe("client", CROWD[family].format(number, client), *place) for client in range(1, SHARED + 1)]
        for number, place in enumerate(places, 1)
    ]
    groups = _some(source, oracle, [[each] * SHARED for each in drawn], PLACES) + _some(source, oracle, crowds, CROWDED)
    found = probes.seen(network.hosts, [each for group in groups for each in group], 0.3)
    became = [
        (oracle.prediction(group[0]), sum((found[each] for each in set(group)), collections.Counter()))
        for group in groups
    ]
    faults = [
        f"{len(set(group))} such as {group[0]}: predicted {was}, seen {dict(seen)}"
        for group, (was, seen) in zip(groups, became)
        if not agree(was, seen)
    ]
    exact = {each[2:5] for each in even}
    judged = [each for group, each in zip(groups, became) if group[0][2:5] in exact]
    p = chance.pooled_p(samples(judged))
    print(f"{len(judged)} of {len(groups)} places, p = {p:.4f}")
    wrong = chance.pooled_p(samples((_amiss(was), seen) for was, seen in judged))
    assert not judged or wrong < P_MINIMUM, "a wrong prediction would pass for right"
    return faults if p >= P_MINIMUM else [*faults, f"shares are not as predicted: p = {p:.1e} at {judged}"]


def _some(source: random.Random, oracle: Oracle, groups: Sequence[list[Probe]], most: int) -> list[list[Probe]]:
    """Some of those who may come to several ends."""
    found = [each for each in groups if len(oracle.prediction(each[0])) > 1]
    return source.sample(found, min(most, len(found)))


def _amiss(predicted: Prediction) -> Prediction:
    """A prediction that is wrong: one outcome has half of another one's share."""
    first, second, *_others = predicted
    half = predicted[second] / 2
    return {**predicted, first: predicted[first] + half, second: half}


def _odd(network: Crossing, owners: Owners, predicted: Mapping[Request, set[str]], family: str) -> list[str]:
    """Where something else becomes of requests. What seems odd is asked once more, more often and more patiently."""
    asked = list(predicted)
    for times in (0, SEEN_WITH):
        again = {
            each: each._replace(times=times if times and each.times != OF_STICKY else each.times) for each in asked
        }
        found = _asked(network, owners, list(again.values()), 3.0 if times else 1.0)
        seen = {
            each: {_said(answer, predicted[each], family) for answer in found[as_asked]}
            for each, as_asked in again.items()
        }
        asked = [each for each in asked if not _agree(predicted[each], seen[each], each)]
    return [f"{each}: predicted {sorted(predicted[each])}, seen {sorted(seen[each])}" for each in asked]


def _agree(predicted: set[str], seen: set[str], request: Request) -> bool:
    """Not all that is predicted is seen where a client stays with what it got, and where it gave up after two drops."""
    if request.times == OF_STICKY or (len(predicted) > 1 and seen == {DROPPED}):
        return seen <= predicted
    return seen == predicted


def _asked(network: Crossing, owners: Owners, requests: Sequence[Request], patience: float) -> Answers:
    """What becomes of requests, of clients that no session affinity knows: what is predicted is of such ones.

    A client that has asked a Service at one address would be sent where it went before at each other one.
    """
    found = dict(network.ask([each for each in requests if each.times != OF_STICKY], patience))
    places: dict[str, dict[tuple[str, int], list[Request]]] = {}
    for each in requests:
        if each.times == OF_STICKY:
            places.setdefault(_owner(owners, each), {}).setdefault((each.address, each.port), []).append(each)
    for one_of_each in itertools.zip_longest(*(of_one.values() for of_one in places.values()), fillvalue=[]):
        for table in ("ip sluice", "ip6 sluice"):
            network.node.run("nft", "flush", "map", *table.split(), "affinity", check=False)
        network.node.shell("for seen in /proc/net/xt_recent/*; do [ ! -e $seen ] || echo / > $seen; done")
        found.update(network.ask(list(itertools.chain(*one_of_each)), patience))  # each of another client
    return found


def _owners(catalogue: Catalogue) -> Owners:
    found: dict[str | int, str] = {}
    for each in catalogue.services:
        known = [*each.cluster_ips, *each.external_ips, *(entry.address for entry in each.ingress)]
        found |= dict.fromkeys([*known, *(port.node_port for port in each.ports)], each.name)
    return found


def _owner(owners: Owners, asked: Request | Probe) -> str:
    return owners.get(asked.port) or owners.get(asked.address, "")


def _predicted(oracle: Oracle, request: Request, source: str) -> set[str]:
    """The answers that may come, in the words of ``crossing``."""
    packet = Packet(request.address, request.port, request.protocol, source)
    return {_answer(each, packet, packet.family) for each in oracle.outcomes(packet)}


def _source(network: Crossing, request: Request, family: str) -> str:
    if request.source or request.host != "node":
        return request.source or PODS[family][int(request.host[-1]) - 1]
    return network.node.run("ip", "-o", "route", "get", request.address).stdout.partition(" src ")[2].split()[0]


def _answer(outcome: Outcome, packet: Packet, family: str) -> str:
    if outcome.verdict == outcomes.DROP:
        return DROPPED
    if outcome.verdict == outcomes.REJECT:
        return REFUSED
    where = outcome.endpoint or addresses.host_port(packet.destination, packet.port)
    address, port = addresses.split_port(where)
    names = {**{each: f"pod{number}" for number, each in enumerate(PODS[family], 1)}, NODE[family][0]: "node"}
    if address not in names or port != PORT:
        # Nobody listens there: the node's own kernel refuses.
        return REFUSED if address in NODE[family] or addresses.is_loopback(address) else NOWHERE
    return f"{names[address]} {_seen_as(packet.source, family) if not outcome.masquerade else THE_NODE}"


def _seen_as(source: str, family: str) -> str:
    """What is masqueraded has the address of the way out, which is none that rules name."""
    return THE_NODE if source in (*NODE[family], *GATEWAY.values()) or addresses.is_loopback(source) else source


def _said(answer: str, predicted: set[str], family: str) -> str:
    if answer == "EPERM":  # what OUTPUT's rules refuse or drop, the node's own program is told at once
        return REFUSED if REFUSED in predicted else DROPPED
    if NOWHERE in predicted and answer in (DROPPED, REFUSED, "EHOSTUNREACH"):
        return NOWHERE
    name, _blank, source = answer.partition(" ")
    return f"{name} {_seen_as(source, family)}" if source else answer


def _load(network: Crossing, plane: str, catalogue: Catalogue, settings: Settings, family: str) -> Callable[[], None]:
    node = network.node
    six = "" if family == IPV4 else "6"
    if plane == "nftables":
        files = BACKEND.render(render.views(catalogue, settings), settings, Memo())
        node.run("nft", "-f", "-", text=files[FILE])

        def unload() -> None:
            node.run("nft", "delete", "table", f"ip{six}", "sluice")

    else:
        tool = f"ip{six}tables-{plane.split()[1]}"
        node.run(f"{tool}-restore", text=support.rendered(catalogue, settings)[FILES[family]])

        def unload() -> None:
            for table in ("nat", "filter"):
                node.shell(f"{tool} -t {table} -F; {tool} -t {table} -X")

    node.run("conntrack", "-F", check=False)
    return unload


def _dumped(network: Crossing, plane: str, family: str) -> Snapshot:
    node = network.node
    six = "" if family == IPV4 else "6"
    dump = "nft -j list ruleset" if plane == "nftables" else f"ip{six}tables-{plane.split()[1]}-save"
    return snapshot([(dump, node.shell(dump)), ("ip address", node.shell("ip address"))])
