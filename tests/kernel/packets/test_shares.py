"""Which endpoint a connection gets with flat nftables: by chance and weight, by hash, by session affinity.

SLUICE_SHARES says how many connections are drawn for a distribution.
"""

from __future__ import annotations

import collections
import itertools
import os
from collections.abc import Iterator, Sequence

import cases
import hosts
import load
import pytest

from sluice import chance
from sluice.addresses import FAMILIES, IPV4, IPV6

DRAWS = int(os.environ.get("SLUICE_SHARES", "2000"))
CLIENTS = 60
"""So many that each of three endpoints has some: with chance, all but one time in 10^10."""

BOTH = [IPV4, IPV6]


def rendered(*services: cases.Service) -> dict[str, str]:
    return cases.rendered(services, backend="nftables", ip_families=BOTH)


def annotated(
    number: int, endpoints: tuple[str, ...] = cases.PODS, protocol: str = "TCP", **said: str
) -> cases.Service:
    """A Service with annotations ``sluice.io/…``."""
    annotations = {f"sluice.io/{name}": value for name, value in said.items()}
    return cases.Service(number, endpoints, protocol, more=(("annotations", annotations),))


def served(service: cases.Service, family: str) -> tuple[str, list[str]]:
    """The address of a Service in a family, and what its endpoints answer there."""
    own = cases.mapped if family == IPV6 else str
    return own(service.address), [f"{own(address)} {service.target_port}" for address in service.endpoints]


FOUR, TWO, *_ = cases.PODS
WEIGHTS = ", ".join(["1", *(f"{own(address)}={weight}" for own in (str, cases.mapped)
                            for address, weight in ((FOUR, 4), (TWO, 2)))])  # fmt: skip
EVEN, DATAGRAMS = cases.Service(1, cases.PODS), cases.Service(2, cases.PODS[:5], "UDP")
WEIGHTED = annotated(3, cases.PODS[:3], weight=WEIGHTS)
DISTRIBUTIONS = [
    pytest.param(EVEN, IPV4, [1, 1, 1, 1, 1, 1], id="uniform"),
    pytest.param(DATAGRAMS, IPV4, [1, 1, 1, 1, 1], id="uniform, UDP"),
    pytest.param(WEIGHTED, IPV4, [4, 2, 1], id="weighted"),
    pytest.param(WEIGHTED, IPV6, [4, 2, 1], id="weighted, IPv6"),
]
P_MINIMUM = chance.P_MINIMUM / len(DISTRIBUTIONS)
"""The kernel's chance has no seed: of 10,000 runs of this file with fair shares, one finds one of them unfair."""


@pytest.mark.parametrize(("service", "family", "weights"), DISTRIBUTIONS)
def test_shares_are_as_the_weights_are(
    service: cases.Service, family: str, weights: list[int], network: load.Network
) -> None:
    network.serve([service])
    network.node.apply(rendered(EVEN, DATAGRAMS, WEIGHTED))
    address, endpoints = served(service, family)
    # From many addresses: a port that is used again soon is no new connection to UDP.
    sources = list(itertools.islice(itertools.cycle(network.customers(family)), DRAWS))
    found = collections.Counter(network.ask_as(sources, address, service.protocol))
    assert set(found) <= set(endpoints), found
    counts = [found[endpoint] for endpoint in endpoints]
    p = chance.weighted_p(counts, weights)
    print(f"{service.protocol} {family} {weights}: {counts}, p = {p:.4f}")
    assert p >= P_MINIMUM


@pytest.fixture
def other(needs_root: None) -> Iterator[load.Network]:
    """A second load balancer, with clients and endpoints that have the same addresses as the first one's."""
    with hosts.Node("other") as node, load.around(node) as found:
        yield found


