"""What is in force, down or drained makes other answers; what is as before makes none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import catalogue, endpoint, endpoint_slice, node, service

from sluice.node import condition, outage, state
from sluice.node.answering import Answering
from sluice.node.rendering import Rendering
from sluice.outages import Asked
from sluice.view import asked

OWN = node(healthz="", health=True, health_check={"tcpSocket": {}})
LB = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32001, "ingress": ["192.0.2.1"]}
SLICE = endpoint_slice(endpoint("10.1.0.1", "node1"), endpoint("10.1.0.2", "node1"))
VIEWS = Rendering(catalogue(service(**LB), service("other", ip="10.96.0.2"), SLICE), OWN).health_views
NONE: frozenset[Asked] = frozenset()


def told(answering: Answering) -> tuple[int, int]:
    """The status, and the number of endpoints."""
    (handler,) = answering.wanted.values()
    answer = handler.answer("/")
    return answer.status, json.loads(answer.body)["localEndpoints"]


@pytest.fixture
def answering(node_root: Path, monkeypatch: pytest.MonkeyPatch) -> Answering:
    monkeypatch.setattr(condition, "AGE", 0)
    found = Answering()
    assert found.look(OWN, VIEWS, NONE)
    assert told(found) == (200, 2)
    assert not found.look(OWN, VIEWS, NONE)
    return found


def test_what_is_down(answering: Answering) -> None:
    (port,) = VIEWS["IPv4"].ports
    checks = [check for check in (asked(port, target) for target in port.endpoints) if check]
    assert answering.look(OWN, VIEWS, frozenset(checks[:1]))
    assert told(answering) == (200, 1)
    assert answering.look(OWN, VIEWS, frozenset(checks))
    assert told(answering) == (503, 0)
    assert answering.look(OWN, VIEWS, NONE)
    assert told(answering) == (200, 2)


def test_what_is_drained(answering: Answering) -> None:
    assert answering.drained == frozenset()
    outage.set_drained(["10.1.0.2"])
    assert answering.look(OWN, VIEWS, NONE)
    assert answering.drained == {"10.1.0.2"}
    assert told(answering) == (200, 1)


def test_how_the_node_is_counts_at_once(answering: Answering) -> None:
    state.set_note("nobody confirmed it")
    assert told(answering) == (503, 2)
    state.forget_note()
    outage.set_node_drained(drained=True)
    assert told(answering) == (503, 2)


def test_where_nothing_is_in_force(answering: Answering) -> None:
    assert answering.look(None, {}, NONE)
    assert answering.wanted == {}


def test_where_nobody_can_tell_endpoints_the_node_still_answers(answering: Answering) -> None:
    assert answering.look(OWN._replace(healthz="127.0.0.1:10256"), {}, NONE)
    assert list(answering.wanted) == [("127.0.0.1", 10256)]
