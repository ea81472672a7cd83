"""UDP flows to what is gone are deleted, and no others: with real packets."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable

import cases
import hosts
import load
import pytest

from sluice.addresses import IPV4, IPV6
from sluice.node import files
from sluice.node import flows as node_flows
from sluice.system import conntrack

A, B, C = cases.PODS[:3]
DNS = cases.Service(1, (A,), "UDP", 30001)
OTHER = cases.Service(2, (A,), "UDP")
WEB = cases.Service(3, (A,), "TCP")


@pytest.fixture
def served(network: load.Network, plane: str) -> load.Network:
    network.serve([DNS, OTHER, WEB])
    network.node.run("sysctl", "-qw", "net.netfilter.nf_conntrack_udp_timeout=300")
    return network


def put(network: load.Network, plane: str, *services: cases.Service) -> int:
    return network.node.apply(cases.rendered(services, **cases.settings_of(plane))).flows


def flows(network: load.Network, protocol: str = "udp") -> set[tuple[str, ...]]:
    """(destination, port, who answers) of every flow."""
    listed = network.node.run("conntrack", "-L", "-p", protocol).stdout
    pattern = r"src=\S+ dst=(\S+) sport=\d+ dport=(\d+)(?: \[UNREPLIED\])? src=(\S+)"
    return set(re.findall(pattern, listed))


def dns(network: load.Network, source_port: int = 5353, timeout: float = hosts.PATIENCE) -> str:
    return network.ask(DNS.address, 80, "UDP", source_port=source_port, timeout=timeout)


def test_endpoint_is_removed(served: load.Network, plane: str) -> None:
    put(served, plane, DNS._replace(endpoints=(A, B)), OTHER, WEB)
    for port in range(5300, 5330):
        assert dns(served, port).split()[0] in (A, B)
    to = {address: sum(1 for flow in all_flows(served, DNS.address) if flow == address) for address in (A, B)}
    assert to[A] and to[B]
    assert served.ask(OTHER.address, 80, "UDP") == f"{A} {OTHER.target_port}"
    assert put(served, plane, DNS._replace(endpoints=(B,)), OTHER, WEB) == to[A]
    assert all_flows(served, DNS.address) == [B] * to[B]
    assert all_flows(served, OTHER.address) == [A]  # the same endpoint, of another Service
    assert all(dns(served, port).split()[0] == B for port in range(5300, 5330))


def all_flows(network: load.Network, destination: str) -> list[str]:
    family = "ipv6" if ":" in destination else "ipv4"
    listed = network.node.run("conntrack", "-L", "-f", family, "-p", "udp", "--orig-dst", destination).stdout
    return sorted(re.findall(r"sport=\d+ dport=\d+(?: \[UNREPLIED\])? src=(\S+)", listed))


def test_scaled_to_zero_and_back(served: load.Network, plane: str) -> None:
    put(served, plane, DNS, OTHER)
    assert dns(served) == f"{A} {DNS.target_port}"
    assert put(served, plane, DNS._replace(endpoints=()), OTHER) == 1
    assert dns(served) == "ECONNREFUSED"
    put(served, plane, DNS._replace(endpoints=(B,)), OTHER)
    assert dns(served) == f"{B} {DNS.target_port}"


def test_service_is_deleted(served: load.Network, plane: str) -> None:
    put(served, plane, DNS, OTHER)
    assert dns(served) == f"{A} {DNS.target_port}"
    assert served.ask(OTHER.address, 80, "UDP") == f"{A} {OTHER.target_port}"
    assert put(served, plane, OTHER) == 1
    assert all_flows(served, DNS.address) == []
    assert all_flows(served, OTHER.address) == [A]


def test_everything_is_removed(served: load.Network, plane: str) -> None:
    put(served, plane, DNS)
    dns(served)
    assert served.node.call(lambda: load.hosts.apply.remove()).flows == 1
    assert all_flows(served, DNS.address) == []


@pytest.mark.parametrize("before", ["no Service", "no endpoints", "nothing"])
def test_first_endpoint(served: load.Network, plane: str, before: str) -> None:
    """A client has sent before: without help its flow would never be translated (kubernetes#139628)."""
    if before != "nothing":
        put(served, plane, OTHER, *([DNS._replace(endpoints=())] if before == "no endpoints" else []))
    assert dns(served, timeout=1) == ("ECONNREFUSED" if before == "no endpoints" else "timeout")
    put(served, plane, OTHER, DNS)
    assert dns(served) == f"{A} {DNS.target_port}"


def test_node_port(served: load.Network, plane: str) -> None:
    put(served, plane, DNS, OTHER)
    ask = lambda: served.ask(cases.NODE_ADDRESS, DNS.node_port, "UDP", source_port=5353)  # noqa: E731
    assert ask() == f"{A} {DNS.target_port}"
    assert put(served, plane, DNS._replace(endpoints=(B,)), OTHER) == 1
    assert ask() == f"{B} {DNS.target_port}"
    assert put(served, plane, DNS._replace(endpoints=(B,), node_port=0), OTHER) == 1
    assert all_flows(served, cases.NODE_ADDRESS) == []


def test_ipv6(served: load.Network, plane: str) -> None:
    """An endpoint is removed, the Service scaled to zero and back; another Service's flow stays."""

    def change(*services: cases.Service) -> int:
        contents = cases.rendered(services, **cases.settings_of(plane), ip_families=["IPv4", "IPv6"])
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


def test_unrelated_flows_stay(served: load.Network, plane: str) -> None:
    """The same endpoint asked directly, the node port's number elsewhere, TCP."""
    put(served, plane, DNS._replace(endpoints=(A, B)), OTHER, WEB)
    assert served.ask(A, DNS.target_port, "UDP") == f"{A} {DNS.target_port}"
    assert served.ask(A, DNS.node_port, "UDP", timeout=0.2) != ""
    assert served.ask(OTHER.address, 80, "UDP") == f"{A} {OTHER.target_port}"
    assert served.ask(WEB.address, 80) == f"{A} {WEB.target_port}"
    before, tcp = flows(served), flows(served, "tcp")
    assert len(before) >= 3
    assert tcp
    put(served, plane, DNS._replace(endpoints=(B,)), OTHER, WEB)
    assert flows(served) == before
    put(served, plane, OTHER, WEB._replace(endpoints=(B,)))
    assert flows(served) == before
    assert flows(served, "tcp") == tcp


def test_established_tcp_lives_on(served: load.Network, plane: str) -> None:
    """Also where its endpoint has left the Service, as Kubernetes has it."""
    put(served, plane, WEB)
    client = served.client.start(lambda: load.request([(WEB.address, WEB.target_port)], 5, held=5))
    put(served, plane, WEB._replace(endpoints=(B,)))
    put(served, plane, WEB._replace(endpoints=(B, C)), DNS)
    load.time.sleep(1.5)
    outcome = client.stop()
    assert (outcome.faults, outcome.fine > 10) == ({}, True)


def test_killed_before_the_flows(served: load.Network, plane: str) -> None:
    """The rules are changed and the apply is killed: the next one deletes the flows that it left."""
    put(served, plane, DNS, OTHER)
    assert dns(served) == f"{A} {DNS.target_port}"
    served.node.write(cases.rendered([DNS._replace(endpoints=(B,)), OTHER], **cases.settings_of(plane)))

    def killed() -> None:
        node_flows.forget = lambda *_: load.hosts.os.kill(load.hosts.os.getpid(), load.signal.SIGKILL)
        load.hosts.apply.apply(lambda: files.load(files.DIRECTORY))

    with pytest.raises(load.hosts.KilledError):
        served.node.call(killed)
    served.node.sluice("apply")
    assert dns(served) == f"{B} {DNS.target_port}"


def test_thousands_are_left_and_no_other_goes(served: load.Network, plane: str) -> None:
    """Thousands in both families beside such to another endpoint, to another Service, to the endpoint itself."""
    both = [DNS._replace(endpoints=(A, B)), OTHER, WEB]

    def put_both(*services: cases.Service) -> int:
        contents = cases.rendered(services, **cases.settings_of(plane), ip_families=["IPv4", "IPv6"])
        return served.node.apply(contents).flows

    put_both(*both)
    six = cases.mapped
    many, some = range(10000, 13000), range(20000, 20300)
    for ports, targets in (
        (many, [(DNS.address, 80), (six(DNS.address), 80)]),
        (some, [(OTHER.address, 80), (six(OTHER.address), 80), (A, DNS.target_port), (six(A), DNS.target_port)]),
    ):
        served.client.call(lambda ports=ports, targets=targets: send(ports, targets))
    tracked = every_flow(served)
    to_dns = {line for line in tracked if f" dst={DNS.address} " in line or f" dst={six(DNS.address)} " in line}
    left = {line for line in to_dns if re.findall(r" src=(\S+)", line)[1] in (A, six(A))}
    assert len(to_dns) == 2 * len(many)
    assert len(tracked) >= len(to_dns) + 4 * len(some)
    assert 2000 < len(left) < 4000
    assert put_both(both[0]._replace(endpoints=(B,)), OTHER, WEB) == len(left)
    assert every_flow(served) == tracked - left


def send(ports: Iterable[int], targets: Iterable[tuple[str, int]]) -> None:
    """A datagram from each of ``ports`` to each target; nobody waits for an answer."""
    for port in ports:
        for target in targets:
            with socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind(("", port))
                sender.sendto(load.REQUEST, target)


def every_flow(network: load.Network) -> set[str]:
    """Both directions of every UDP flow, as conntrack(8) prints them."""
    listed = [network.node.run("conntrack", "-L", "-f", family, "-p", "udp").stdout for family in ("ipv4", "ipv6")]
    return {re.sub(r" \[\w+\]|^\w+ +\d+ \d+| mark=.*", "", line) for each in listed for line in each.splitlines()}


def track(node: hosts.Node, answerer: str, *zone: str) -> None:
    """Have conntrack track a flow from the client to DNS that ``answerer`` answers."""
    said = ["-s", cases.CLIENT_ADDRESS, "-d", DNS.address, "--sport", "5353", "--dport", "80", "-r", answerer]
    said += ["-q", cases.CLIENT_ADDRESS, "--reply-port-src", str(DNS.target_port), "--reply-port-dst", "5353"]
    node.run("conntrack", "-I", "-p", "udp", "-t", "600", *said, *zone)


def answerers(node: hosts.Node) -> list[str]:
    return sorted(way.reply_source for way in node.call(lambda: conntrack.udp_flows(IPV4)))


@pytest.mark.parametrize("option", ["--zone", "--orig-zone"])
def test_a_flow_is_deleted_in_its_zone(node: hosts.Node, option: str) -> None:
    """The same addresses and ports are another flow in another zone."""
    track(node, A, option, "7")
    track(node, B, option, "8")
    track(node, C)
    assert answerers(node) == sorted([A, B, C])
    [flows] = [flows for way, flows in node.call(lambda: conntrack.udp_flows(IPV4)).items() if way.reply_source == B]
    assert node.call(lambda: conntrack.delete(flows)) == 1
    assert answerers(node) == sorted([A, C])


def test_just_the_flow_that_was_read_is_deleted(node: hosts.Node) -> None:
    track(node, A)
    [[flow]] = node.call(lambda: conntrack.udp_flows(IPV4)).values()
    named = conntrack.named(flow)
    later = named[:-1] + bytes([named[-1] ^ 1])
    assert node.call(lambda: conntrack.delete([later])) == 0, "of the same addresses and ports, but another id"
    assert answerers(node) == [A]
    assert node.call(lambda: conntrack.delete([later, flow, flow])) == 1, "the second time it has ended by itself"
    assert answerers(node) == []
    assert node.call(lambda: conntrack.delete([])) == 0


def test_a_family_that_is_not_wanted_any_more(served: load.Network, plane: str) -> None:
    both = cases.rendered([DNS, OTHER], **cases.settings_of(plane), ip_families=[IPV4, IPV6])
    served.node.apply(both)
    assert dns(served) == f"{A} {DNS.target_port}"
    assert served.ask(cases.mapped(DNS.address), 80, "UDP") == f"{cases.mapped(A)} {DNS.target_port}"
    assert put(served, plane, DNS, OTHER) == 1
    assert all_flows(served, cases.mapped(DNS.address)) == []
    assert all_flows(served, DNS.address) == [A]


@pytest.mark.parametrize("spoilt", [{"settings.json": "{"}, {"iptables.rules": "*nat\nwhat is this\nCOMMIT\n"}])
def test_what_was_before_cannot_be_read(node: hosts.Node, spoilt: dict[str, str]) -> None:
    """That is said; of what can be read the flows are deleted, and twice the same is one."""
    before = cases.rendered([DNS])
    after = cases.rendered([DNS._replace(endpoints=(B,))])
    track(node, A)

    def forget() -> tuple[int, list[str]]:
        warnings: list[str] = []
        count = node_flows.forget([{**before, **spoilt}, before, before], files.parse(after), warnings)
        return count, warnings

    count, [warning] = node.call(forget)
    assert count == 1
    assert re.match(r"^what was before: not what Sluice wrote: .*: UDP flows may be left of it$", warning)
    assert node.call(forget) == (0, [])
