"""What a kube-proxy in IPVS mode has left: seen, refused, replaced and given back, while clients ask.

Its Services are those of the scenario, so Sluice's own files make it, without all that says that they are Sluice's;
beside them one that the catalogue has no more, and what a kube-proxy has programmed for IPv6 (tests/golden).
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import time
import typing

import pytest
import yaml
from balancer import LASTING, PODS, pods
from conftest import MOLECULE, NODE_ADDRESSES, STATE

from sluice.backends.ipvs import text

if typing.TYPE_CHECKING:
    from conftest import Node

BACKENDS = ["iptables", "ipvs", "nftables"]
IPV6 = MOLECULE.parent / "tests/golden/1.36/ipvs/37-dual-stack"
IPV6_NODE = "fd00:10::10"
"""The address of the node there."""

GONE = "10.96.0.99"
GONE_MANIFESTS = f"""\
apiVersion: v1
kind: Service
metadata: {{name: gone, namespace: default}}
spec:
  clusterIP: {GONE}
  ports: [{{port: 80, targetPort: 9090, protocol: TCP}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: gone-abcde, namespace: default, labels: {{kubernetes.io/service-name: gone}}}}
addressType: IPv4
ports: [{{name: "", port: 9090, protocol: TCP}}]
endpoints: [{{addresses: [172.33.0.11]}}, {{addresses: [172.33.0.25]}}, {{addresses: [172.33.0.30]}}]
"""
GONE_LASTING = [f"{GONE}:80@198.51.100.4"]

FOLDER = "/run/takeover"
SETTINGS = {
    "sluice_node_name": "lb-nft",
    "sluice_node_addresses": ["127.0.0.1", *sorted(NODE_ADDRESSES)],
    "sluice_cluster_cidrs": ["172.33.0.0/24"],
}
TAKING = {"sluice_takeover": True, "sluice_takeover_families": ["IPv6"]}

UNMARK = """\
ip link set kube-ipvs0 alias ''
for tool in iptables ip6tables; do
    for table in nat filter mangle; do
        $tool -t $table -F SLUICE-OWNER && $tool -t $table -X SLUICE-OWNER
    done 2>/dev/null
done
iptables -t mangle -N KUBE-PROXY-CANARY
rm -rf /etc/sluice/* /var/lib/sluice
"""

FLUSHED = """\
for tool in iptables ip6tables; do
    for table in nat filter mangle; do $tool -t $table -F; $tool -t $table -X; done
done
"""

EVERYTHING = """\
for tool in iptables ip6tables; do $tool-save | sed '/^#/d; s/ \\[.*//'; done
ipset save | sed 's, initval.*,,' | sort
ipvsadm -Sn | sort
ip -oneline address show dev kube-ipvs0 | sed 's/ valid_lft.*//; s/^[0-9]*://' | sort
cat /sys/class/net/kube-ipvs0/ifalias
ls /etc/sluice /var/lib/sluice/virtual-servers.json 2>&1
"""


@pytest.fixture(scope="module", autouse=True)
def _folders(node: Node, tmp_path_factory: pytest.TempPathFactory) -> typing.Iterator[None]:
    """On the node: files for each backend, with and without a takeover, and what makes the kube-proxy's."""
    folder = tmp_path_factory.mktemp("rendered")
    gone = folder / "gone.yml"
    gone.write_text(GONE_MANIFESTS)
    render(folder / "left", "ipvs", TAKING, gone)
    render(folder / "alone", "iptables", {"sluice_takeover": True})
    for backend in BACKENDS:
        render(folder / backend, backend, {})
        render(folder / f"taking-{backend}", backend, TAKING)
    rules, *others = [pathlib.Path(f"{IPV6}.{ending}") for ending in ("rules6", "ipset", "ipvs")]
    (folder / "rules6").write_text(rules.read_text())
    sets, servers = (each.read_text() for each in others)
    lines = sorted((line for line in sets.splitlines() if " KUBE-6-" in line), reverse=True)  # sets, then members
    (folder / "ipset").write_text("".join(f"{line}\n" for line in lines))
    found = {each: server for each, server in text.parse(servers).items() if ":" in each.address}
    (folder / "ipvs6").write_text(text.text(found))
    node.host.check_output(f"rm -rf {FOLDER}; mkdir {FOLDER}; cp -a /etc/sluice {FOLDER}/etc")
    node.host.check_output(f"cp -a /var/lib/sluice {FOLDER}/var")
    with subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE) as tar:
        command = ["ssh", "-F", str(STATE / "ssh_config"), "lb1", f"tar -x -m --no-same-owner -C {FOLDER}"]
        subprocess.run(command, stdin=tar.stdout, check=True)
    node.host.check_output(f"ip address replace {IPV6_NODE}/128 dev uplink")
    yield
    node.host.check_output(f"ip address delete {IPV6_NODE}/128 dev uplink")
    want(node, "taking-ipvs")
    node.host.check_output("sluice apply")
    node.host.check_output(f"rm -rf /etc/sluice /var/lib/sluice; cp -a {FOLDER}/etc /etc/sluice")
    node.host.check_output(f"cp -a {FOLDER}/var /var/lib/sluice; rm -r {FOLDER}; sluice apply")


