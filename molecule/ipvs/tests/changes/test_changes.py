"""What a change leaves alone, takes its time for, takes back, and refuses. Files are edited and applied on the node."""

from __future__ import annotations

import json
import time
import typing

import pytest

if typing.TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Node

LASTING, FRONTEND = "10.96.0.70:80", "tcp 10.96.0.70:80"
PODS = ("172.33.0.11:9090", "172.33.0.25:9090", "172.33.0.30:9090")
GONE = PODS[1]
UNIT = "sluice-drain.timer"


@pytest.fixture(autouse=True)
def _as_it_was(node: Node) -> Iterator[None]:
    yield
    result = node.host.run("sluice apply")
    assert result.rc == 0, result.stderr
    assert node.host.run("sluice diff").stdout == ""


def edit(node: Node, *expressions: str, file: str = "ipvs.conf") -> str:
    """A folder with the node's files, one of them changed by sed(1)."""
    script = "; ".join(expressions)
    node.host.check_output("rm -rf /tmp/edited && cp -r /etc/sluice /tmp/edited")
    node.host.check_output("sed -i %s /tmp/edited/%s", script, file)
    return "/tmp/edited"


def apply(node: Node, folder: str, *words: str) -> str:
    result = node.host.run(f"sluice apply --force --dir {folder} {' '.join(words)}")
    assert result.rc == 0, result.stderr
    return result.stdout


def wait_until(what: typing.Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.5)


def timers(node: Node) -> str:
    return node.host.check_output("systemctl list-timers --all --no-legend --no-pager")


def without(*pods: str) -> list[str]:
    return [f"/10.96.0.70:80 -r {pod}/d" for pod in pods]


def test_endpoint_that_goes_finishes_its_connections(node: Node) -> None:
    with node.load(rate=0, held=9, targets=[LASTING]) as long:
        apply(node, edit(node, *without(GONE)))
        assert node.virtual_servers()[FRONTEND].servers == {PODS[0]: 1, GONE: 0, PODS[2]: 1}
        assert UNIT in timers(node)
        # New connections go elsewhere, established ones go on.
        with node.load(rate=30, held=0, targets=[LASTING]) as new:
            time.sleep(3)
        assert set(new.seen["new"]) == {"pod-11", "pod-30"}
        assert "changed=0" in apply(node, "/tmp/edited")
        # It comes back while it drains: at its proper weight (kubernetes#92019).
        apply(node, "/etc/sluice")
        assert node.virtual_servers()[FRONTEND].servers == dict.fromkeys(PODS, 1)
        apply(node, "/tmp/edited")
    assert long.seen["faults"] == {}
    assert new.seen["faults"] == {}
    assert len(long.seen["held"]) == 3
    # The connections have ended: the node itself takes it away, and ends its timer.
    wait_until(lambda: GONE not in node.virtual_servers()[FRONTEND].servers, 180)
    wait_until(lambda: UNIT not in timers(node), 180)


def test_draining_has_an_end(node: Node) -> None:
    with node.load(rate=0, held=3, targets=[LASTING]) as long:
        folder = edit(node, *without(GONE))
        node.host.check_output("sed -i 's/drain_seconds.: [0-9]*/drain_seconds\": 3/' /tmp/edited/settings.json")
        apply(node, folder)
        wait_until(lambda: GONE not in node.virtual_servers()[FRONTEND].servers, 180)
    assert list(long.seen["faults"]) in ([f"held {LASTING} TimeoutError"], [f"held {LASTING} ConnectionResetError"])


def test_whoever_sets_the_clock_ends_no_connection(node: Node) -> None:
    with node.load(rate=0, held=3, targets=[LASTING]) as long:
        apply(node, edit(node, *without(GONE)))
        node.host.check_output("date --set '1 day'")
        try:
            time.sleep(15)  # the timer looks every five seconds
            assert node.virtual_servers()[FRONTEND].servers[GONE] == 0
        finally:
            node.host.check_output("date --set '1 day ago'")
        apply(node, "/etc/sluice")
    assert long.seen["faults"] == {}


def test_state_that_is_lost_is_found_again(node: Node) -> None:
    """In the kernel: it is as it was, and what is claimed again is what was."""
    before, claims = node.held(), json.loads(node.host.check_output("cat /var/lib/sluice/virtual-servers.json"))
    node.host.check_output("rm -r /var/lib/sluice")
    assert "changed=0" in apply(node, "/etc/sluice")
    assert node.held() == before
    assert json.loads(node.host.check_output("cat /var/lib/sluice/virtual-servers.json")) == claims


def test_endpoint_without_connections_goes_at_once(node: Node) -> None:
    apply(node, edit(node, *without(GONE)))
    assert GONE not in node.virtual_servers()[FRONTEND].servers
    assert UNIT not in timers(node)


