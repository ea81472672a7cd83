"""UDP flows to what is gone are deleted, and no others: with real packets."""

from __future__ import annotations

import re
import socket

import cases
import hosts
import load
import pytest

from sluice.node import files
from sluice.node import flows as node_flows

A, B, C = cases.PODS[:3]
DNS = cases.Service(1, (A,), "UDP", 30001)
OTHER = cases.Service(2, (A,), "UDP")
WEB = cases.Service(3, (A,), "TCP")


@pytest.fixture
def served(network: load.Network, variant: str) -> load.Network:
    network.serve([DNS, OTHER, WEB])
    network.node.run("sysctl", "-qw", "net.netfilter.nf_conntrack_udp_timeout=300")
    return network


def put(network: load.Network, variant: str, *services: cases.Service) -> int:
    return network.node.apply(cases.rendered(services, iptables_variant=variant)).flows


def flows(network: load.Network, protocol: str = "udp") -> set[tuple[str, ...]]:
    """(destination, port, who answers) of every flow."""
    listed = network.node.run("conntrack", "-L", "-p", protocol).stdout
    pattern = r"src=\S+ dst=(\S+) sport=\d+ dport=(\d+)(?: \[UNREPLIED\])? src=(\S+)"
    return set(re.findall(pattern, listed))


def dns(network: load.Network, source_port: int = 5353, timeout: float = hosts.PATIENCE) -> str:
    return network.ask(DNS.address, 80, "UDP", source_port=source_port, timeout=timeout)


def test_endpoint_is_removed(served: load.Network, variant: str) -> None:
    put(served, variant, DNS._replace(endpoints=(A, B)), OTHER, WEB)
    for port in range(5300, 5330):
        assert dns(served, port).split()[0] in (A, B)
    to = {address: sum(1 for flow in all_flows(served, DNS.address) if flow == address) for address in (A, B)}
    assert to[A] and to[B]
    assert served.ask(OTHER.address, 80, "UDP") == f"{A} {OTHER.target_port}"
    assert put(served, variant, DNS._replace(endpoints=(B,)), OTHER, WEB) == to[A]
    assert all_flows(served, DNS.address) == [B] * to[B]
    assert all_flows(served, OTHER.address) == [A]  # the same endpoint, of another Service
    assert all(dns(served, port).split()[0] == B for port in range(5300, 5330))


def all_flows(network: load.Network, destination: str) -> list[str]:
    family = "ipv6" if ":" in destination else "ipv4"
    listed = network.node.run("conntrack", "-L", "-f", family, "-p", "udp", "--orig-dst", destination).stdout
    return sorted(re.findall(r"sport=\d+ dport=\d+(?: \[UNREPLIED\])? src=(\S+)", listed))


def test_scaled_to_zero_and_back(served: load.Network, variant: str) -> None:
    put(served, variant, DNS, OTHER)
    assert dns(served) == f"{A} {DNS.target_port}"
    assert put(served, variant, DNS._replace(endpoints=()), OTHER) == 1
    assert dns(served) == "ECONNREFUSED"
    put(served, variant, DNS._replace(endpoints=(B,)), OTHER)
    assert dns(served) == f"{B} {DNS.target_port}"


def test_service_is_deleted(served: load.Network, variant: str) -> None:
    put(served, variant, DNS, OTHER)
    assert dns(served) == f"{A} {DNS.target_port}"
    assert served.ask(OTHER.address, 80, "UDP") == f"{A} {OTHER.target_port}"
    assert put(served, variant, OTHER) == 1
    assert all_flows(served, DNS.address) == []
    assert all_flows(served, OTHER.address) == [A]


def test_everything_is_removed(served: load.Network, variant: str) -> None:
    put(served, variant, DNS)
    dns(served)
    assert served.node.call(lambda: load.hosts.apply.remove()).flows == 1
    assert all_flows(served, DNS.address) == []


@pytest.mark.parametrize("before", ["no Service", "no endpoints", "nothing"])
def test_first_endpoint(served: load.Network, variant: str, before: str) -> None:
    """A client has sent before: without help its flow would never be translated (kubernetes#139628)."""
    if before != "nothing":
        put(served, variant, OTHER, *([DNS._replace(endpoints=())] if before == "no endpoints" else []))
    assert dns(served, timeout=1) == ("ECONNREFUSED" if before == "no endpoints" else "timeout")
    put(served, variant, OTHER, DNS)
    assert dns(served) == f"{A} {DNS.target_port}"


def test_node_port(served: load.Network, variant: str) -> None:
    put(served, variant, DNS, OTHER)
    ask = lambda: served.ask(cases.NODE_ADDRESS, DNS.node_port, "UDP", source_port=5353)  # noqa: E731
    assert ask() == f"{A} {DNS.target_port}"
    assert put(served, variant, DNS._replace(endpoints=(B,)), OTHER) == 1
    assert ask() == f"{B} {DNS.target_port}"
    assert put(served, variant, DNS._replace(endpoints=(B,), node_port=0), OTHER) == 1
    assert all_flows(served, cases.NODE_ADDRESS) == []


