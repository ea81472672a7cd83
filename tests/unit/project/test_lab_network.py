"""The embedded lab: what it reads from an inventory, and that the machine outside does not notice it."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

import machines
import network
import pytest
import topology
import traffic
import wires
import yaml

from sluice.backends.registry import BACKENDS

ROOT = pathlib.Path(__file__).resolve().parents[3]
INVENTORY = ROOT / "inventory/lab/hosts.yml"
MACHINES = ROOT / "inventory/lab-machines/hosts.yml"


def write(path: pathlib.Path, content: object) -> pathlib.Path:
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def small(**router: object) -> dict[str, object]:
    """A router and one host on its network."""
    return {
        "all": {
            "vars": {"lab_listen": ["80/tcp"]},
            "children": {
                "ends": {
                    "vars": {"lab_network": "inside"},
                    "hosts": {"end": {"lab_addresses": ["192.0.2.10/24", "fd00:1::10/64"]}},
                },
                "routers": {
                    "hosts": {
                        "router": {
                            "lab_networks": {"inside": ["192.0.2.1/24", "fd00:1::1/64"]},
                            "lab_listen": [],
                            **router,
                        }
                    }
                },
                "clients": {"hosts": {"end": None}},
            },
        }
    }


def test_hosts_carriers_first_and_variables_from_groups(tmp_path: pathlib.Path) -> None:
    hosts = topology.read_hosts(write(tmp_path / "hosts.yml", small()))
    assert list(hosts) == ["router", "end"]
    assert hosts["end"].network == "inside"
    assert hosts["end"].listen == ("80/tcp",)
    assert hosts["router"].listen == ()
    assert topology.gateways(hosts["end"], hosts["router"]) == ["192.0.2.1", "fd00:1::1"]


def test_network_that_no_host_carries(tmp_path: pathlib.Path) -> None:
    with pytest.raises(topology.LabError, match=r"carries the network of end \(inside\)"):
        topology.read_hosts(write(tmp_path / "hosts.yml", small(lab_networks={})))


@pytest.mark.parametrize("name", ["../end", "a/b", "..", "", "a\nb", "-a"])
def test_name_that_is_no_file_s(name: str, tmp_path: pathlib.Path) -> None:
    inventory = small()
    inventory["all"]["children"]["clients"]["hosts"] = {name: None}
    with pytest.raises(topology.LabError, match="is no name for a host"):
        topology.read_hosts(write(tmp_path / "hosts.yml", inventory))


def test_digest_follows_what_a_host_hangs_on(tmp_path: pathlib.Path) -> None:
    before = network.digests(topology.read_hosts(write(tmp_path / "a.yml", small())))
    route = {"to": "198.51.100.0/24", "via": "192.0.2.10"}
    after = network.digests(topology.read_hosts(write(tmp_path / "b.yml", small(lab_routes=[route]))))
    assert before["router"] != after["router"]
    assert before["end"] != after["end"]


def test_expectations_name_services_and_hosts_of_the_lab() -> None:
    hosts = topology.read_hosts(INVENTORY)
    declared = {
        f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"
        for file in (INVENTORY.parent / "services").glob("*.yml")
        for manifest in yaml.safe_load_all(file.read_text(encoding="utf-8"))
    }
    expectations = traffic.read_expectations(traffic.EXPECTATIONS, "iptables")
    assert {row.service for row in expectations} <= declared
    assert {row.client for row in expectations} <= hosts.keys()
    answering = {name for row in expectations if isinstance(row.answers, tuple) for name in row.answers}
    assert answering <= {name for name, host in hosts.items() if host.listen}
    assert len({row.service for row in expectations}) >= 8


def test_traffic_knows_all_backends() -> None:
    assert list(traffic.BACKENDS) == list(BACKENDS)


def test_expectations_of_a_backend() -> None:
    """A pod's way to an external address under externalTrafficPolicy Local: kube-proxy's two backends differ."""
    iptables, ipvs = (traffic.read_expectations(traffic.EXPECTATIONS, backend) for backend in ("iptables", "ipvs"))
    different = [(one.target, one.client, one.answers, two.answers) for one, two in zip(iptables, ipvs) if one != two]
    assert len(iptables) == len(ipvs)
    assert different == [("172.29.163.9:6443", "web1", ("web1", "web2", "web3"), ("web1",))]


def test_load_balancers_as_virtual_machines() -> None:
    """The second inventory changes nothing but what runs them."""
    plain, hosts = topology.read_hosts(INVENTORY), topology.read_hosts(INVENTORY, MACHINES)
    assert [name for name, host in hosts.items() if host.machine] == ["lb1", "lb2"]
    assert {name: dataclasses.replace(host, machine=False) for name, host in hosts.items()} == plain
    hanging = topology.parts(hosts)
    assert (hanging["lb1"], hanging["lb1.machine"], hanging["web1"]) == ("router", "lb1", "lb1")
    before, after = network.digests(plain), network.digests(hosts)
    assert {name for name in before if before[name] != after[name]} == {"lb1", "lb2", "web1", "web2"}


def test_virtual_machine_has_the_addresses_and_its_namespaces_the_bridges() -> None:
    hosts = topology.read_hosts(INVENTORY, MACHINES)
    lb1, router = hosts["lb1"], hosts["router"]
    assert not [line for line in wires.own_links(lb1) + wires.own_addresses(lb1, router) if "address" in line]
    assert list(topology.bridges(lb1)) == ["nodes", "pods1"]
    files = machines.files(lb1, router)
    assert files["etc/systemd/network/eth0.network"].splitlines()[:3] == ["[Match]", "Name=eth0", "[Network]"]
    assert [line for line in files["etc/systemd/network/eth0.network"].splitlines() if line[0] in "AG"] == [
        "Address=172.18.0.11/24",
        "Address=fd00:172:18::11/64",
        "Gateway=172.18.0.1",
        "Gateway=fd00:172:18::1",
    ]
    assert [line for line in files["etc/systemd/network/eth1.network"].splitlines() if line[0] in "AG"] == [
        "Address=10.244.1.1/24",
        "Address=fd00:10:244:1::1/64",
    ]
    assert "net/ipv4/conf/*/rp_filter = 0" in files["etc/sysctl.d/lab.conf"].splitlines()


@pytest.mark.parametrize("variables", [{"lab_listen": []}, {"lab_network": "inside"}])
def test_virtual_machine_is_a_balancer_on_a_network(tmp_path: pathlib.Path, variables: dict[str, object]) -> None:
    """Without a network nobody reaches it; and it answers no requests."""
    other = {"router": {"lab_machine": True, **variables}} if "lab_listen" in variables else {"end": variables}
    content = small(lab_networks={"inside": ["192.0.2.1/24"]})
    more = {"all": {"vars": {"lab_machine": True}, "hosts": other}}
    with pytest.raises(topology.LabError, match="a virtual machine needs lab_network"):
        topology.read_hosts(write(tmp_path / "a.yml", content), write(tmp_path / "b.yml", more))


def test_nothing_starts_where_no_virtual_machine_can(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: str) -> None:
        raise topology.LabError(f"no virtual machine: {words}")

    monkeypatch.setattr(network, "require_programs", lambda: None)
    monkeypatch.setattr(machines, "run", refuse)
    monkeypatch.setattr(network, "STATE", tmp_path / "state")
    with pytest.raises(topology.LabError, match="check"):
        network.up(topology.read_hosts(INVENTORY, MACHINES))
    assert not (tmp_path / "state").exists()


def test_what_machines_says_is_what_is_wrong() -> None:
    with pytest.raises(topology.LabError, match="vm/machines start: machines: usage:"):
        machines.run("start")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")


# What stands for the machine outside, as others change the one that the tests run on meanwhile. It has some of
# everything, and whatever that has the kernel load.
MACHINE = """
mount -t tmpfs none /run
hostname machine
ip link set lo up
ip link add eth0 type veth peer name eth1
ip address add 192.0.2.200/24 dev eth0
ip -6 address add fd00:ffff::1/64 dev eth0 nodad
ip link set eth0 addrgenmode none up
ip link set eth1 addrgenmode none up
ip route add default via 192.0.2.1
iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
ip6tables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
touch /run/of-the-machine
echo ready
exec sleep infinity
"""


@pytest.fixture
def outside() -> Iterator[list[str]]:
    """How to run a command on a machine for the lab: namespaces with nothing but what is put there."""
    command = ["unshare", "--net", "--mount", "--uts", "sh", "-ec", MACHINE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield ["nsenter", f"--target={process.pid}", "--net", "--mount", "--uts"]
        process.kill()


def machine(outside: list[str]) -> dict[str, str]:
    """What the lab must leave alone: netfilter, links, addresses, routes, sysctls of the network, mounts, /run."""
    asked = {
        "iptables": "iptables-save | grep -v '^#'",
        "ip6tables": "ip6tables-save | grep -v '^#'",
        "nftables": "nft -s list ruleset",
        "links": "ip -o link | cut -d' ' -f2-9",
        "addresses": "ip -o address | sed 's/valid_lft.*//'",
        "routes": "ip route show table all; ip -6 route show table all | sed 's/expires [^ ]*//'; ip rule; ip -6 rule",
        # Not what the kernel counts by itself.
        "sysctls": "sysctl -a 2>/dev/null | grep -E '^(net|vm)[.]|^kernel.hostname' | grep -v conntrack_count",
        "mounts": "cut -d' ' -f5 /proc/self/mountinfo",
        "run": "ls -A /run",
        "hostname": "hostname; cat /etc/hostname",
    }
    found = {
        what: subprocess.run([*outside, "/bin/sh", "-c", command], capture_output=True, text=True, check=False).stdout
        for what, command in asked.items()
    }
    assert all(found.values()), found
    return found


def lab(state: pathlib.Path, *arguments: str, outside: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run lab/network.py beside a lab that may be up already: it keeps its state elsewhere and shares nothing else."""
    environment = {**os.environ, "SLUICE_LAB_STATE": str(state)}
    command = [*outside, sys.executable, str(ROOT / "lab/network.py"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)


@needs_root
def test_machine_outside_does_not_notice(tmp_path: pathlib.Path, outside: list[str]) -> None:
    state = tmp_path / "state"
    before = machine(outside)
    pids: list[int] = []
    try:
        first = lab(state, "up", outside=outside)
        assert (first.returncode, first.stdout, first.stderr) == (
            0,
            f"changed={len(topology.read_hosts(INVENTORY))}\n",
            "",
        )
        assert lab(state, "up", outside=outside).stdout == "changed=0\n"
        answered = lab(state, "enter", "client", "/usr/bin/python3", "-c", ASK, outside=outside)
        assert answered.stdout == "web1 172.19.0.10\n", answered.stderr
        wrote = lab(state, "enter", "lb1", "/bin/sh", "-c", WRITE, outside=outside)
        assert wrote.returncode == 0, wrote.stderr
        assert machine(outside) == before
        pids = [int(line.split()[1]) for line in lab(state, "status", outside=outside).stdout.splitlines()]
        assert pids
    finally:
        lab(state, "down", outside=outside)
    assert machine(outside) == before
    assert not state.exists()
    assert not [pid for pid in pids if pathlib.Path(f"/proc/{pid}/ns/net").exists()]


ASK = """
import urllib.request
print(urllib.request.urlopen("http://10.244.1.11:8080/", timeout=60).read().decode(), end="")
"""
# Rules, sysctls and files of a host, and the sysctls that are not its own.
WRITE = """
set -e
test "$(hostname)" = lb1
iptables -t nat -A PREROUTING -p tcp --dport 1 -j DNAT --to-destination 10.244.1.11
sysctl -q -w net.ipv4.ip_forward=0 net.ipv4.conf.all.rp_filter=1
for directory in /etc /usr/local /var/lib /run /tmp /root; do echo mine > $directory/sluice-lab-test; done
! sysctl -q -w vm.swappiness=1 2>/dev/null
! systemctl is-system-running >/dev/null 2>&1
"""


@needs_root
def test_host_that_ended_or_changed_is_started_again(tmp_path: pathlib.Path) -> None:
    state, inventory = tmp_path / "state", tmp_path / "hosts.yml"
    up = ("--inventory", str(inventory), "up")
    write(inventory, small())
    try:
        assert lab(state, *up).stdout == "changed=2\n"
        lab(state, "enter", "end", "/bin/sh", "-c", "kill -TERM 1")
        end = int((state / "end").read_text(encoding="ascii").split()[0])
        network.stop([end])
        assert lab(state, *up).stdout == "changed=1\n"
        # What hangs on a host goes with it.
        network.stop([int((state / "router").read_text(encoding="ascii").split()[0])])
        assert lab(state, *up).stdout == "changed=2\n"
        write(inventory, small(lab_routes=[{"to": "198.51.100.0/24", "via": "192.0.2.10"}]))
        assert lab(state, *up).stdout == "changed=2\n"
        assert lab(state, *up).stdout == "changed=0\n"
    finally:
        assert lab(state, "down").stdout == "changed=2\n"
