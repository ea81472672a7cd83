"""Tables, names and lists beside those of ``kubectl get``."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from sluice.catalogue import listing, selectors
from sluice.catalogue.listing import ENDPOINTS, KINDS, NODES, SERVICES, Kind
from sluice.catalogue.model import (
    Catalogue,
    Endpoint,
    EndpointSlice,
    Ingress,
    Node,
    Service,
    ServicePort,
    SlicePort,
)

NOW = datetime(2026, 3, 1, tzinfo=timezone.utc).timestamp()
HTTP = SlicePort("http", "TCP", 8080)
WEB = Service(
    "shop",
    "web",
    "NodePort",
    ("10.96.0.10", "fd00:96::10"),
    (ServicePort("http", "TCP", 80, 8080, 30080), ServicePort("https", "TCP", 443, 8443)),
    labels=(("app", "web"), ("tier", "front")),
    selector=(("tier", "front"), ("app", "web")),
    created="2026-02-28T20:48:00Z",
)
DNS = Service("default", "dns", "ClusterIP", ("10.96.0.2",), (ServicePort("", "UDP", 53, 53),))
PEERS = Service("shop", "peers", "ClusterIP", (), ())
DB = Service("shop", "db", "ExternalName", (), (), external_name="db.example.com", created="2026-02-12T00:00:00Z")
EDGE = Service("shop", "edge", "LoadBalancer", ("10.96.0.3",), (ServicePort("", "SCTP", 7, 7, 30007),))
CATALOGUE = Catalogue((DNS, WEB, EDGE), idle=(PEERS, DB))
LB1 = Node(
    "lb1",
    (
        ("node-role.kubernetes.io/worker", ""),
        ("node-role.kubernetes.io/control-plane", "true"),
        ("node-role.kubernetes.io/", ""),
        ("kubernetes.io/role", "edge"),
    ),
    ("10.0.0.1", "fd00::1"),
    ("192.0.2.1",),
    "Ready,SchedulingDisabled",
    (("kubeletVersion", "v1.36.2"), ("osImage", "Debian GNU/Linux 12 (bookworm)"), ("kernelVersion", "6.1.0")),
    "2025-02-09T00:00:00Z",
)


def table(
    kind: Kind, catalogue: Catalogue = CATALOGUE, namespace: str = "", selector: str = "", **options: Any
) -> list[str]:
    found = listing.select(catalogue, kind, namespace, selectors.parse(selector))
    return listing.table(kind, found, NOW, **options).splitlines()


def test_services_of_a_namespace() -> None:
    assert table(SERVICES, namespace="shop") == [
        "NAME    TYPE           CLUSTER-IP   EXTERNAL-IP      PORT(S)                AGE",
        "db      ExternalName   <none>       db.example.com   <none>                 17d",
        "edge    LoadBalancer   10.96.0.3    <pending>        7:30007/SCTP           <unknown>",
        "peers   ClusterIP      None         <none>           <none>                 <unknown>",
        "web     NodePort       10.96.0.10   <none>           80:30080/TCP,443/TCP   3h12m",
    ]


def test_services_of_all_namespaces() -> None:
    assert table(SERVICES, namespaces=True)[:2] == [
        "NAMESPACE   NAME    TYPE           CLUSTER-IP   EXTERNAL-IP      PORT(S)                AGE",
        "default     dns     ClusterIP      10.96.0.2    <none>           53/UDP                 <unknown>",
    ]


def test_wide_services_have_their_selector() -> None:
    assert table(SERVICES, selector="app", wide=True) == [
        "NAME   TYPE       CLUSTER-IP   EXTERNAL-IP   PORT(S)                AGE     SELECTOR",
        "web    NodePort   10.96.0.10   <none>        80:30080/TCP,443/TCP   3h12m   app=web,tier=front",
    ]
    assert table(SERVICES, namespace="default", wide=True)[1].endswith("<unknown>   <none>")


def test_connections_by_address_and_node_port() -> None:
    counted = {("10.96.0.10", "tcp", 80): 7, ("fd00:96::10", "tcp", 80): 0, ("", "tcp", 30080): 2, ("", "sctp", 9): 1}
    head, *lines = table(SERVICES, more=[listing.connections(counted)])
    assert head.endswith("   CONNECTIONS")
    found = {line.split()[0]: line.split()[-1] for line in lines}
    assert found["web"] == "10.96.0.10:80/TCP=7,[fd00:96::10]:80/TCP=0,*:30080/TCP=2"
    assert found["dns"] == "<none>"


@pytest.mark.parametrize(
    ("kind", "ingress", "own", "narrow", "wide"),
    [
        ("ClusterIP", [], ["198.51.100.1", "198.51.100.2"], "198.51.100.1,198.51.100.2", None),
        ("NodePort", [], [], "<none>", None),
        ("LoadBalancer", [], [], "<pending>", None),
        ("LoadBalancer", [], ["198.51.100.1"], "198.51.100.1", None),
        ("LoadBalancer", ["192.0.2.100"], [], "192.0.2.100", None),
        ("LoadBalancer", ["2001:db8:1::1234"], [], "2001:db8:1::1234", None),
        ("LoadBalancer", ["192.0.2.9", "192.0.2.10"], [], "192.0.2.10,19...", "192.0.2.10,192.0.2.9"),
        ("LoadBalancer", ["192.0.2.9", "192.0.2.10"], ["10.1.1.1"], "192.0.2.10,19...,10.1.1.1", None),
    ],
)
def test_external_addresses(kind: str, ingress: list[str], own: list[str], narrow: str, wide: str | None) -> None:
    service = DNS._replace(type=kind, external_ips=tuple(own), ingress=tuple(map(Ingress, ingress)))
    (line,) = table(SERVICES, Catalogue((service,)), headers=False)
    assert line.split()[3] == narrow
    if wide:
        (line,) = table(SERVICES, Catalogue((service,)), headers=False, wide=True)
        assert line.split()[3] == wide


def slices(*addresses: str, ports: tuple[SlicePort, ...] = (HTTP,), **more: Any) -> EndpointSlice:
    return EndpointSlice("IPv4", ports, tuple(Endpoint(address, **more) for address in addresses))


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        ([], "<none>"),
        ([slices()], "<none>"),
        ([slices("10.0.0.1")], "10.0.0.1:8080"),
        ([slices("10.0.0.2", "10.0.0.10", "10.0.0.1")], "10.0.0.1:8080,10.0.0.10:8080,10.0.0.2:8080"),
        ([slices(*(f"10.0.0.{n}" for n in range(1, 8)))], "10.0.0.1:8080,10.0.0.2:8080,10.0.0.3:8080 + 4 more..."),
        (
            [slices("10.0.0.1", "10.0.0.2", ports=(HTTP, SlicePort("dns", "UDP", 53)))],
            "10.0.0.1:8080,10.0.0.2:8080,10.0.0.1:53 + 1 more...",
        ),
        ([slices("fd00::1"), slices("10.0.0.2", ready=False)], "[fd00::1]:8080"),
        ([slices("10.0.0.2", ready=False)], ""),
        ([slices("10.0.0.2", ready=False, terminating=True)], "<none>"),
        ([slices("10.0.0.2", "10.0.0.1", ports=())], "10.0.0.1,10.0.0.2"),
    ],
    ids=str,
)
def test_endpoints(pieces: list[EndpointSlice], shown: str) -> None:
    listed = table(ENDPOINTS, Catalogue((WEB._replace(slices=tuple(pieces)),)))
    width = max(len("ENDPOINTS"), len(shown)) + 3
    assert listed == [f"NAME   {'ENDPOINTS':<{width}}AGE", f"web    {shown:<{width}}3h12m"]


def test_external_names_have_no_endpoints() -> None:
    assert [line.split()[0] for line in table(ENDPOINTS)] == ["NAME", "dns", "edge", "peers", "web"]


def test_nodes() -> None:
    catalogue = Catalogue(nodes=(LB1, Node("lb0", (), ())))
    for namespaces in (False, True):
        assert table(NODES, catalogue, "shop", namespaces=namespaces) == [
            "NAME   STATUS                     ROLES                       AGE         VERSION",
            "lb0    Unknown                    <none>                      <unknown>   ",
            "lb1    Ready,SchedulingDisabled   control-plane,edge,worker   385d        v1.36.2",
        ]
    wide = table(NODES, catalogue, wide=True)
    assert wide[0].split()[5:] == ["INTERNAL-IP", "EXTERNAL-IP", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"]
    assert wide[1].split()[4:] == ["<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"]
    assert wide[2].endswith("10.0.0.1      192.0.2.1     Debian GNU/Linux 12 (bookworm)   6.1.0            <unknown>")


def test_a_column_has_six_characters() -> None:
    service = DNS._replace(name="a", namespace="b")
    (line,) = table(SERVICES, Catalogue((service,)), headers=False, namespaces=True)
    assert line.startswith("b     a     ClusterIP   ")


def test_nothing_is_no_table() -> None:
    for kind in (SERVICES, ENDPOINTS, NODES):
        assert table(kind, Catalogue()) == []
    assert table(SERVICES, namespace="nowhere") == table(SERVICES, selector="app=db") == []


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-2.0, "<invalid>"),
        (-1.9, "0s"),
        (0, "0s"),
        (45, "45s"),
        (119, "119s"),
        (120, "2m"),
        (330, "5m30s"),
        (599, "9m59s"),
        (600, "10m"),
        (179 * 60 + 59, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 12 * 60 + 59, "3h12m"),
        (8 * 3600 - 1, "7h59m"),
        (8 * 3600, "8h"),
        (48 * 3600 - 1, "47h"),
        (48 * 3600, "2d"),
        (52 * 3600, "2d4h"),
        (8 * 86400 - 1, "7d23h"),
        (8 * 86400, "8d"),
        (17 * 86400, "17d"),
        (730 * 86400 - 1, "729d"),
        (730 * 86400, "2y"),
        (750 * 86400, "2y20d"),
        (8 * 365 * 86400 - 1, "7y364d"),
        (8 * 365 * 86400, "8y"),
        (20 * 365 * 86400, "20y"),
    ],
)
def test_age(seconds: float, shown: str) -> None:
    assert listing.age("2026-03-01T00:00:00Z", NOW + seconds) == shown


@pytest.mark.parametrize(
    ("created", "shown"),
    [
        ("2026-02-28T23:59:00.5Z", "60s"),
        ("2026-03-01T00:59:00+01:00", "60s"),
        ("2026-02-28T18:29:00-05:30", "60s"),
        ("", "<unknown>"),
        ("yesterday", "<unknown>"),
        ("2026-02-31T00:00:00Z", "<unknown>"),
        ("2026-02-28T23:59:00", "<unknown>"),
        ("2026-02-28", "<unknown>"),
        ("٢٠٢٦-02-28T23:59:00Z", "<unknown>"),
        ("2026-02-28T23:59:00+99:00", "<unknown>"),
        ("0001-01-01T00:00:00+14:00", "2026y"),
        ("9999-12-31T23:59:59-14:00", "<invalid>"),
    ],
)
def test_times(created: str, shown: str) -> None:
    assert listing.age(created, NOW) == shown


def test_names() -> None:
    found = listing.select(CATALOGUE, SERVICES, "shop", selectors.Selector())
    assert listing.names(SERVICES, found) == "service/db\nservice/edge\nservice/peers\nservice/web\n"
    assert listing.names(ENDPOINTS, [WEB]) == "endpoints/web\n"
    assert listing.names(NODES, [LB1]) == "node/lb1\n"


def test_lists() -> None:
    assert listing.as_list(SERVICES, []) == {
        "apiVersion": "v1",
        "items": [],
        "kind": "List",
        "metadata": {"resourceVersion": ""},
    }
    for kind, found, word in ((SERVICES, WEB, "Service"), (ENDPOINTS, WEB, "Endpoints"), (NODES, LB1, "Node")):
        (item,) = listing.as_list(kind, [found])["items"]
        assert (item["kind"], item["metadata"]["name"]) == (word, found.name)


def test_what_kubectl_calls_them() -> None:
    assert KINDS["svc"] is KINDS["service"] is KINDS["services"] is SERVICES
    assert KINDS["ep"] is KINDS["endpoints"] is ENDPOINTS
    assert KINDS["no"] is KINDS["node"] is KINDS["nodes"] is NODES


@given(strategies.HOSTILE, strategies.HOSTILE, st.booleans())
def test_a_terminal_gets_nothing_but_text(one: str, two: str, wide: bool) -> None:
    service = WEB._replace(external_name=one, type="ExternalName", selector=((one, two),), created=two)
    node = LB1._replace(labels=((f"node-role.kubernetes.io/{one}", ""),), info=(("osImage", two),), status=one)
    for kind, catalogue in ((SERVICES, Catalogue((service,))), (NODES, Catalogue(nodes=(node,)))):
        found = listing.select(catalogue, kind, "", selectors.Selector())
        text = listing.table(kind, found, NOW, wide=wide, namespaces=True)
        assert text.count("\n") == 2
        assert text.replace("\n", "").isprintable()


def test_what_is_out_on_a_node() -> None:
    slices = (EndpointSlice("IPv4", (HTTP,), (Endpoint("10.1.0.1"), Endpoint("10.1.0.2"), Endpoint("10.1.0.3"))),)
    down = {("10.1.0.2", 8080): NOW - 90, ("10.1.0.9", 80): NOW, ("10.1.0.3", 0): NOW - 7200}
    column = listing.out(["10.1.0.1", "10.1.0.8"], down, NOW)
    table = listing.table(ENDPOINTS, [WEB._replace(slices=slices), DNS], NOW, more=[column]).splitlines()
    assert [line.rpartition("   ")[2] for line in table] == [
        "OUT",
        "10.1.0.1 (drained),10.1.0.2:8080 (down 90s),10.1.0.3 (down 120m)",
        "<none>",
    ]
