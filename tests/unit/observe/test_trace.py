"""What is asked of a trace, what is answered, and how it is told."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
import support

from sluice.observe import outcomes, trace_text
from sluice.observe.snapshot import Snapshot, snapshot
from sluice.observe.trace import QuestionError, is_place, traced

GOLDEN = Path(__file__).parents[2] / "golden"
OWN = ["10.0.0.10", "192.168.50.10"]


def held(case: str = "1.36/iptables/26-externalips-policy-local") -> Snapshot:
    names = [f"{case}.{end}" for end in ("rules", "ipset", "ipvs", "addresses")]
    return snapshot(((name, (GOLDEN / name).read_text()) for name in names if (GOLDEN / name).exists()), OWN)


def ends(found: Snapshot, to: str, source: str = "") -> dict[str, str]:
    """Endpoint or verdict, and its probability; a star where the node's address is seen."""
    (only,) = traced(found, to, source)
    return {
        (each.endpoint or each.verdict) + ("*" if each.masquerade else ""): str(each.probability)
        for each in only.outcomes
    }


def test_policy_local_from_outside_from_a_pod_and_from_the_node() -> None:
    both = {"10.244.1.10:8080": "1/2", "10.244.2.10:8080": "1/2"}
    assert ends(held(), "203.0.113.7:80") == {"10.244.1.10:8080": "1"}
    assert ends(held(), "203.0.113.7:80", "10.244.9.9") == both
    assert ends(held(), "203.0.113.7:80", "10.0.0.10") == {f"{end}*": "1/2" for end in both}
    assert ends(held(), "10.96.0.50:80", "10.244.1.10") == {"10.244.1.10:8080*": "1/2", "10.244.2.10:8080": "1/2"}
    assert ends(held(), "10.96.0.50:81") == {"pass": "1"}


@pytest.mark.parametrize("release", ["1.20", "1.36"])
def test_ipvs(release: str) -> None:
    found = held(f"{release}/ipvs/20-loadbalancer-local")
    local = {"10.244.1.10:8080": "1/2", "10.244.1.11:8080": "1/2"}
    assert ends(found, "198.51.100.9:80") == local
    assert ends(found, "10.0.0.10:30080") == local
    assert ends(found, "10.96.0.50:80", "10.244.1.10")["10.244.1.10:8080*"] == "1/4", "hairpin"
    assert ends(found, "10.96.0.50:81") == {"reject" if release == "1.36" else "pass": "1"}


def test_a_virtual_server_without_real_ones_refuses() -> None:
    assert ends(held("1.36/ipvs/06-clusterip-no-endpoints"), "10.96.0.50:80") == {"reject": "1"}


@pytest.mark.parametrize("count", [3, 7, 100])
def test_shares_are_exact(count: int) -> None:
    """Though the kernel's tools print them with 11 digits."""
    endpoints = support.endpoint_slice(*(f"10.1.0.{number}" for number in range(1, count + 1)))
    rules = support.rendered(support.catalogue(support.service(), endpoints), support.node())["iptables.rules"]
    (only,) = traced(snapshot([("rules", rules)]), "shop/web")
    assert {each.probability for each in only.outcomes} == {Fraction(1, count)}
    assert len(only.outcomes) == count


def test_flat_nftables_by_their_file() -> None:
    own = support.node(backend="nftables")
    objects = support.service(), support.endpoint_slice("10.1.0.1", "10.1.0.2", "10.1.0.3")
    text = support.rendered(support.catalogue(*objects), own)["nftables.nft"]
    found = traced(snapshot([("nftables.nft", text)]), "shop/web", "10.1.0.2")
    assert {(each.endpoint, each.probability, each.masquerade) for each in found[0].outcomes} == {
        ("10.1.0.1:8080", Fraction(1, 3), False),
        ("10.1.0.2:8080", Fraction(1, 3), True),
        ("10.1.0.3:8080", Fraction(1, 3), False),
    }


def test_every_way_into_a_service() -> None:
    found = traced(held(), "default/web")
    places = [(each.packet.destination, each.packet.port) for each in found]
    assert places == [("10.96.0.50", 80), ("203.0.113.7", 80), *((address, 30080) for address in OWN)]


def test_for_programs() -> None:
    (only,) = traced(held(), "203.0.113.7:80", "10.244.9.9")
    told = json.loads(json.dumps(only.fields()))
    assert told["packet"] == {"destination": "203.0.113.7", "port": 80, "protocol": "tcp", "source": "10.244.9.9"}
    first = told["outcomes"][0]
    assert (first["verdict"], first["probability"], first["masquerade"]) == ("endpoint", "1/2", False)
    assert first["path"][0] == {
        "table": "nat",
        "chain": "PREROUTING",
        "rule": '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        "why": "every packet",
        "skipped": {},
    }
    assert first["path"][1]["skipped"] == {"another destination": 1}
    assert first["answer"].endswith("and 10.244.9.9 resets the connection")


def test_for_people() -> None:
    lines = trace_text.text(traced(held(), "203.0.113.7:80", "10.244.9.9")).splitlines()
    assert lines[0] == "tcp to 203.0.113.7:80, from 10.244.9.9"
    assert "    1 rule passed over: another destination" in lines
    back = "which sees 10.244.9.9"
    assert [line for line in lines if line.startswith(("├", "└"))] == [
        f"├─ 1/2  10.244.1.10:8080, {back}",
        f"└─ 1/2  10.244.2.10:8080, {back}",
    ]
    assert lines[-1].startswith("answer: the endpoint answers 10.244.9.9: its route there has to lead through this")
    assert "\033[" in trace_text.text(traced(held(), "203.0.113.7:80"), colour=True)


@pytest.mark.parametrize(
    ("to", "source", "why"),
    [
        ("10.96.0.50", "", "--to 10.96.0.50: is neither ADDRESS:PORT[/PROTOCOL] nor NAMESPACE/NAME[:PORT]"),
        ("10.96.0.50:80/icmp", "", "--to 10.96.0.50:80/icmp: the protocol is one of tcp, udp, sctp"),
        ("10.96.0.50:99999", "", "--to 10.96.0.50:99999: a port is a number from 1 to 65535"),
        ("10.96.0.500:80", "", "10.96.0.500 is no address"),
        ("10.96.0.50:80", "here", "here is no address"),
        ("10.96.0.50:80", "fd00::1", "--from fd00::1 is of another address family than 10.96.0.50:80"),
        ("shop/nothing", "", "--to shop/nothing: the rules name no such Service"),
    ],
)
def test_what_cannot_be_asked(to: str, source: str, why: str) -> None:
    with pytest.raises(QuestionError) as raised:
        traced(held(), to, source)
    assert str(raised.value) == why


def test_places() -> None:
    assert is_place("10.96.0.50:80")
    assert is_place("[fd00::1]:80/udp")
    assert not is_place("shop/web:80")


def test_what_becomes_of_a_packet_adds_up_to_one() -> None:
    """For every Service of every recorded rule set, from a Pod, from outside and from the node."""
    for path in sorted(GOLDEN.glob("1.*/*/*.rules")):
        if "1.18" in str(path):
            continue
        found = held(str(path.relative_to(GOLDEN)).removesuffix(".rules"))
        for address in ("10.96.0.50", "203.0.113.7", "10.0.0.10"):
            for source in ("", "10.244.1.10", "10.0.0.10"):
                (only,) = traced(found, f"{address}:80", source)
                assert sum(each.probability for each in only.outcomes) == 1
                assert all(each.verdict != outcomes.ENDPOINT or each.endpoint for each in only.outcomes)
