"""What routers are told: byte for byte as kube-proxy's, of the endpoints that are ready, local, and neither out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest
from answer_loop import GET, LOOPBACK, answering
from support import catalogue, endpoint, endpoint_slice, node, service

from sluice.addresses import IPV4, IPV6
from sluice.node import answers
from sluice.node.answers import Answer, Handler, Health, Local, handlers, local_endpoints, proxy
from sluice.node.rendering import Rendering
from sluice.outages import NO_OUTAGES, Outages
from sluice.release import RELEASES
from sluice.settings import Settings
from sluice.view import asked, view

PORT = 32001
LB = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": PORT, "ingress": ["192.0.2.1"]}
WELL, FAILED, DRAINED = Health(updated=1700000000), Health(healthy=False, updated=1700000000), Health(eligible=False)

BODY = """{
	"service": {
		"namespace": "shop",
		"name": "web"
	},
	"localEndpoints": %d,
	"serviceProxyHealthy": %s
}"""
BODY_OF_OLD = """{
	"service": {
		"namespace": "shop",
		"name": "web"
	},
	"localEndpoints": %d
}"""


def counted(*slices: dict[str, Any], outages: Outages = NO_OUTAGES, **variables: Any) -> int:
    """The local endpoints of a Service that has these slices."""
    own = node(**variables)
    found = local_endpoints([view(catalogue(service(**LB), *slices), own, IPV4)], outages)
    assert [(each.namespace, each.name, each.port) for each in found] == [("shop", "web", PORT)]
    return found[0].endpoints


# --- health check node ports


@pytest.mark.parametrize("compat", RELEASES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("health", [WELL, FAILED, DRAINED])
def test_the_answer_byte_for_byte(compat: str, method: str, count: int, health: Health) -> None:
    """As Go's net/http and kube-proxy's handler send it, from a socket."""
    local = Local("shop", "web", PORT, count)
    handler = Handler("web", lambda _path: answers.service(local, health, RELEASES[compat]))
    with answering({LOOPBACK: handler}) as loop:
        request = f"{method} /any/path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        with closing(loop.come(request.encode())) as client:
            lines = client.all().decode().split("\r\n")
    well = health == WELL
    body = BODY % (count, json.dumps(well)) if compat == "1.36" else BODY_OF_OLD % count
    date = next(line for line in lines if line.startswith("Date: "))
    assert lines == [
        "HTTP/1.1 200 OK" if well and count else "HTTP/1.1 503 Service Unavailable",
        "Content-Type: application/json",
        "X-Content-Type-Options: nosniff",
        *([f"X-Load-Balancing-Endpoint-Weight: {count}"] if compat == "1.36" else []),
        date,
        f"Content-Length: {len(body)}",
        "Connection: close",
        "",
        "" if method == "HEAD" else body,
    ]


def test_lengths_are_those_that_go_sends() -> None:
    """By kube-proxy's own formats; a blank too many would not show in what is compared above."""
    assert (len(BODY % (3, "true")), len(BODY_OF_OLD % 3)) == (111, 81)


HERE = [endpoint(f"10.1.0.{number}", "node1") for number in (1, 2, 3)]
THERE = endpoint("10.1.0.9", "node2")
DYING = {"ready": False, "serving": True, "terminating": True}


@pytest.mark.parametrize("compat", RELEASES)
def test_ready_local_endpoints_count(compat: str) -> None:
    assert counted(endpoint_slice(*HERE, THERE), compat=compat) == 3
    assert counted(endpoint_slice(HERE[0], THERE), compat=compat) == 1
    assert counted(endpoint_slice(THERE), compat=compat) == 0
    assert counted(compat=compat) == 0


@pytest.mark.parametrize("compat", RELEASES)
def test_what_terminates_does_not_count_though_it_serves(compat: str) -> None:
    dying = endpoint("10.1.0.4", "node1", **DYING)
    assert counted(endpoint_slice(dying), compat=compat) == 0
    assert counted(endpoint_slice(dying, HERE[0]), compat=compat) == 1
    assert counted(endpoint_slice(endpoint("10.1.0.4", "node1", ready=False)), compat=compat) == 0


def test_endpoints_without_a_node() -> None:
    anywhere = endpoint_slice(endpoint("10.1.0.1", ""))
    assert counted(anywhere) == 0
    assert counted(anywhere, endpoints_without_node="local") == 1