@pytest.mark.parametrize("family", FAMILIES)
def test_balancers_agree_by_hash(family: str, network: load.Network, other: load.Network) -> None:
    """One knows other Services as well, and has another opinion about one endpoint."""
    hashed = annotated(7, scheduler="maglev")
    sick = hashed.endpoints[0]
    theirs = {"node_name": "node2", "masquerade_all": True, "backend": "nftables", "ip_families": BOTH}
    network.node.apply(rendered(hashed))
    others = [*map(cases.Service, (1, 2, 9)), annotated(8, scheduler="maglev")]
    other.node.apply(cases.rendered([*others, hashed._replace(ending=(sick,))], **theirs))
    address, endpoints = served(hashed, family)
    found = []
    for each in (network, other):
        each.serve([hashed])
        clients = each.customers(family)[:400]
        found.append(dict(zip(clients, each.ask_as(clients, address))))
        assert found[-1] == dict(zip(clients, each.ask_as(clients, address))), "a client is sent to one endpoint"
    first, second = found
    assert set(first.values()) == set(endpoints)
    moved = [client for client, endpoint in first.items() if second[client] != endpoint]
    assert moved == [client for client, endpoint in first.items() if endpoint == endpoints[0]]
    assert {second[client] for client in moved} <= set(endpoints[1:])


def sticky(endpoints: Sequence[str], ending: Sequence[str] = ()) -> cases.Service:
    more = (("sessionAffinity", "ClientIP"),)
    return cases.Service(5, tuple(endpoints), more=more, ending=tuple(ending))


class Sessions:
    """Clients of a Service with session affinity."""

    def __init__(self, network: load.Network, family: str) -> None:
        self.network, self.family = network, family
        customers = network.customers(family)
        self.old, self.new = customers[:CLIENTS], customers[CLIENTS : 2 * CLIENTS]
        network.serve([sticky(cases.PODS)])

    def become(self, service: cases.Service) -> None:
        self.network.node.apply(rendered(service))

    def of(self, clients: Sequence[str]) -> dict[str, str]:
        """The address of the endpoint that each client reaches, twice."""
        address, _endpoints = served(sticky(()), self.family)
        first, second = (self.network.ask_as(clients, address) for _turn in range(2))
        assert first == second
        return {client: answer.split()[0] for client, answer in zip(clients, first)}

    def pods(self, *numbers: int) -> set[str]:
        """Endpoints by their numbers, as they answer."""
        _address, endpoints = served(sticky([cases.PODS[number] for number in numbers]), self.family)
        return {endpoint.split()[0] for endpoint in endpoints}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_client_stays_while_others_come_and_go(family: str, network: load.Network) -> None:
    one, two, three, four, five, _six = cases.PODS
    sessions = Sessions(network, family)
    sessions.become(sticky([one, two, three]))
    first = sessions.of(sessions.old)
    assert set(first.values()) == sessions.pods(0, 1, 2)
    sessions.become(sticky([one, two, three, four, five]))
    assert sessions.of(sessions.old) == first
    sessions.become(sticky([two, three, five]))
    second = sessions.of(sessions.old)
    moved = {client for client in first if second[client] != first[client]}
    assert moved == {client for client, pod in first.items() if {pod} == sessions.pods(0)}
    assert {second[client] for client in moved} <= sessions.pods(1, 2, 4)
    sessions.become(sticky([one, two, three, four, five]))
    assert sessions.of(sessions.old) == second, "an endpoint that is back does not call its clients back"


@pytest.mark.parametrize("family", FAMILIES)
def test_who_ends_keeps_its_clients_and_gets_no_others(family: str, network: load.Network) -> None:
    one, two, three, *_ = cases.PODS
    sessions = Sessions(network, family)
    sessions.become(sticky([one, two, three]))
    first = sessions.of(sessions.old)
    assert set(first.values()) == sessions.pods(0, 1, 2)
    sessions.become(sticky([one, two, three], ending=[two]))
    assert sessions.of(sessions.old) == first
    assert set(sessions.of(sessions.new).values()) == sessions.pods(0, 2)
    sessions.become(sticky([one, three]))
    then = sessions.of(sessions.old)
    assert {client for client in first if then[client] != first[client]} == {
        client for client, pod in first.items() if {pod} == sessions.pods(1)
    }
    assert set(then.values()) == sessions.pods(0, 2)
