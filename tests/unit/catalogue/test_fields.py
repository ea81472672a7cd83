"""Fields that nobody knows: each is a warning with the one that was meant, wherever it stands; others are none."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import HOSTILE, VALUES, catalogues
from support import endpoint, endpoint_slice, service

from sluice.catalogue import build
from sluice.catalogue.manifests import inline


def said(manifest: Any) -> list[str]:
    """What is said of fields that nobody knows in one object (and its Service)."""
    faults = build.build(inline([service(), manifest] if manifest["kind"] != "Service" else [manifest])[0]).faults
    return [f"{fault.field}: {fault.message}" for fault in faults if fault.message.startswith("there is no such field")]


def spoiled(manifest: dict[str, Any], *path: str | int) -> dict[str, Any]:
    """``manifest`` with one more field, the last of ``path``."""
    found = copy.deepcopy(manifest)
    *way, key = path
    holder: Any = found
    for step in way:
        holder = holder.setdefault(step, {}) if isinstance(holder, dict) else holder[step]
    holder[key] = None
    return found


WEB = service(
    type="LoadBalancer", ingress=["192.0.2.1"], sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {}}
)
PIECE = endpoint_slice({**endpoint("10.244.0.1", zones=["a"], nodes=["b"]), "zone": "a"})
ENDS = {
    "apiVersion": "v1",
    "kind": "Endpoints",
    "metadata": {"name": "web", "namespace": "shop"},
    "subsets": [{"addresses": [{"ip": "10.244.0.1"}], "notReadyAddresses": [], "ports": [{"port": 8080}]}],
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "agent", "namespace": "shop"},
    "spec": {"nodeName": "node1", "containers": [{"name": "a", "ports": [{"containerPort": 9100}]}]},
}
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}}


@pytest.mark.parametrize(
    ("manifest", "path", "meant"),
    [
        (WEB, ("specs",), ""),
        (WEB, ("data",), ""),
        (WEB, ("metadata", "label"), "labels"),
        (WEB, ("metadata", "Namespaces"), ""),  # it is there
        (WEB, ("spec", "sessionAffinty"), ""),  # it is there
        (WEB, ("spec", "externalIps"), "externalIPs"),
        (WEB, ("spec", "externalTraficPolicy"), "externalTrafficPolicy"),
        (WEB, ("spec", "loadBalancerSourceRange"), "loadBalancerSourceRanges"),
        (WEB, ("spec", "selectors"), "selector"),
        (WEB, ("spec", "zzz"), ""),
        (WEB, ("spec", "ports", 0, "nodeport"), "nodePort"),
        (WEB, ("spec", "ports", 0, "hostPort"), "nodePort"),
        (WEB, ("spec", "sessionAffinityConfig", "clientip"), ""),
        (WEB, ("spec", "sessionAffinityConfig", "clientIP", "timeoutSecond"), "timeoutSeconds"),
        (WEB, ("status", "loadbalancers"), ""),
        (WEB, ("status", "loadBalancer", "ingres"), ""),
        (WEB, ("status", "loadBalancer", "ingress", 0, "ipmode"), "ipMode"),
        (PIECE, ("endpoint",), ""),
        (PIECE, ("addresstype",), ""),
        (PIECE, ("spec",), ""),
        (PIECE, ("metadata", "annotation"), "annotations"),
        (PIECE, ("ports", 0, "appProtocols"), "appProtocol"),
        (PIECE, ("endpoints", 0, "nodename"), "hostname"),
        (PIECE, ("endpoints", 0, "hostnames"), "hostname"),
        (PIECE, ("endpoints", 0, "conditions", "serve"), "serving"),
        (PIECE, ("endpoints", 0, "hints", "forzone"), ""),
        (PIECE, ("endpoints", 0, "hints", "forZones", 0, "names"), ""),
        (ENDS, ("subset",), ""),
        (ENDS, ("subsets", 0, "port"), ""),
        (ENDS, ("subsets", 0, "addresses", 0, "nodename"), "nodeName"),
        (ENDS, ("subsets", 0, "ports", 0, "protocoll"), "protocol"),
        (POD, ("spec", "containers", 0, "ports", 0, "hostport"), "hostPort"),
        (POD, ("metadata", "uuid"), "uid"),
        (NODE, ("metadata", "labeles"), "labels"),
    ],
)
def test_a_field_that_nobody_knows(manifest: dict[str, Any], path: tuple[str | int, ...], meant: str) -> None:
    field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    hint = f", did you mean {meant}?" if meant else ""
    assert said(spoiled(manifest, *path)) == [f"{field}: there is no such field{hint}"]


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        (WEB, ()),
        (WEB, ("metadata", "labels", "anything")),
        (WEB, ("metadata", "managedFields")),
        (WEB, ("spec", "selector", "anything")),
        (WEB, ("status", "conditions")),
        # Gone since, but a dump may have them.
        (WEB, ("spec", "topologyKeys")),
        (WEB, ("spec", "ipFamily")),
        (WEB, ("metadata", "selfLink")),
        (WEB, ("metadata", "clusterName")),
        (PIECE, ("endpoints", 0, "deprecatedTopology", "anything")),
        (PIECE, ("endpoints", 0, "topology", "anything")),
        (PIECE, ("endpoints", 0, "targetRef", "anything")),
        # What a Pod and a Node have beside is much, and nothing of it is read.
        (POD, ("spec", "anything")),
        (POD, ("spec", "containers", 0, "anything")),
        (POD, ("status", "anything")),
        (NODE, ("spec", "anything")),
        (NODE, ("status", "anything")),
    ],
)
def test_what_is_none(manifest: dict[str, Any], path: tuple[str | int, ...]) -> None:
    assert said(spoiled(manifest, *path) if path else manifest) == []


def test_a_warning_and_no_fault() -> None:
    (fault,) = build.build(inline([service(sessionAffinty="ClientIP")])[0]).faults
    assert str(fault) == (
        "sluice_manifests[0]: Service shop/web: spec.sessionAffinty: warning: there is no such field, "
        "did you mean sessionAffinity?"
    )


@given(catalogues(3))
def test_none_in_a_sound_catalogue(objects: list[dict[str, Any]]) -> None:
    assert not [fault for fault in build.build(inline(objects)[0]).faults if "no such field" in fault.message]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each place in a value: what holds it, and its key there."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


@given(st.data())
def test_anything_in_any_place_is_a_line_at_most(data: st.DataObject) -> None:
    """Whatever stands in a field, or as its name: no traceback, one line each, and none of them twice."""
    objects = [
        *copy.deepcopy([WEB, PIECE, ENDS, POD, NODE]),
        service("old", ip="10.96.0.2"),
        {**copy.deepcopy(ENDS), "metadata": {"name": "old", "namespace": "shop"}},
    ]
    for _index in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(list(places(objects))))
        if isinstance(holder, dict) and data.draw(st.booleans()):
            key = data.draw(HOSTILE | st.integers() | st.none() | st.booleans())
        holder[key] = data.draw(VALUES)
    faults = build.build(inline(objects)[0]).faults
    lines = [str(fault) for fault in faults]
    assert all(line.isprintable() for line in lines)
    assert len(set(lines)) == len(lines)


@pytest.mark.parametrize("key", ["x" * 100_000, "a\nb: warning: c", "\ud800", "\x1b[2J"])
def test_a_hostile_name_of_a_field(key: str) -> None:
    (fault,) = build.build(inline([service(**{key: 1})])[0]).faults
    line = str(fault)
    assert fault.warning
    assert line.isprintable()
    assert len(line) < 500