def test_ipv6(served: load.Network, variant: str) -> None:
    """An endpoint is removed, the Service scaled to zero and back; another Service's flow stays."""

    def change(*services: cases.Service) -> int:
        contents = cases.rendered(services, iptables_variant=variant, ip_families=["IPv4", "IPv6"])
        return served.node.apply(contents).flows

    def ask(service: cases.Service) -> str:
        return served.ask(cases.mapped(service.address), 80, "UDP", source_port=5353)

    six = {address: f"{cases.mapped(address)} {DNS.target_port}" for address in (A, B)}
    change(DNS, OTHER)
    assert (ask(DNS), dns(served)) == (six[A], f"{A} {DNS.target_port}")
    assert ask(OTHER) == f"{cases.mapped(A)} {OTHER.target_port}"
    assert change(DNS._replace(endpoints=(B,)), OTHER) == 2  # one a family
    assert ask(DNS) == six[B]
    assert change(DNS._replace(endpoints=()), OTHER) == 1
    assert ask(DNS) == "ECONNREFUSED"
    change(DNS, OTHER)
    assert ask(DNS) == six[A]
    assert all_flows(served, cases.mapped(OTHER.address)) == [cases.mapped(A)]


def test_unrelated_flows_stay(served: load.Network, variant: str) -> None:
    """The same endpoint asked directly, the node port's number elsewhere, TCP."""
    put(served, variant, DNS._replace(endpoints=(A, B)), OTHER, WEB)
    assert served.ask(A, DNS.target_port, "UDP") == f"{A} {DNS.target_port}"
    assert served.ask(A, DNS.node_port, "UDP", timeout=0.2) != ""
    assert served.ask(OTHER.address, 80, "UDP") == f"{A} {OTHER.target_port}"
    assert served.ask(WEB.address, 80) == f"{A} {WEB.target_port}"
    before, tcp = flows(served), flows(served, "tcp")
    assert len(before) >= 3
    assert tcp
    put(served, variant, DNS._replace(endpoints=(B,)), OTHER, WEB)
    assert flows(served) == before
    put(served, variant, OTHER, WEB._replace(endpoints=(B,)))
    assert flows(served) == before
    assert flows(served, "tcp") == tcp


def test_established_tcp_lives_on(served: load.Network, variant: str) -> None:
    """Also where its endpoint has left the Service, as Kubernetes has it."""
    put(served, variant, WEB)
    client = served.client.start(lambda: load.request([(WEB.address, WEB.target_port)], 5, held=5))
    put(served, variant, WEB._replace(endpoints=(B,)))
    put(served, variant, WEB._replace(endpoints=(B, C)), DNS)
    load.time.sleep(1.5)
    outcome = client.stop()
    assert (outcome.faults, outcome.fine > 10) == ({}, True)


def test_killed_before_the_flows(served: load.Network, variant: str) -> None:
    """The rules are changed and the apply is killed: the next one deletes the flows that it left."""
    put(served, variant, DNS, OTHER)
    assert dns(served) == f"{A} {DNS.target_port}"
    served.node.write(cases.rendered([DNS._replace(endpoints=(B,)), OTHER], iptables_variant=variant))

    def killed() -> None:
        node_flows.forget = lambda *_: load.hosts.os.kill(load.hosts.os.getpid(), load.signal.SIGKILL)
        load.hosts.apply.apply(lambda: files.load(files.DIRECTORY))

    with pytest.raises(load.hosts.KilledError):
        served.node.call(killed)
    served.node.sluice("apply")
    assert dns(served) == f"{B} {DNS.target_port}"


MANY = 3000


def test_many_flows(served: load.Network, variant: str) -> None:
    """All of those that are left go, whatever their zone, and no other; a process for each would take minutes."""
    put(served, variant, DNS, OTHER._replace(endpoints=(C,)))
    served.node.run(*f"iptables-{variant} -t raw -A PREROUTING -p udp --sport 20000:20099 -j CT --zone 7".split())

    def send() -> None:
        for port in range(20000, 20000 + MANY):
            for service in (DNS, OTHER):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.bind(("", port))
                    sender.sendto(b"x", (service.address, 80))

    served.client.call(send)
    hosts.wait_for(lambda: len(all_flows(served, OTHER.address)) == MANY, "not all of them are tracked")
    assert len(all_flows(served, DNS.address)) == MANY
    assert put(served, variant, DNS._replace(endpoints=(B,)), OTHER._replace(endpoints=(C,))) == MANY
    assert all_flows(served, DNS.address) == []
    assert all_flows(served, OTHER.address) == [C] * MANY