def test_udp_flow_moves_to_another_endpoint(node: Node) -> None:
    """One socket that goes on asking, as resolvers do (kubernetes#139628)."""
    with node.udp("10.96.0.53", 53) as ask:
        first = ask()
        gone = f"172.33.0.{first.split()[0].removeprefix('pod-')}:5353"
        apply(node, edit(node, f"/-u .* {gone}/d"))
        answers = [ask() for _ in range(3)]
    assert answers[-1]
    assert answers[-1] != first


def test_unconfirmed_change_is_taken_back(node: Node) -> None:
    before = node.held()
    output = apply(node, edit(node, "/10\\.96\\.0\\.20:80/d"), "--confirm", "30")
    assert "changed=0" not in output
    assert "sluice-rollback-" in timers(node)
    assert node.held() != before
    wait_until(lambda: node.held() == before, 180)
    note = json.loads(node.host.file("/var/lib/sluice/rolled-back.json").content_string)
    assert note["reason"] == "it was not confirmed in time"
    assert node.host.run("sluice diff").stdout == ""


def test_confirmed_change_stays(node: Node) -> None:
    apply(node, edit(node, "/10\\.96\\.0\\.20:80/d"), "--confirm", "15")
    assert node.host.check_output("sluice confirm") == "confirmed"
    assert "sluice-rollback-" not in timers(node)
    changed = node.held()
    time.sleep(16)
    assert node.held() == changed


def test_virtual_server_of_somebody_else_is_in_the_way(node: Node) -> None:
    """kubernetes#55857: it is named and left alone, and nothing is changed."""
    node.host.check_output("ipvsadm -A -t 10.96.0.99:80 -s lc")
    try:
        before = node.held()
        folder = edit(node, r"$a -A -t 10.96.0.99:80 -s rr")
        result = node.host.run(f"sluice apply --force --dir {folder}")
        assert result.rc == 2
        assert result.stderr == "sluice: virtual server -t 10.96.0.99:80 is there and not of Sluice\n"
        assert node.held() == before
    finally:
        node.host.check_output("ipvsadm -D -t 10.96.0.99:80")


def test_address_that_comes_to_the_node_is_not_bound_twice(node: Node) -> None:
    """As VRRP moves addresses from node to node (k3s#2804 is a node that lost its own)."""
    bound = "ip -oneline address show dev kube-ipvs0"
    node.host.check_output("ip address add 203.0.113.20/32 dev uplink")
    try:
        result = node.host.run("sluice apply")
        assert result.rc == 0
        assert "203.0.113.20/32 is the node's own" in result.stderr
        assert "203.0.113.20/" not in node.host.check_output(bound)
        assert "203.0.113.20/" in node.host.check_output("ip -oneline address show dev uplink")
    finally:
        node.host.check_output("ip address delete 203.0.113.20/32 dev uplink")
    apply(node, "/etc/sluice")
    assert "203.0.113.20/" in node.host.check_output(bound)


def test_check_predicts_what_a_run_does(node: Node) -> None:
    folder = edit(node, "/10\\.96\\.0\\.20:80/d", "s/rr$/lc/")
    predicted = json.loads(apply(node, folder, "--check", "--json"))
    done = json.loads(apply(node, folder, "--json"))
    assert predicted == done
    assert done["changed"]


def test_scheduler_brings_its_module(node: Node) -> None:
    apply(node, edit(node, "s/-t 10.96.0.70:80 -s rr/-t 10.96.0.70:80 -s mh -b mh-port/"))
    assert node.virtual_servers()[FRONTEND].options == "-s mh -b mh-port"
    assert node.host.file("/sys/module/ip_vs_mh").is_directory


def test_virtual_servers_of_another_network_namespace_hide_none_of_ours(node: Node) -> None:
    """The kernel's list of them loses its place where another namespace has some in the same bucket, as containers do.

    Ours have to be younger than those, and are all programmed anew.
    """
    script = (
        "ipvsadm -C; ip netns add elsewhere; "
        "for n in $(seq 2000); do echo -A -t 203.0.113.$((n % 250 + 1)):$((n + 1000)); done >/tmp/elsewhere; "
        "ip netns exec elsewhere ipvsadm -R </tmp/elsewhere"
    )
    try:
        node.host.check_output(script)
        assert "changed=0" not in apply(node, "/etc/sluice")
        assert "changed=0" in apply(node, "/etc/sluice")
        # A drain looks there too.
        with node.load(rate=0, held=9, targets=[LASTING]) as long:
            apply(node, edit(node, *without(*PODS)))
            assert node.virtual_servers()[FRONTEND].servers == dict.fromkeys(PODS, 0)
            assert node.host.check_output("sluice drain") == "connections are left"
        assert long.seen["faults"] == {}
    finally:
        node.host.check_output("ip netns delete elsewhere")
