"""What ``trace`` says of dumps that a kube-proxy has made is what a kernel does that holds them as they are.

Each recorded case is loaded, and packets go to every address that its rules name and to some that none does: from
clients in and out of source ranges, from endpoints and other Pods, from the node itself and its loopback. conntrack is
the witness.
"""

from __future__ import annotations

import collections
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import kube_proxy_tables
import predictions
import probes
import pytest
from asked_places import PLACES, Place, asked
from predictions import Oracle, agree
from probes import NODE, Probe, Stage

from sluice import addresses
from sluice.addresses import FAMILIES, IPV4, IPV6
from sluice.observe.snapshot import snapshot

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = sorted(path for release in ("1.20", "1.36") for path in GOLDEN.glob(f"{release}/iptables/*.rules*"))

_PLACE = re.compile(r"-d (\S+?)(?:/32|/128)? -p (tcp|udp) .*--dport (\d+)")
_NODE_PORT = re.compile(r"-A KUBE-NODEPORTS .*-p (tcp|udp) .*--dport (\d+)")
_ENDPOINT = re.compile(r"--to-destination (\S+)")


OF_NFTABLES: list[Place] = [
    *((f"10.96.0.{number}", 80, "tcp") for number in (1, 2, 3, 9)),
    ("10.96.0.4", 53, "udp"),
    ("203.0.113.1", 80, "tcp"),
    ("203.0.113.9", 80, "tcp"),
    *(("", port, "tcp") for port in (30001, 30002, 30003, 30004)),
]


@pytest.fixture(scope="module")
def stage(needs_root: None) -> Iterator[Stage]:
    with probes.stage() as found:
        yield found


@pytest.mark.parametrize("path", CASES, ids=lambda path: str(path.relative_to(GOLDEN)))
def test_recorded_iptables(path: Path, stage: Stage) -> None:
    text = path.read_text()
    faults = _faults(stage, path, text, text)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("case", "rule", "other"),
    [
        ("1.36/iptables/16-loadbalancer", "probability 0.50000000000", "probability 0.33333333349"),
        ("1.36/iptables/04-clusterip-3ep", "--to-destination 10.244.2.11:", "--to-destination 10.244.2.77:"),
        ("1.36/iptables/12-nodeport", "! -s 10.244.0.0/16", "! -s 10.245.0.0/16"),
        ("1.36/iptables/18-loadbalancer-sourceranges", "dport 80 -j DROP", "dport 80 -j REJECT"),
        ("1.36/iptables/06-clusterip-no-endpoints", "-j REJECT --reject-with icmp-port-unreachable", "-j DROP"),
    ],
)
def test_a_kernel_that_does_something_else_is_noticed(case: str, rule: str, other: str, stage: Stage) -> None:
    path = GOLDEN / f"{case}.rules"
    text = path.read_text()
    assert rule in text
    assert _faults(stage, path, text, text.replace(rule, other))


@pytest.mark.parametrize("release", ["1.20", "1.36"])
def test_recorded_session_affinity(release: str, stage: Stage) -> None:
    """Clients that were never seen are shared out evenly."""
    path = GOLDEN / f"{release}/iptables/27-session-affinity-600.rules"
    text = path.read_text()
    crowd = [
        Probe("client", f"198.18.{one}.{two}", "tcp", "10.96.0.50", 80) for one in range(10) for two in range(1, 31)
    ]
    with _holding(stage, path, text):
        found = sum(stage.seen(crowd).values(), start=collections.Counter())
    predicted = Oracle(snapshot([(path.name, text)], NODE[IPV4])).prediction(crowd[0])
    assert agree(predicted, found)


@pytest.mark.parametrize("family", FAMILIES)
def test_kube_proxys_nftables(family: str, stage: Stage) -> None:
    text = kube_proxy_tables.IPV4 if family == IPV4 else kube_proxy_tables.IPV6
    ends = ["10.244.1.5", "10.244.2.5"] if family == IPV4 else ["fd00:1::5", "fd00:1::6"]
    known = OF_NFTABLES if family == IPV4 else [("fd00:96::1", 80, "tcp")]
    stage.node.run("nft", "-f", "-", text=text)
    try:
        for dump in ("nft -j list ruleset", "nft list ruleset"):
            oracle = Oracle(snapshot([(dump, stage.node.shell(dump))], NODE[family]))
            faults = predictions.faults(oracle, list(asked(known, ends, family)), stage.seen, _is_sticky)
            assert not faults, "\n".join(faults)
    finally:
        stage.node.run("nft", "delete", "table", "ip" if family == IPV4 else "ip6", "kube-proxy")


def _is_sticky(probe: Probe) -> bool:
    return probe.address == "10.96.0.2" or probe.port == 30002


def _faults(stage: Stage, path: Path, traced: str, loaded: str) -> list[str]:
    """Where packets do something else with rules that are loaded than is traced in a text."""
    family = _family(path)
    ends = sorted({addresses.split_port(each)[0] for each in _ENDPOINT.findall(traced)})[:2]
    oracle = Oracle(snapshot([(path.name, traced)], NODE[family]))
    with _holding(stage, path, loaded):
        packets = list(asked(places(traced), ends, family))
        return predictions.faults(oracle, packets, stage.seen, lambda _probe: "--rcheck" in traced)


@contextlib.contextmanager
def _holding(stage: Stage, path: Path, text: str) -> Iterator[None]:
    """Both variants hold some of the cases."""
    tool = f"{'iptables' if _family(path) == IPV4 else 'ip6tables'}-{'legacy' if '1.20' in str(path) else 'nft'}"
    stage.node.run(f"{tool}-restore", text=text)
    try:
        yield
    finally:
        for table in ("nat", "filter"):
            stage.node.shell(f"{tool} -t {table} -F; {tool} -t {table} -X")


def _family(path: Path) -> str:
    return IPV6 if path.suffix == ".rules6" else IPV4


def places(text: str) -> set[Place]:
    """What iptables' rules name."""
    found = {(address, int(port), protocol) for address, protocol, port in _PLACE.findall(text)}
    found |= {("", int(port), protocol) for protocol, port in _NODE_PORT.findall(text)}
    return set(sorted(found)[:: len(found) // PLACES + 1])
