"""For every packet, flat nftables do what kube-proxy's rules do: the same endpoints, source, refusal or drop.

Random catalogues are rendered for the iptables backend and for nftables, loaded one after the other into the same node,
and asked the same by clients in and out of source ranges, by endpoints, by the node itself and from loopback.
SLUICE_DIFFERENTIAL_SEED repeats a run, SLUICE_DIFFERENTIAL says how many catalogues per family.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator

import crossing
import pytest
import random_catalogues
import support
from crossing import Answers, Crossing, Request
from nftables_layer import bring
from random_catalogues import OF_STICKY, TIMES

from sluice import render
from sluice.addresses import FAMILIES, IPV4
from sluice.backends.interface import Memo
from sluice.backends.iptables.text import FILES
from sluice.backends.nftables.backend import BACKEND
from sluice.backends.nftables.text import FILE
from sluice.catalogue.model import Catalogue
from sluice.settings import Settings

CATALOGUES = int(os.environ.get("SLUICE_DIFFERENTIAL", "2"))
SEED = int(os.environ.get("SLUICE_DIFFERENTIAL_SEED", "0")) or random.randrange(1, 2**32)
MORE = 96
"""How often all are asked where the answers differed: chance misses endpoints."""

BACKENDS = ("iptables", "nftables")
_TOOLS = {IPV4: ("iptables-legacy", "ip"), "IPv6": ("ip6tables-legacy", "ip6")}


@pytest.fixture(scope="module")
def network(needs_root: None) -> Iterator[Crossing]:
    with crossing.crossing() as found:
        yield found


@pytest.mark.parametrize("number", range(CATALOGUES))
@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_becomes_of_every_packet(family: str, number: int, network: Crossing) -> None:
    print(f"test_differential.py: seed {SEED}", flush=True)
    source = random.Random(f"{SEED} {family} {number}")
    settings = random_catalogues.settings(source, family)
    services = random_catalogues.services(source, family)
    pod = random_catalogues.pod(source, family)
    catalogue = support.catalogue(*itertools.chain(*services), pod)
    requests = random_catalogues.requests(catalogue, family)
    how = {"by_netlink": number % 2 == 0}
    first = [_answers(network, each, catalogue, settings, family, requests, **how) for each in BACKENDS]
    assert len({answer for each in first[0].values() for answer in each}) > 2
    odd = [request for request in requests if _meaning(request, first[0]) != _meaning(request, first[1])]
    again = [request._replace(times=MORE if request.times == TIMES else request.times) for request in odd]
    second = [_answers(network, each, catalogue, settings, family, again, 3.0, **how) for each in BACKENDS if odd]
    differing = [
        f"{request}: {[sorted(each[request]) for each in second]}"
        for request in again
        if _meaning(request, second[0]) != _meaning(request, second[1])
    ]
    assert not differing, "\n".join(differing)
    restless = [f"{each} {found}" for each, found in first[1].items() if each.times == OF_STICKY and len(found) > 1]
    assert not restless, "\n".join(restless)


def _meaning(request: Request, answers: Answers) -> object:
    """A sticky client may be sent anywhere at first, but each time there."""
    found = answers[request]
    if request.times != OF_STICKY:
        return found
    return {answer if answer in (crossing.DROPPED, crossing.REFUSED) else "an answer" for answer in found}


def _answers(
    network: Crossing,
    backend: str,
    catalogue: Catalogue,
    settings: Settings,
    family: str,
    requests: list[Request],
    patience: float = 1.0,
    *,
    by_netlink: bool,
) -> Answers:
    """What becomes of requests with the rules of a backend. The sticky ones come one after another.

    ``by_netlink``: flat nftables as an apply brings them, else as ``nft -f`` loads the file.
    """
    node, (tool, ip) = network.node, _TOOLS[family]
    if backend == "iptables":
        node.run(f"{tool}-restore", text=support.rendered(catalogue, settings)[FILES[family]])
    else:
        files = BACKEND.render(render.views(catalogue, settings), settings, Memo())
        if by_netlink:
            node.call(lambda: bring(files))
        else:
            node.run("nft", "-f", "-", text=files[FILE])
    node.run("conntrack", "-F", check=False)
    try:
        found = dict(network.ask([request for request in requests if request.times != OF_STICKY], patience))
        found.update(network.ask([request for request in requests if request.times == OF_STICKY], patience, at_once=1))
    finally:
        if backend == "iptables":
            for table in ("nat", "filter"):
                node.shell(f"{tool} -t {table} -F; {tool} -t {table} -X")
        else:
            node.run("nft", "delete", "table", ip, "sluice")
    return found