def test_it_counts_before_anything_leads_to_the_service() -> None:
    """A router asks before there is an address, where there are no node ports."""
    spec = {**LB, "ingress": [], "allocateLoadBalancerNodePorts": False}
    found = view(catalogue(service(**spec), endpoint_slice(*HERE)), node(), IPV4)
    assert local_endpoints([found]) == [Local("shop", "web", PORT, 3)]


def test_an_endpoint_counts_once_whatever_ports_it_has() -> None:
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 443}]
    slices = endpoint_slice(*HERE, ports=[{**port, "protocol": "TCP"} for port in ports])
    found = view(catalogue(service(ports=ports, **LB), slices), node(), IPV4)
    assert local_endpoints([found]) == [Local("shop", "web", PORT, 3)]


def test_services_without_such_a_port_are_left_out() -> None:
    found = view(catalogue(service(type="LoadBalancer"), endpoint_slice(*HERE)), node(), IPV4)
    assert local_endpoints([found]) == []


def test_what_is_drained_does_not_count() -> None:
    assert counted(endpoint_slice(*HERE), outages=Outages(drained=frozenset(["10.1.0.1"]))) == 2


@pytest.mark.parametrize("then", ["open", "closed"])
def test_what_is_down_does_not_count_even_where_it_serves_on(then: str) -> None:
    variables = {"health": True, "health_check": {"tcpSocket": {}}, "health_on_all_down": then}
    slices = endpoint_slice(*HERE)
    (port,) = view(catalogue(service(**LB), slices), node(**variables), IPV4).ports
    checks = [check for check in (asked(port, target) for target in port.endpoints) if check]
    assert len(checks) == 3
    assert counted(slices, outages=Outages(down=frozenset(checks[:1])), **variables) == 2
    assert counted(slices, outages=Outages(down=frozenset(checks)), **variables) == 0


BOTH = catalogue(
    service(ip=["10.96.0.1", "fd00:96::1"], ipFamilies=[IPV4, IPV6], ipFamilyPolicy="RequireDualStack", **LB),
    endpoint_slice(*HERE),
    endpoint_slice(endpoint("fd00:1::1", "node1"), family=IPV6),
    service("six", ip="fd00:96::2", ipFamilies=[IPV6], **{**LB, "healthCheckNodePort": PORT + 1, "ingress": []}),
    endpoint_slice(endpoint("fd00:1::1", "node1"), of="six", family=IPV6),
)


def answered(settings: Settings) -> dict[tuple[str, int], Any]:
    """What is answered where, ``/`` being asked for: the number of endpoints, or None where that is not told."""
    found = handlers(settings, Rendering(BOTH, settings).health_views, NO_OUTAGES, lambda: WELL)
    return {
        place: json.loads(answer.body)["localEndpoints"] if answer.status == 200 else None
        for place, answer in ((place, handler.answer("/")) for place, handler in found.items())
    }


def test_who_asks_is_told_of_the_endpoints_of_that_family() -> None:
    """Of the other one where the Service has no other."""
    assert answered(node(ip_families=[IPV4, IPV6])) == {
        ("0.0.0.0", 10256): None,
        ("0.0.0.0", PORT): 3,
        ("0.0.0.0", PORT + 1): 1,
        ("::", PORT): 1,
        ("::", PORT + 1): 1,
    }


def test_handlers_are_named() -> None:
    settings = node(healthz="")
    found = handlers(settings, Rendering(BOTH, settings).health_views, NO_OUTAGES, lambda: WELL)
    assert {place: handler.name for place, handler in found.items()} == {
        ("0.0.0.0", PORT): "healthCheckNodePort of shop/web",
    }


PRIMARY = {"nodeport_addresses": ["primary"]}


@pytest.mark.parametrize(
    ("variables", "where"),
    [
        ({}, ["0.0.0.0", "::"]),
        (PRIMARY, ["10.0.0.10", "fd00:10::10"]),
        ({"nodeport_addresses": ["10.0.0.0/8"]}, ["10.0.0.10", "::"]),
        ({**PRIMARY, "health_node_port_addresses": ["127.0.0.0/8", "::1/128"]}, ["127.0.0.1", "::1"]),
        ({**PRIMARY, "health_node_port_addresses": ["0.0.0.0/0", "::/0"]}, ["0.0.0.0", "::"]),
        (
            {"nodeport_addresses": ["192.0.2.7/32", "fe80::/10"], "node_addresses": ["10.1.1.1", "fe80::1"]},
            ["192.0.2.7"],
        ),
    ],
)
def test_it_answers_on_the_addresses_that_serve_node_ports(variables: Mapping[str, Any], where: Sequence[str]) -> None:
    found = answered(node(ip_families=[IPV4, IPV6], healthz="", **variables))
    assert [address for address, port in found if port == PORT] == where


