"""What is rendered again and again is what would be rendered anew."""

from __future__ import annotations

from typing import Any

import strategies
import support
from hypothesis import given
from hypothesis import strategies as st

from sluice import render
from sluice.backends.interface import Memo
from sluice.backends.registry import BACKENDS
from sluice.catalogue.model import Catalogue
from sluice.node.rendering import Rendering, Use
from sluice.outages import NO_OUTAGES, Outages
from sluice.settings import Settings, from_variables
from sluice.view import view

PROBE = {"tcpSocket": {}, "onAllDown": "closed"}


def anew(found: Catalogue, own: Settings, outages: Outages) -> dict[str, str]:
    views = {family: view(found, own, family, outages) for family in own.ip_families}
    return BACKENDS[own.backend].render(views, own, Memo())


@given(
    objects=strategies.catalogues(8),
    variables=strategies.variables(),
    probe=st.fixed_dictionaries(
        {"tcpSocket": st.just({})},
        optional={
            "onAllDown": st.sampled_from(["open", "closed", "sorry: 10.9.9.9:80"]),
            "minHealthyPercent": st.sampled_from([30, 60]),
        },
    ),
    dispatch=st.sampled_from(["linear", "prefix"]),
    data=st.data(),
)
def test_a_series_of_outages(
    objects: list[dict[str, Any]], variables: dict[str, Any], probe: dict[str, Any], dispatch: str, data: st.DataObject
) -> None:
    found = support.catalogue(*objects)
    more = {"sluice_health": True, "sluice_health_check": probe, "sluice_iptables_dispatch": dispatch}
    own = from_variables({**variables, **more})[0]
    backend = data.draw(st.sampled_from(["iptables", "ipvs", *(["nftables"] if own.compat == "1.36" else [])]))
    own = own._replace(backend=backend)
    rendering = Rendering(found, own)
    checks = sorted(rendering.checks)
    addresses = sorted({check[0] for check in checks})
    some = st.lists(st.sampled_from(checks), max_size=6) if checks else st.just([])
    few = st.lists(st.sampled_from(addresses), max_size=2) if addresses else st.just([])
    for _step in range(4):
        outages = Outages(frozenset(data.draw(few)), frozenset(data.draw(some)))
        assert rendering.files(outages) == anew(found, own, outages)
    assert rendering.files(NO_OUTAGES) == anew(found, own, NO_OUTAGES)


def test_one_check_for_all_that_mean_it() -> None:
    """Of two Services with the same endpoint; a Service may ask another question, or ask at another port."""
    text = '{"tcpSocket": {"port": 9000}}'
    objects = [
        support.service("a", ip="10.96.0.1"),
        support.endpoint_slice("10.1.0.1", of="a"),
        support.service("b", ip="10.96.0.2"),
        support.endpoint_slice("10.1.0.1", of="b"),
        support.service("c", ip="10.96.0.3", annotations={"sluice.io/health-check": text}),
        support.endpoint_slice("10.1.0.1", of="c"),
    ]
    own = support.node(health=True, health_check={"tcpSocket": {}})
    found = Rendering(support.catalogue(*objects), own).checks
    assert {(check[:2], tuple(sorted(use.name for use in uses))) for check, uses in found.items()} == {
        (("10.1.0.1", 8080), ("shop/a", "shop/b")),
        (("10.1.0.1", 9000), ("shop/c",)),
    }
    (one,) = [uses for check, uses in found.items() if check[1] == 9000]
    assert one == {Use("shop/c", "tcp", "10.1.0.1", 8080, "keep")}


def test_what_becomes_of_a_service_port_whose_endpoints_are_all_down() -> None:
    """As its check says, else as the node's settings do."""
    own_word = support.service("a", annotations={"sluice.io/health-check": '{"tcpSocket": {}, "onAllDown": "open"}'})
    found = support.catalogue(
        own_word,
        support.endpoint_slice("10.1.0.1", of="a"),
        support.service("b", ip="10.96.0.2"),
        support.endpoint_slice("10.1.0.1", of="b"),
    )
    own = support.node(health=True, health_check={"tcpSocket": {}}, health_on_all_down="closed")
    uses = {use.name: use.on_all_down for uses in Rendering(found, own).checks.values() for use in uses}
    assert uses == {"shop/a": "open", "shop/b": "closed"}


def test_a_named_port_is_that_of_the_endpoint_s_own_slice() -> None:
    """Slices of one Service may give a name different numbers, as while its Pods are replaced; and one none at all."""

    def ports(**named: int) -> list[dict[str, Any]]:
        return [{"name": name, "port": number, "protocol": "TCP"} for name, number in named.items()]

    objects = [
        support.service(ports=[{"name": "http", "port": 80, "protocol": "TCP"}]),
        support.endpoint_slice("10.1.0.1", name="web-1", ports=ports(http=8080, admin=9000)),
        support.endpoint_slice("10.1.0.2", name="web-2", ports=ports(http=8081, admin=9001)),
        support.endpoint_slice("10.1.0.3", name="web-3", ports=ports(http=8080)),
    ]
    own = support.node(health=True, health_check={"tcpSocket": {"port": "admin"}})
    found = Rendering(support.catalogue(*objects), own)
    asked = {check[:2]: [(use.address, use.port) for use in uses] for check, uses in found.checks.items()}
    assert asked == {("10.1.0.1", 9000): [("10.1.0.1", 8080)], ("10.1.0.2", 9001): [("10.1.0.2", 8081)]}

    (down,) = [check for check in found.checks if check[0] == "10.1.0.2"]
    outages = Outages(down=frozenset([down]))
    (port,) = view(support.catalogue(*objects), own, "IPv4", outages).ports
    assert [target.address for target in port.cluster] == ["10.1.0.1", "10.1.0.3"]


def test_who_is_not_asked() -> None:
    """What is not ready by the catalogue, what a probe cannot ask, and everybody where health is off."""
    ends = [support.endpoint("10.1.0.1", ready=False, serving=False, terminating=False), support.endpoint("10.1.0.2")]
    udp = [{"port": 53, "targetPort": 53, "protocol": "UDP"}]
    objects = [
        support.service(),
        support.endpoint_slice(*ends),
        support.service("dns", ip="10.96.0.2", ports=udp),
        support.endpoint_slice("10.1.0.3", of="dns", ports=[{"name": "", "port": 53, "protocol": "UDP"}]),
    ]
    found = support.catalogue(*objects)
    asked = Rendering(found, support.node(health=True, health_check={"tcpSocket": {}})).checks
    assert [check[:2] for check in asked] == [("10.1.0.2", 8080)]
    assert Rendering(found, support.node(health_check={"tcpSocket": {}})).checks == {}
    assert Rendering(found, support.node(health=True)).checks == {}


def test_files_are_those_that_a_controller_renders() -> None:
    found = support.catalogue(support.service(), support.endpoint_slice("10.1.0.1"))
    own = support.node()
    rendered = render.render(render.views(found, own), own)
    for name, text in Rendering(found, own).files(NO_OUTAGES).items():
        assert rendered[name] == text