def render(folder: pathlib.Path, backend: str, settings: dict[str, object], *more: pathlib.Path) -> None:
    file = folder.with_suffix(".yml")
    file.write_text(yaml.safe_dump({**SETTINGS, **settings}))
    sluice = pathlib.Path(sys.executable).parent / "sluice"
    options = ["--settings", file, "--backend", backend, "--out", folder]
    subprocess.run([sluice, "render", *options, MOLECULE / "shared/services", *more], check=True)


def want(node: Node, files: str) -> None:
    node.host.check_output(f"rm -rf /etc/sluice/*; cp {FOLDER}/{files}/* /etc/sluice")


def leave(node: Node) -> list[str]:
    """Have the kernel hold what the kube-proxy has left, and nothing say that it is Sluice's; all of it."""
    want(node, "left")
    node.host.check_output("sluice apply")
    assert drained(node)
    node.host.check_output(f"set -e; {UNMARK}")
    script = f"cd {FOLDER}; ipset restore <ipset; ipvsadm -R <ipvs6; ip6tables-restore --noflush <rules6"
    node.host.check_output(f"{script}; ip address add fd00:96::50/128 dev kube-ipvs0")
    return everything(node)


def everything(node: Node) -> list[str]:
    return str(node.host.run(EVERYTHING).stdout).splitlines()


def drained(node: Node) -> bool:
    """Whether nothing is left to drain, or soon will be: connections that a client has closed are over at once."""
    until = time.monotonic() + 60
    while node.host.check_output("sluice drain") != "nothing is left to drain":
        if time.monotonic() > until:
            return False
        time.sleep(1)
    return True