# --- /healthz and /livez

NOW = 1795958943_120000000
RUNNING = 75_001002003


def told(path: str, health: Health, compat: str = "1.36", families: Sequence[str] = (IPV4,)) -> tuple[int, str]:
    found = proxy(path, health, RELEASES[compat], families, NOW, RUNNING)
    assert found.headers == (("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff"))
    return found.status, found.body.decode()


def test_healthz_and_livez_byte_for_byte() -> None:
    """As encoding/json of Go writes kube-proxy's ``ProxyHealth``."""
    now, brought = "2026-11-29T13:29:03.12Z", "2023-11-14T22:13:20Z"
    times = f'"lastUpdated":"{brought}","currentTime":"{now}"'
    one = f'{{"lastUpdated":"{brought}","healthy":'
    both = f'{{"IPv4":{one}true}},"IPv6":{one}true}}}}'
    body = f'{{"lastUpdated":"{now}","currentTime":"{now}","nodeEligible":true,"healthy":true,"status":{both}}}'
    assert told("/healthz", WELL, families=(IPV6, IPV4)) == (200, body)
    body = f'{{{times},"nodeEligible":true,"healthy":false,"status":{{"IPv4":{one}false}}}}}}'
    assert told("/healthz", FAILED) == (503, body)
    body = f'{{{times},"healthy":false,"status":{{"IPv4":{one}false}}}}}}'
    assert told("/livez", FAILED) == (503, body)


def test_a_drained_node_is_not_eligible_and_lives() -> None:
    now, never = "2026-11-29T13:29:03.12Z", "0001-01-01T00:00:00Z"
    assert told("/healthz", DRAINED) == (
        503,
        f'{{"lastUpdated":"{never}","currentTime":"{now}","nodeEligible":false,"healthy":true}}',
    )
    assert told("/livez", DRAINED) == (200, f'{{"lastUpdated":"{now}","currentTime":"{now}","healthy":true}}')


@pytest.mark.parametrize("compat", ["1.18", "1.20"])
def test_healthz_of_old_releases_byte_for_byte(compat: str) -> None:
    now = "2026-11-29 13:29:03.12 +0000 UTC m=+75.001002003"
    assert told("/healthz", WELL, compat) == (200, f'{{"lastUpdated": "{now}","currentTime": "{now}"}}')
    assert told("/healthz", FAILED, compat) == (
        503,
        f'{{"lastUpdated": "2023-11-14 22:13:20 +0000 UTC","currentTime": "{now}"}}',
    )
    assert told("/healthz", DRAINED, compat) == (
        503,
        f'{{"lastUpdated": "0001-01-01 00:00:00 +0000 UTC","currentTime": "{now}"}}',
    )


@pytest.mark.parametrize(
    ("compat", "path"), [("1.36", "/"), ("1.36", "/healthz/"), ("1.36", "*"), ("1.18", "/livez"), ("1.20", "/livez")]
)
def test_other_paths_are_not_found_as_go_says_it(compat: str, path: str) -> None:
    assert proxy(path, WELL, RELEASES[compat], (IPV4,), NOW, RUNNING) == Answer(
        404,
        (("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")),
        b"404 page not found\n",
    )


@pytest.mark.parametrize(
    ("healthz", "where"),
    [
        ("", []),
        ("127.0.0.1:1", [("127.0.0.1", 1)]),
        ("[fd00::1]:1", [("fd00::1", 1)]),
        ("[::]:10256", [("::", 10256), ("0.0.0.0", 10256)]),
    ],
)
def test_where_healthz_is(healthz: str, where: Sequence[tuple[str, int]]) -> None:
    settings = node(healthz=healthz)
    found = handlers(settings, {}, NO_OUTAGES, lambda: WELL)
    assert list(found) == where
    assert {handler.answer("/healthz").status for handler in found.values()} <= {200}


def test_healthz_from_a_socket() -> None:
    settings = node()
    (handler,) = handlers(settings, {}, NO_OUTAGES, lambda: DRAINED).values()
    with answering({LOOPBACK: handler}) as loop:
        found = json.loads(loop.ask(GET.replace(b"GET /", b"GET /healthz?verbose")))
        assert found["nodeEligible"] is False
        assert loop.ask(GET.replace(b"GET /", b"GET /nothing")) == b"404 page not found\n"
