"""Nodes that are asked the same: who answers alike, and how the others are told of."""

from __future__ import annotations

import json
from typing import Any

import support

from sluice.observe.comparison import Answer, answer_of, compared, told
from sluice.observe.snapshot import snapshot
from sluice.observe.trace import traced


def _answer(
    node: str, address: str, to: str = "shop/web", *, backend: str = "iptables", without: str = "", **spec: Any
) -> Answer:
    """That of one node of three, whose endpoints are one each. ``without``: rules that are not there."""
    ends = [support.endpoint(f"10.1.0.{number}", f"lb{number}") for number in (1, 2, 3)]
    port = {"name": "http", "port": 80, "nodePort": 30080, "targetPort": 8080}
    objects = (
        support.service(ports=[port], type="NodePort", **spec),
        support.endpoint_slice(*ends, ports=[{"name": "http", "port": 8080}]),
    )
    own = support.node(node_name=node, node_addresses=[address, "127.0.0.1"], node_ips=[address], backend=backend)
    files = support.rendered(support.catalogue(*objects), own)
    (text,) = [files[name] for name in ("iptables.rules", "nftables.nft") if name in files]
    held = snapshot([("rules", "".join(line for line in text.splitlines(True) if not without or without not in line))])
    held = held._replace(addresses=frozenset({address, "127.0.0.1"}))
    fields = {"packets": [each.fields() for each in told(held, traced(held, to), to)], "reason": ""}
    return answer_of(json.loads(json.dumps(fields)))


def _nodes(count: int = 3, **more: Any) -> dict[str, Answer]:
    return {f"lb{number}": _answer(f"lb{number}", f"192.0.2.{number}", **more) for number in range(1, count + 1)}


def test_healthy_nodes_are_alike() -> None:
    """Though each has an address of its own, where its node port is."""
    lines = compared(_nodes())
    assert lines[:2] == ["all 3 nodes alike", "lb1, lb2, lb3:"]
    assert "  tcp to 192.0.2.1:30080, from a client elsewhere" in lines
    assert not any("192.0.2.2" in line for line in lines), "one tree for all"


def test_backends_are_alike() -> None:
    answers = {**_nodes(2), "lb3": _answer("lb3", "192.0.2.3", backend="nftables")}
    assert compared(answers)[0] == "all 3 nodes alike"


def test_a_node_that_differs_is_told_with_what_it_does() -> None:
    answers = _nodes()
    answers["lb2"] = _answer("lb2", "192.0.2.2", without="10.1.0.3:8080")
    lines = compared(answers)
    where = "tcp to 10.96.0.1:80"
    assert lines[0].startswith("2 of 3 nodes alike; lb2 differs: ")
    assert f"{where}: 1/3 10.1.0.1:8080, 1/3 10.1.0.2:8080, 1/3 goes on as it is instead of 1/3 10.1.0.1" in lines[0]
    assert "instead of 1/3 10.1.0.1:8080 masqueraded, 1/3 10.1.0.2:8080 masqueraded, 1/3" in lines[0]
    assert "policy Local" not in lines[0]
    assert [line for line in lines if line.endswith(":") and not line.startswith(" ")] == ["lb1, lb3:", "lb2:"]


def test_policy_local_is_a_reason_to_differ() -> None:
    lines = compared(_nodes(externalTrafficPolicy="Local"))
    head, *differing = lines[0].split("; lb")
    assert head == "no two of 3 nodes alike"
    assert "tcp to IPv4 port 30080 of the node: 10.1.0.1:8080" in differing[0]
    for number, told_of in enumerate(differing[1:], 2):
        assert told_of.startswith(f"{number} differs: tcp to ")
        assert f"tcp to IPv4 port 30080 of the node: 10.1.0.{number}:8080 instead of 10.1.0.1:8080" in told_of
        assert told_of.endswith("(policy Local: a node sends to its own endpoints alone)")
    assert not any("10.96.0.1:80" in line for line in lines[1:] if line.startswith("  tcp")), "there they are alike"


def test_who_drops_it_is_told() -> None:
    answers = {
        **_nodes(2, externalTrafficPolicy="Local"),
        "lb9": _answer("lb9", "192.0.2.9", externalTrafficPolicy="Local"),
    }
    assert (
        '(filter KUBE-EXTERNAL-SERVICES: -p tcp -m comment --comment "shop/web:http has no local endpoints"'
        in (compared(answers)[0])
    )


def test_a_node_without_the_service() -> None:
    answers = {**_nodes(2), "lb3": Answer((), "shop/web: the rules name no such Service")}
    lines = compared(answers)
    assert lines[0] == "2 of 3 nodes alike; lb3 differs: shop/web: the rules name no such Service"
    assert lines[-2:] == ["lb3:", "  shop/web: the rules name no such Service"]
    answers["lb4"] = answers["lb5"] = answers["lb3"]
    assert compared(answers)[0].startswith("3 of 5 nodes alike; lb1, lb2 differ: tcp to 10.96.0.1:80: 1/3")


def test_an_address_is_the_same_place_for_all() -> None:
    lines = compared(_nodes(to="192.0.2.1:30080"))
    assert lines[0].startswith("2 of 3 nodes alike; lb1 differs: tcp to 192.0.2.1:30080: 1/3")
    assert lines[0].endswith("instead of goes on as it is")


def test_one_node() -> None:
    lines = compared(_nodes(1))
    assert lines[0] == "lb1"
    assert lines[1] == "lb1:"
