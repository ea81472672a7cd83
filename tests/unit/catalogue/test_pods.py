"""Host ports of Pods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bad_input
import pytest
from bad_input import AGENT, Bad

from sluice.catalogue import sources
from sluice.catalogue.model import HostPort
from sluice.catalogue.pods import MAX_COMMENT
from sluice.faults import InputError

CASES = {
    "host port": Bad(
        "hostPort: 9100", "hostPort: 99999", AGENT, "spec.containers[0].ports[0].hostPort", "is not in 0-65535"
    ),
    "host IP": Bad(
        "hostPort: 9100",
        "hostIP: here\n      hostPort: 9100",
        AGENT,
        "spec.containers[0].ports[0].hostIP",
        "is not an IP address",
    ),
    "host port of no node": Bad(
        "  nodeName: node1\n  containers",
        "  containers",
        AGENT,
        "spec.nodeName",
        "is missing",
        line="spec:\n  containers",
    ),
    "host port of no address": Bad(
        "podIP: 10.244.0.9", "{}", AGENT, "status.podIP", "is missing: a host port leads", line="status:\n  {}"
    ),
    "container port": Bad(
        "containerPort: 9100", "containerPort: 0", AGENT, "spec.containers[0].ports[0].containerPort", "0 is not in 1-"
    ),
    "no container port": Bad(
        "- containerPort: 9100\n      hostPort",
        "- hostPort",
        AGENT,
        "spec.containers[0].ports[0].containerPort",
        "is missing",
    ),
    "protocol": Bad(
        "      hostPort: 9100",
        "      hostPort: 9100\n      protocol: tcp",
        AGENT,
        "spec.containers[0].ports[0].protocol",
        "'tcp' is not one of TCP, UDP, SCTP",
        line="      protocol: tcp",
    ),
    "host port twice": Bad(
        "      hostPort: 9100\n",
        "      hostPort: 9100\n    - {containerPort: 9101, hostPort: 9100}\n",
        AGENT,
        "spec.containers[0].ports[1].hostPort",
        "host port 9100/TCP is there twice",
        line="    - {containerPort: 9101",
    ),
    "host network": Bad(
        "  nodeName: node1\n  containers",
        "  nodeName: node1\n  hostNetwork: 'true'\n  containers",
        AGENT,
        "spec.hostNetwork",
        "must be true or false, is 'true'",
        line="  hostNetwork",
    ),
    "Pod's address": Bad("podIP: 10.244.0.9", "podIP: 127.0.0.1", AGENT, "status.podIP", "is a loopback or link-local"),
    "host port twice, in no protocol": Bad(
        "      hostPort: 9100\n",
        "      hostPort: 9100\n    - {containerPort: 9101, hostPort: 9100, protocol: udp}\n",
        AGENT,
        "spec.containers[0].ports[1].protocol",
        "'udp' is not one of TCP, UDP, SCTP",
        line="    - {containerPort: 9101",
    ),
    "no address at all": Bad(
        "podIP: 10.244.0.9", "podIPs: [{ip: ''}]", AGENT, "status.podIP", "is missing", line="status:\n  podIPs"
    ),
    "uid": Bad("uid: 6b3a-1", 'uid: "a\\nb"', AGENT, "metadata.uid", "'a\\nb' is not a uid"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, tmp_path: Path) -> None:
    bad_input.check(CASES[name], tmp_path)


def pod(port: dict[str, Any], status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent", "namespace": "shop"},
        "spec": {"nodeName": "node1", "containers": [{"ports": [{"containerPort": 9100, **port}]}], **spec},
        "status": {"podIP": "10.244.0.9"} if status is None else status,
    }


def host_ports(manifest: dict[str, Any]) -> tuple[HostPort, ...]:
    found, faults = sources.catalogue_of(sources.read([], [manifest]))
    assert not faults
    return found.host_ports


def test_host_port() -> None:
    (found,) = host_ports(pod({"hostPort": 80, "hostIP": "10.0.0.1", "protocol": "UDP"}))
    assert found == HostPort("shop", "agent", "shop/agent", "node1", "UDP", "10.0.0.1", 80, ("10.244.0.9",), 9100)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", ""])
def test_any_address_of_the_node(address: str) -> None:
    assert host_ports(pod({"hostPort": 80, "hostIP": address}))[0].host_ip == ""


@pytest.mark.parametrize(("policy", "count"), [("Always", 1), ("Never", 0), (None, 0)])
def test_sidecars_run_beside_the_others(policy: str | None, count: int) -> None:
    ports = [{"containerPort": 9100, "hostPort": 9101}]
    found = host_ports(pod({}, initContainers=[{"name": "a", "restartPolicy": policy, "ports": ports}]))
    assert [port.host_port for port in found] == [9101] * count


def test_none_on_the_loopback_of_ipv6() -> None:
    """Linux routes no answer from another host to ::1, so that a client would wait for it in vain."""
    manifest = pod({"hostPort": 80, "hostIP": "::1"})
    manifest["spec"]["containers"][0]["ports"].append({"containerPort": 9100, "hostPort": 80, "hostIP": "127.0.0.1"})
    found, faults = sources.catalogue_of(sources.read([], [manifest]))
    assert [port.host_ip for port in found.host_ports] == ["127.0.0.1"]
    (fault,) = [fault for fault in faults if "hostIP" in fault.field]
    assert fault.warning
    assert fault.message == "::1 cannot lead to a Pod, Linux routes no answers to it: the port is left out"
    assert fault.field == "spec.containers[0].ports[0].hostIP"


@pytest.mark.parametrize("nowhere", [{}, {"phase": "Running"}, {"phase": "Pending"}])
def test_a_pod_on_no_node_is_left_out(nowhere: dict[str, Any]) -> None:
    """One that nobody has scheduled, as manifests that people write hold it. Pending ones are in every dump."""
    manifest = pod({"hostPort": 80}, nowhere, nodeName=None)
    found, faults = sources.catalogue_of(sources.read([], [manifest]))
    assert found.host_ports == ()
    said = [(fault.field, fault.message, fault.warning) for fault in faults if fault.subject]
    message = "left out: it is on no node and has no address, and a host port is one node's"
    assert said == ([("spec.nodeName", message, True)] if nowhere.get("phase") != "Pending" else [])


@pytest.mark.parametrize(
    "manifest",
    [
        pod({}),
        pod({"hostPort": 0}),
        pod({"hostPort": 80}, hostNetwork=True),
        pod({"hostPort": 80}, {"phase": "Succeeded"}),
        pod({"hostPort": 80}, {"phase": "Failed", "podIP": "10.244.0.9"}),
        pod({"hostPort": 80}, {"phase": "Pending"}),
        pod({"containerPort": 0}, {"phase": "Pending"}),
    ],
)
def test_pods_that_have_none(manifest: dict[str, Any]) -> None:
    assert host_ports(manifest) == ()


def test_both_addresses_each_once() -> None:
    both = {"podIP": "10.244.0.9", "podIPs": [{"ip": "10.244.0.9"}, {"ip": "FD00::9"}]}
    assert host_ports(pod({"hostPort": 80}, both))[0].addresses == ("10.244.0.9", "fd00::9")


def test_names_too_long_for_a_comment() -> None:
    manifest = pod({"hostPort": 80})
    manifest["metadata"] |= {"name": ".".join(["a" * 63] * 3), "namespace": "b" * 63}
    with pytest.raises(InputError, match=f"makes a comment of 270 bytes, iptables takes {MAX_COMMENT}"):
        host_ports(manifest)
