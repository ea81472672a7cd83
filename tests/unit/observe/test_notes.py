"""What is noted beside a trace: odd nodes, other ports of the address, endpoints that take no connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import support

from sluice.observe import trace_text
from sluice.observe.notes import Place, noted
from sluice.observe.service_ports import ServicePort
from sluice.observe.services import services
from sluice.observe.snapshot import Snapshot, snapshot
from sluice.observe.trace import traced

ENDPOINTS = [f"10.1.0.{number}" for number in range(1, 6)]


def _held(*, protocol: str = "TCP", **live: object) -> Snapshot:
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": protocol}]
    slices = support.endpoint_slice(*ENDPOINTS, ports=[{"name": "http", "port": 8080, "protocol": protocol}])
    files = support.rendered(support.catalogue(support.service(ports=ports), slices), support.node())
    return snapshot([("rules", files["iptables.rules"])], ["10.0.0.10"])._replace(**live)


def _notes(held: Snapshot, to: str = "10.96.0.1:80", **more: object) -> tuple[str, ...]:
    (only,) = noted(held, traced(held, to), **more)  # type: ignore[arg-type]
    assert list(only.notes) == only.fields()["notes"]
    assert [line for line in trace_text.text([only]).splitlines() if line.startswith("note: ")] == [
        f"note: {note}" for note in only.notes
    ]
    return only.notes


def test_nothing_to_note() -> None:
    assert _notes(_held()) == ()
    assert _notes(_held(sysctls={"net.ipv4.ip_forward": "1"}, conntrack=(1, 100))) == ()


def test_a_node_that_loses_it_all_the_same() -> None:
    (note,) = _notes(_held(sysctls={"net.ipv4.ip_forward": "0"}))
    assert note.startswith("the node does not forward (net.ipv4.ip_forward = 0): what other hosts send")
    assert "sysctl -w net.ipv4.ip_forward=1" in note
    (note,) = _notes(_held(sysctls={"net.ipv4.ip_forward": "1"}, conntrack=(100, 100)))
    assert note.startswith("conntrack is full (")


def test_another_port_than_the_service_s() -> None:
    assert _notes(_held(), "10.96.0.1:81") == ("Services are at other ports of 10.96.0.1: 80/tcp (shop/web:http)",)
    assert _notes(_held(), "10.96.0.1:80/udp") == ("Services are at other ports of 10.96.0.1: 80/tcp (shop/web:http)",)
    assert _notes(_held(), "10.96.0.9:80") == ()


def test_endpoints_are_asked() -> None:
    asked: list[Place] = []

    def refusals(places: Sequence[Place]) -> Mapping[Place, str]:
        asked.extend(places)
        return {place: "refuses" if place[0] == "10.1.0.2" else "" for place in places}

    assert _notes(_held(), refusals=refusals) == (
        "asked from this node, 10.1.0.1:8080, 10.1.0.3:8080, 10.1.0.4:8080 and 1 more: takes a connection",
        "asked from this node, 10.1.0.2:8080: refuses",
    )
    assert asked == [(address, 8080) for address in ENDPOINTS]
    assert _notes(_held(protocol="UDP"), "10.96.0.1:80/udp", refusals=refusals) == (
        "only endpoints of TCP can be asked",
    )
    assert _notes(_held(), "10.96.0.9:80", refusals=refusals) == (), "there are none"
    text = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j REDIRECT\nCOMMIT\n"
    held = snapshot([("rules", text)], ["10.0.0.10", "10.0.0.11"])
    assert _notes(held, refusals=refusals) == (), "no dump tells at which address of the node"


def test_services_are_asked_for_where_they_are_needed() -> None:
    asked = []
    held = _held()

    def ports() -> list[ServicePort]:
        asked.append(None)
        return services(held)

    live = held._replace(sysctls={"net.ipv4.ip_forward": "0"})
    assert noted(live, traced(live, "shop/web", "", ports), ports=ports) == noted(live, traced(live, "shop/web"))
    assert len(asked) == 2, "of who to ask for, and who is at that address"
    noted(held, traced(held, "10.96.0.1:80", "", ports), ports=ports)
    assert len(asked) == 2, "rules of an address say it all"
