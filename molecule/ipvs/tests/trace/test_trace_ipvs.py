"""What ``trace`` says of IPVS is what a kernel does that holds it: each recorded case of a kube-proxy, and catalogues.

As ``tests/kernel/observe/test_trace_recorded.py`` and ``test_trace.py`` do it for rules alone. The stage is on the load
balancer, in namespaces of its own; what it is asked for and what that means is decided here.
SLUICE_TRACE_RECORDED=all takes each case, SLUICE_TRACE says how many catalogues per family, SLUICE_TRACE_SEED repeats
them.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import pathlib
import random
import typing

import crossing
import predictions
import pytest
import random_catalogues
import support
from asked_places import PLACES, Place, asked
from conftest import SKIPPED, STATE
from predictions import Oracle
from probes import NODE, Probe
from remote_stage import ROOT, RemoteStage, remote_stage

from sluice import addresses
from sluice.addresses import FAMILIES, IPV4, IPV6
from sluice.backends.iptables.text import FILES
from sluice.backends.ipvs import text as ipvs_text
from sluice.backends.ipvs.tables import ADDRESSES_FILE, IPSET_FILE, IPVS_FILE
from sluice.catalogue.model import Catalogue
from sluice.observe.snapshot import Snapshot, snapshot

GOLDEN = ROOT / "tests" / "golden"
EVERY = sorted(path.with_suffix("") for release in ("1.20", "1.36") for path in GOLDEN.glob(f"{release}/ipvs/*.ipvs"))
OF_EACH_KIND = (
    *("06-clusterip-no-endpoints", "11-sctp", "14-nodeport-local-with-local-ep", "16-loadbalancer"),
    *("18-loadbalancer-sourceranges", "20-loadbalancer-local", "24-externalips", "27-session-affinity-600"),
    *("36-terminating-and-ready", "37-dual-stack", "43-masquerade-all", "46-nodeport-addresses"),
)
ALL = os.environ.get("SLUICE_TRACE_RECORDED") == "all"
"""Whether each case is loaded; those that are not are like the others, for one who is in a hurry."""

CASES = [path for path in EVERY if ALL or path.name in OF_EACH_KIND]
CATALOGUES = int(os.environ.get("SLUICE_TRACE", "1"))
SEED = int(os.environ.get("SLUICE_TRACE_SEED", "0")) or random.randrange(1, 2**32)
VARIANT = {"1.20": "legacy", "1.36": "nft"}
TIMES, MISSED = 9, 0.2
"""Real servers take turns: of five, none is missed."""

HASHES = ("sh", "dh", "mh", "lblc", "lblcr")
"""Schedulers by which a client, or all of them, are always sent to the same real server."""

UNSHARED = ("fo", "dh", "lblc", "lblcr")
"""Those by which all clients of an address come to the same end."""

OF_ACTIVE = ("sed", "nq")
"""Those that count active connections, of which UDP has none: all of its go to the same end."""

CROWD, CROWDS = 240, 6


class Recorded(typing.NamedTuple):
    """The texts of one case, as ``ipvs_stage.Held`` has them."""

    variant: str
    rules: dict[str, str]
    ipset: str
    ipvs: str
    addresses: list[str]

    @property
    def snapshot(self) -> Snapshot:
        """What ``trace`` would read of them."""
        texts = [*self.rules.values(), self.ipset, self.ipvs, "\n".join(self.addresses)]
        names = [*(f"rules {family}" for family in self.rules), "ipset", "ipvs", "addresses"]
        return snapshot(zip(names, texts), [*NODE[IPV4], *NODE[IPV6]])


@pytest.fixture(scope="module")
def stage() -> typing.Iterator[RemoteStage]:
    if SKIPPED.exists():
        pytest.skip("no machine")
    with remote_stage(["ssh", "-F", str(STATE / "ssh_config"), "lb1"]) as found:
        yield found


@pytest.mark.parametrize("path", CASES, ids=lambda path: str(path.relative_to(GOLDEN)))
def test_recorded(path: pathlib.Path, stage: RemoteStage) -> None:
    found = _recorded(path)
    faults = _faults(stage, found, found)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("case", "kind", "text", "other"),
    [
        ("16-loadbalancer", "ipvs", "10.244.2.11:8080", "10.244.2.77:8080"),
        ("18-loadbalancer-sourceranges", "ipset", "203.0.113.0/24", "203.0.114.0/24"),
        ("18-loadbalancer-sourceranges", "ipset", "add KUBE-NODE-PORT-TCP 30080\n", ""),
    ],
)
def test_a_kernel_that_does_something_else_is_noticed(
    case: str, kind: str, text: str, other: str, stage: RemoteStage
) -> None:
    found = _recorded(GOLDEN / "1.36" / "ipvs" / case)
    was = getattr(found, kind)
    assert text in was
    assert _faults(stage, found, found._replace(**{kind: was.replace(text, other)}))


def _recorded(path: pathlib.Path) -> Recorded:
    """A case by the path of its files, without what tells them apart."""

    def read(kind: str) -> str:
        file = path.with_name(f"{path.name}.{kind}")
        return file.read_text() if file.exists() else ""

    # The rule that the recording kernel could not take is one of filter, which comes first.
    rules = {IPV4: read("rules").replace("COMMIT\n", read("held") + "COMMIT\n", 1)}
    if read("rules6"):
        rules[IPV6] = read("rules6")
    return Recorded(VARIANT[path.parts[-3]], rules, read("ipset"), read("ipvs"), read("addresses").split())


@pytest.mark.parametrize("number", range(CATALOGUES))
@pytest.mark.parametrize("family", FAMILIES)
def test_catalogues(family: str, number: int, stage: RemoteStage) -> None:
    """Random ones, as Sluice's own backend has them, traced from what the kernel's tools print of them."""
    print(f"test_trace_ipvs.py: seed {SEED}", flush=True)
    source = random.Random(f"{SEED} {family} {number}")
    settings = random_catalogues.settings(source, family)._replace(
        backend="ipvs", compat=source.choice(["1.18", "1.20", "1.36"]), ipvs_guard=source.random() < 0.5
    )
    services = random_catalogues.services(source, family)
    for service, _slice in services:
        service["metadata"]["annotations"] = _annotations(source, family)
    catalogue = support.catalogue(*itertools.chain(*services), random_catalogues.pod(source, family))
    files = support.rendered(catalogue, settings)
    loaded = Recorded(
        source.choice(["nft", "legacy"]),
        {family: files[FILES[family]]},
        files[IPSET_FILE],
        files[IPVS_FILE],
        files[ADDRESSES_FILE].split(),
    )
    with (
        _at(stage, [f"{each}/{32 if family == IPV4 else 128}" for each in crossing.NODE[family]]),
        _holding(stage, loaded),
    ):
        held = snapshot(stage("dump", loaded.variant))
        oracle = Oracle(held)
        packets = dict.fromkeys(_of_catalogue(catalogue, held, family))
        faults = _odd(stage, held, oracle, [each for each in packets if _shows(oracle, held, each)])
        faults += _uneven(stage, held, oracle, source, family)
    assert not faults, "\n".join(faults)


@contextlib.contextmanager
def _at(stage: RemoteStage, prefixes: typing.Sequence[str]) -> typing.Iterator[None]:
    """The node has these addresses besides."""
    for each in prefixes:
        stage("shell", f"ip address add {each} dev lo")
    try:
        yield
    finally:
        for each in prefixes:
            stage("shell", f"ip address delete {each} dev lo")


def _annotations(source: random.Random, family: str) -> dict[str, str]:
    # Not ovf: the connections that are asked for are enough for it to refuse all others.
    scheduler = source.choice(["", "", "rr", "wrr", "wrr", "lc", "wlc", "sh", "mh", "sed", "nq", "fo"])
    found = {"scheduler": scheduler} if scheduler else {}
    if source.random() < 0.5:
        found["weight"] = f"1, {crossing.PODS[family][0]}=3"
    return {f"sluice.io/{name}": value for name, value in found.items()}


def _of_catalogue(catalogue: Catalogue, held: Snapshot, family: str) -> typing.Iterator[Probe]:
    own = crossing.NODE[family][0]
    for each in random_catalogues.requests(catalogue, family):
        if each.host == "node":
            source = each.address if addresses.is_loopback(each.address) else own
            if source != "::1":  # conntrack says nothing of answers to there, which are what is dropped
                yield Probe("node", source, each.protocol, each.address, each.port)
            if each.address in held.bound:
                yield Probe("node", each.address, each.protocol, each.address, each.port)
        else:
            pod = crossing.PODS[family][int(each.host[-1]) - 1] if each.host != "client" else ""
            yield Probe("pods" if pod else "client", each.source or pod, each.protocol, each.address, each.port)


def _shows(oracle: Oracle, held: Snapshot, probe: Probe) -> bool:
    """Whether it shows if it is masqueraded: what the node sends to itself may have the same address and port then."""
    masqueraded = [each for each in oracle.prediction(probe) if each.masquerade]
    ends = {addresses.split_port(each.endpoint)[0] if each.endpoint else probe.address for each in masqueraded}
    return probe.host != "node" or not any(held.node.has(each) for each in ends)


def _uneven(stage: RemoteStage, held: Snapshot, oracle: Oracle, source: random.Random, family: str) -> list[str]:
    """Where real servers do not get the shares that are predicted: exactly where they take turns."""
    crowds = []
    for number, (key, server) in enumerate(held.servers.items(), 1):
        found = [
            Probe("client", crossing.CROWD[family].format(number, client), key.protocol, key.address, key.port)
            for client in range(1, CROWD + 1)
        ]
        predicted = oracle.prediction(found[0])
        shared = server.scheduler not in (*UNSHARED, *(OF_ACTIVE if key.protocol == "udp" else ()))
        if len(predicted) > 1 and not addresses.is_loopback(key.address) and shared:
            crowds.append((found, predicted, server.scheduler))
    faults = []
    for found, predicted, scheduler in source.sample(crowds, min(CROWDS, len(crowds))):
        seen = sum(stage.seen(found).values(), start=collections.Counter())
        if scheduler in HASHES:
            # What a hash makes of some clients in a row is more even than chance.
            wrong = not predictions.agree(predicted, seen)
        else:
            wrong = any(abs(seen[each] - share * CROWD) > 3 for each, share in predicted.items())
        if wrong or set(seen) - set(predicted):
            faults.append(f"{scheduler} at {found[0]}: predicted {predicted}, seen {dict(seen)}")
    return faults


def _faults(stage: RemoteStage, traced: Recorded, loaded: Recorded) -> list[str]:
    """Where packets do something else with what is loaded than is traced in a text."""
    held = traced.snapshot
    with _holding(stage, loaded):
        packets = [packet for family in traced.rules for packet in _asked(held, family)]
        return _odd(stage, held, Oracle(held), packets)


def _odd(stage: RemoteStage, held: Snapshot, oracle: Oracle, packets: typing.Sequence[Probe]) -> list[str]:
    def is_sticky(probe: Probe) -> bool:
        server = held.servers.get(ipvs_text.VirtualAddress(probe.protocol, probe.address, probe.port))
        alone = (*HASHES, *UNSHARED, *(OF_ACTIVE if probe.protocol == "udp" else ()))
        return bool(server and (server.persistent or server.scheduler in alone))

    return predictions.faults(oracle, packets, stage.seen, is_sticky, times=TIMES, missed=MISSED)


def _asked(held: Snapshot, family: str) -> typing.Iterator[Probe]:
    servers = {key: server for key, server in held.servers.items() if addresses.family_of(key.address) == family}
    ends = sorted({addresses.split_port(real)[0] for server in servers.values() for real in server.real})[:2]
    bound = [each for each in held.bound if addresses.family_of(each) == family]
    places = _places(servers, bound, family)
    yield from asked(places, ends, family)
    # Where nobody says otherwise, this is what the node sends to one of its addresses from.
    for address, port, protocol in places:
        if address in bound:
            yield Probe("node", address, protocol, address, port)
            yield Probe("node", address, protocol, address, port + 1)


def _places(
    servers: typing.Mapping[ipvs_text.VirtualAddress, ipvs_text.VirtualServer],
    bound: typing.Iterable[str],
    family: str,
) -> list[Place]:
    """The virtual servers, and addresses that none is at."""
    found = {
        (
            "" if key.address in NODE[family] or addresses.is_loopback(key.address) else key.address,
            key.port,
            key.protocol,
        )
        for key in servers
    }
    found |= {(address, 80, "tcp") for address in bound if address not in {key.address for key in servers}}
    return sorted(found)[:: len(found) // PLACES + 1]


@contextlib.contextmanager
def _holding(stage: RemoteStage, held: Recorded) -> typing.Iterator[None]:
    own = [*crossing.NODE[IPV4], *crossing.NODE[IPV6]]
    stage.bound = [*own, *(prefix.partition("/")[0] for prefix in held.addresses)]
    try:
        stage("load", *held._replace(ipvs=ipvs_text.text(ipvs_text.parse(held.ipvs))))
        yield
    finally:
        stage("unload")
