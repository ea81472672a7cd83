"""A dead endpoint gets no new connection: real checks, a real supervisor, real packets."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cases
import endpoints
import hosts
import load
import pytest
from watched import ALL, ALONE, OTHER, QUICK, SOON, WEB, A, B, C, Watched, answers, contents, held


@pytest.fixture
def watched(network: load.Network, plane: str) -> Iterator[Watched]:
    network.serve(ALL)
    network.node.apply(contents(plane, *ALL))
    found = Watched(network, plane)
    found.wait_until()
    yield found


def test_a_dead_endpoint_gets_no_new_connection(watched: Watched, plane: str) -> None:
    network, node = watched.network, watched.node
    before = held(node, plane)
    assert answers(network, WEB) == {A, B}
    watched.cut(A)
    watched.wait_until(A)
    assert answers(network, WEB) == {B}
    assert answers(network, OTHER) == {B, C}
    # Nothing that is said of the rules is a difference.
    assert node.sluice("apply").stdout == "changed=0\n"
    assert node.differs() == ()
    watched.cut()
    watched.wait_until()
    assert held(node, plane) == before
    assert answers(network, WEB) == {A, B}


def test_where_all_are_down(watched: Watched, plane: str) -> None:
    """Open: as the catalogue says. Closed: refused, and back. Somebody else may say sorry."""
    network, node = watched.network, watched.node
    before = held(node, plane)
    watched.cut(A)
    watched.wait_until(A)
    assert network.ask(ALONE.address, 80, timeout=0.5) == "timeout"
    node.apply(contents(plane, *ALL, health_on_all_down="closed"))
    assert network.ask(ALONE.address, 80) == "ECONNREFUSED"
    sorry = {**QUICK, "onAllDown": f"sorry: {C}:{ALONE.target_port}"}
    node.apply(contents(plane, *ALL, health_check=sorry))
    assert answers(network, ALONE) == {C}
    watched.cut()
    watched.wait_until()
    assert answers(network, ALONE) == {A}
    node.apply(contents(plane, *ALL))
    assert held(node, plane) == before


def test_nothing_resurrects_the_dead(watched: Watched, plane: str) -> None:
    network, node = watched.network, watched.node
    watched.cut(A)
    watched.wait_until(A)
    more = cases.Service(4, (A, C))
    network.serve([more])
    node.apply(contents(plane, *ALL, more))
    watched.wait_until(A)
    assert answers(network, more) == {C}
    node.apply(contents(plane, *ALL, more._replace(endpoints=(A, B, C))), confirm=3600)
    node.sluice("rollback", "--unconfirmed")
    assert answers(network, more) == {C}
    node.sluice("rollback")
    assert answers(network, WEB) == {B}
    # An operator's word wins over a check, whatever that says.
    node.sluice("drain", C)
    watched.cut()
    watched.wait_until()
    assert answers(network, OTHER) == {B}


def test_whoever_dies_leaves_the_kernel_as_it_is(watched: Watched, plane: str) -> None:
    network, node = watched.network, watched.node
    watched.cut(A)
    watched.wait_until(A)
    generation = node.generation()
    for task in (watched.supervisor, watched.checker):
        task.kill()
    node.apply(contents(plane, *ALL))
    assert answers(network, WEB) == {B}
    watched.start()
    watched.wait_until(A)
    assert (answers(network, WEB), node.generation()) == ({B}, generation)
    # What was known before the boot is not believed after it.
    watched.supervisor.kill()
    node.call(lambda: shutil.rmtree("/run/sluice"))
    node.sluice("apply")
    assert answers(network, OTHER) == {B, C}


def test_health_that_is_switched_off_takes_nothing_out(watched: Watched, plane: str) -> None:
    node = watched.node
    watched.cut(A)
    watched.wait_until(A)
    node.apply(contents(plane, *ALL, health=False))
    assert node.differs() == ()
    hosts.wait_for(lambda: watched.states() == {}, "endpoints are asked still")
    assert node.sluice("apply").stdout == "changed=0\n"


def test_endpoints_are_asked_as_a_kubelet_asks_their_pod(network: load.Network, plane: str, tmp_path: Path) -> None:
    """In the clear, and by HTTPS with a certificate that nobody would trust."""
    files_of = [Path(name).read_text() for name in endpoints.certificate(tmp_path)]
    network.pods.call(lambda: [Path(f"/tmp/{name}").write_text(text) for name, text in zip(("ca", "key"), files_of)])
    network.pods.start(lambda: endpoints.serve("/tmp/ca", "/tmp/key"))
    probed, services = [], []
    for name, handler in (("clear", {"port": endpoints.HTTP}), ("secret", {"port": "web", "scheme": "HTTPS"})):
        ports = [{"name": "web", "containerPort": endpoints.HTTPS}]
        container = {"name": "web", "ports": ports, "readinessProbe": {"httpGet": handler}}
        metadata = {"name": name, "namespace": "shop"}
        probed.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})
        said = json.dumps({"readinessProbe": {"pod": name}, **SOON})
        annotations = {"sluice.io/health-check": said}
        services.append(cases.Service(len(services), (A, B), more=(("annotations", annotations),)))
    network.node.apply(contents(plane, *services, pods=probed))
    watched = Watched(network, plane)
    watched.wait_until()
    assert set(watched.states()) == {f"{each}:{port}" for each in (A, B) for port in (endpoints.HTTP, endpoints.HTTPS)}
    watched.cut(A)
    watched.wait_until(A)
    assert not any(A in line for line in held(network.node, plane))
    assert any(B in line for line in held(network.node, plane))
    watched.cut()
    watched.wait_until()
    assert any(A in line for line in held(network.node, plane))