def refused(node: Node, *words: str) -> str:
    done = node.host.run(" ".join(["sluice apply", *words]))
    assert (done.rc, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return str(done.stderr)


def of_another(said: str) -> None:
    """That kube-ipvs0 is another proxy's, and what says that it may go."""
    assert "kube-ipvs0 with addresses (" in said
    assert "of IPv6" in said
    assert "sluice_takeover: true" in said


def answered(seen: dict[str, dict[str, int]]) -> None:
    assert seen["faults"] == {}
    assert set(seen["new"]) == set(seen["held"]) == set(PODS.values())


def alias(node: Node) -> str:
    return str(node.host.run("cat /sys/class/net/kube-ipvs0/ifalias").stdout).strip()


def test_it_is_refused_whatever_is_wanted(node: Node) -> None:
    """Also where somebody has flushed iptables, and the device tells alone."""
    leave(node)
    want(node, "alone")
    assert "sluice_ip_families leaves IPv6 out" in refused(node, "--check")
    for flush in ("true", FLUSHED):
        node.host.check_output(f"{flush}\nrm -f /etc/sluice/*")
        before = everything(node)
        with node.load(rate=30, held=12, targets=LASTING) as clients:
            for backend in BACKENDS:
                want(node, backend)
                said = refused(node)
                of_another(said)
                assert ("KUBE-PROXY-CANARY" in said) == (flush == "true")
        answered(clients.seen)
        node.host.check_output("rm -f /etc/sluice/*")
        assert everything(node) == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_replaced(node: Node, backend: str) -> None:
    leave(node)
    want(node, f"taking-{backend}")
    with node.load(rate=0, held=3, targets=GONE_LASTING) as gone, node.udp("10.96.0.53", 53) as ask:
        assert ask()
        with node.load(rate=30, held=12, targets=LASTING) as clients:
            node.host.check_output("sluice apply")
            time.sleep(5)
        assert ask()
        # A Service that goes is served until its connections end, where something waits for those of IPVS.
        if backend != "ipvs":
            assert set(pods(node.ask("tcp", GONE, 80))) <= set(PODS.values())
    answered(clients.seen)
    assert bool(gone.seen["faults"]) == (backend == "ipvs")
    assert drained(node)
    sets = [name for name in node.sets() if name.startswith("KUBE-")]
    if backend == "ipvs":
        assert alias(node) == "sluice"
        assert not [each for each in sets if "KUBE-6-" in each]
        assert not [each for each in node.virtual_servers() if GONE in each or "fd00:" in each]
    else:
        assert (node.virtual_servers(), sets) == ({}, [])
        assert node.host.run("ip link show kube-ipvs0").rc == 1
    left = node.left_in_tables()
    assert not [line for line in left if "KUBE-PROXY-CANARY" in line or "KUBE-6-" in line]
    assert ("KUBE-IPVS-OUT-FILTER" in " ".join(left)) == (backend == "ipvs")
    assert "KUBE-" not in node.host.check_output("ip6tables-save")
    assert "changed=0" in node.host.check_output("sluice apply")
    want(node, backend)
    assert "changed=0" in node.host.check_output("sluice apply"), "nothing is left that would have to be refused"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_takeover_that_nobody_confirms(node: Node, backend: str) -> None:
    """The kube-proxy's state comes back, and is nobody's but its own."""
    before = leave(node)
    want(node, f"taking-{backend}")
    # To nftables nothing waits for connections, and the device is made anew.
    last = 1 if backend == "nftables" else 3600
    with node.load(rate=30, held=12, targets=LASTING, last=last) as clients:
        node.host.check_output("sluice apply --confirm 300")
        assert backend != "nftables" or drained(node)
        done = node.host.run("sluice rollback --unconfirmed")
        assert done.rc == 0, done.stderr
        time.sleep(3)
    answered(clients.seen)
    assert everything(node) == before
    for flush in ("true", FLUSHED):
        node.host.check_output(flush)
        want(node, backend)
        of_another(refused(node))


def test_a_node_of_an_earlier_release(node: Node) -> None:
    """Which has not marked the device, and wrote down what is its own."""
    want(node, "taking-ipvs")
    node.host.check_output("sluice apply")
    want(node, "ipvs")
    node.host.check_output("sluice apply; ip link set kube-ipvs0 alias ''")
    claims = json.loads(node.host.check_output("cat /var/lib/sluice/virtual-servers.json"))
    assert claims
    assert "changed=0" in node.host.check_output("sluice apply")
    with node.load(rate=30, held=12, targets=LASTING) as clients:
        want(node, "left")
        assert "changed=0" not in node.host.check_output("sluice apply")
        assert alias(node) == "sluice"
        node.host.check_output("ip link set kube-ipvs0 alias ''")
        want(node, "ipvs")
        assert "changed=0" not in node.host.check_output("sluice apply")
        assert alias(node) == "sluice", "also where something only goes"
    answered(clients.seen)
