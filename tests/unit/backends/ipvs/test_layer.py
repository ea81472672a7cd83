"""The layer of IPVS' tables: its files, its front ends, what it remembers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from places import script
from support import catalogue, endpoint_slice, node, rendered, service

from sluice.addresses import FAMILIES, IPV4
from sluice.backends.interface import NOTHING_HELD, Frontend, KernelChanged, Memory, Phase
from sluice.backends.ipvs import ipset_text, kernel, text
from sluice.backends.ipvs.drain import NO_DRAINS, Drains, is_drains, to_json
from sluice.backends.ipvs.kernel import Held
from sluice.backends.ipvs.layer import LAYER, IpvsLook
from sluice.backends.ipvs.plan import Step, plan
from sluice.backends.ipvs.tables import NO_TABLES, Tables, parse_files
from sluice.system.tools import NodeError

TWO = """\
-A -u 10.96.0.2:53 -s rr
-a -u 10.96.0.2:53 -r 10.244.1.1:53 -m -w 1
-a -u 10.96.0.2:53 -r 10.244.1.2:53 -m -w 1
-A -t 10.96.0.2:53 -s rr
-a -t 10.96.0.2:53 -r 10.244.1.3:53 -m -w 1
-A -u [fd00::2]:53 -s rr
-a -u [fd00::2]:53 -r [fd00::11]:53 -m -w 1
"""


def test_front_ends_of_ipvs() -> None:
    assert LAYER.frontends({"ipvs.conf": TWO}, IPV4) == {
        Frontend("10.96.0.2", 53): {("10.244.1.1", 53), ("10.244.1.2", 53)},
        Frontend("fd00::2", 53): {("fd00::11", 53)},
    }


FILES = rendered(catalogue(service(), endpoint_slice("10.244.1.1")), node(backend="ipvs"))
OWN = {name: FILES[name] for name in LAYER.files(FAMILIES)}


def test_files_and_what_it_remembers() -> None:
    assert list(LAYER.files([IPV4])) == list(LAYER.files(FAMILIES)) == ["ipset.conf", "ipvs.conf", "addresses"]
    assert LAYER.waiting == "drains.json"
    assert LAYER.frontends({}, IPV4) == {}
    assert LAYER.ours(OWN)


def looked(wanted: dict[str, str], claims: set[str], held: Tables = NO_TABLES, drains: Drains = NO_DRAINS) -> IpvsLook:
    """A look at a kernel that holds just ``held``."""
    tables = Held(ipset_text.text(held.sets), text.text(held.servers), held.addresses, frozenset())
    ours = {each for each in held.servers if each.text in claims}
    found = plan(held, parse_files(wanted), ours)
    return IpvsLook(found, tables, wanted, claims, drains, 900, [])


def test_virtual_servers_are_claimed_before_they_are_there() -> None:
    look = looked(OWN, {"-t 192.0.2.1:80"})
    assert look.memory().lasting == {"virtual-servers.json": ["-t 10.96.0.1:80", "-t 192.0.2.1:80"]}


def test_what_the_kernel_holds_is_held() -> None:
    look = looked(OWN, {"-t 10.96.0.1:80"}, parse_files(OWN))
    assert (list(look.changes), look.udp) == ([], False)
    assert look.holds(OWN)
    assert not look.holds({})
    assert look.held().files == OWN
    assert looked(OWN, set()).held() == NOTHING_HELD


def test_servers_of_others_are_not_held() -> None:
    assert looked({}, set(), parse_files(OWN)._replace(sets={}, addresses=())).held() == NOTHING_HELD


def test_udp_is_said() -> None:
    assert looked({"ipvs.conf": TWO}, set()).udp
    assert not looked(OWN, set()).udp


def test_what_drains_already_is_no_change() -> None:
    """Another backend serves, and what is left to do waits for its connections."""
    held, claims = parse_files(OWN)._replace(sets={}), {"-t 10.96.0.1:80"}
    first = looked({}, claims, held)
    assert [change.verb for change in first.changes] == ["remove", "remove"]
    waits = NO_DRAINS._replace(steps=plan(held, NO_TABLES, set(held.servers)).after, deadline=1.0)
    assert list(looked({}, claims, held, waits).changes) == []
    assert looked({}, claims, held, waits).held() == NOTHING_HELD


@pytest.fixture
def log(programs: Path) -> Path:
    """What is sent to which tool."""
    for name in ("ipset", "ipvsadm", "ip"):
        script(programs / name, f'while read -r line; do echo "{name} $line" >>{programs}/log; done')
    return programs / "log"


def test_all_that_is_new_is_there_before_the_rules_change(log: Path) -> None:
    look = looked(OWN, set())
    look.send(Phase.PREPARE)
    sent = log.read_text().splitlines()
    assert list(dict.fromkeys(line.split()[0] for line in sent[2:])) == ["ipset", "ipvsadm", "ip"]
    assert sent[0] == "ip link add kube-ipvs0 type dummy", "from here on it is to be seen whose the rest is"
    assert sent[-1] == "ip address add 10.96.0.1/32 dev kube-ipvs0"
    for phase in (Phase.SWITCH, Phase.CLEAN):
        look.send(phase)
    assert log.read_text().splitlines() == sent
    assert look.memory().lasting == {"virtual-servers.json": ["-t 10.96.0.1:80"]}


def test_what_goes_waits_for_its_connections(log: Path) -> None:
    """Virtual servers and addresses stay claimed until nobody uses them, and sets tell whose they are."""
    look = looked({}, {"-t 10.96.0.1:80"}, parse_files(OWN))
    for phase in Phase:
        look.send(phase)
    assert not log.exists()
    lasting = look.memory().lasting
    assert lasting["virtual-servers.json"] == ["-t 10.96.0.1:80"]
    assert [step[0] for step in lasting["drains.json"]["steps"]] == ["address", "ipvsadm", "ipset"]
    assert is_drains(json.loads(json.dumps(lasting["drains.json"])))


def test_a_step_that_is_refused_is_looked_at_again(programs: Path) -> None:
    script(programs / "ip", "")
    script(programs / "ipset", "echo Set cannot be created >&2; exit 1")
    with pytest.raises(KernelChanged, match=r"^ipset restore -exist: Set cannot be created$"):
        looked(OWN, set()).send(Phase.PREPARE)


HELD = Held("", "-A -t 10.96.0.1:80 -s rr\n-A -t 10.96.0.9:80 -s rr\n", ("10.96.0.1/32", "10.96.0.9/32"), frozenset())
NODE_PORT = "-A -t 192.0.2.7:30080 -s rr\n"


@pytest.fixture
def kernel_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A kernel that holds what is given; this machine's has no IPVS."""

    def hold(held: Held, *, device: bool = True) -> None:
        monkeypatch.setattr(kernel, "read", lambda: held)
        monkeypatch.setattr(kernel, "require", lambda *, load: None)
        monkeypatch.setattr(kernel, "device_exists", lambda: device)

    return hold


def changes(wanted: dict[str, str], last: dict[str, str], memory: Memory) -> list[str]:
    with LAYER.look(wanted, last, memory, {"ipvs_drain_seconds": 0}, check=True) as look:
        return [f"{change.verb} {change.thing}" for change in look.changes if "set " not in change.thing]


def test_lost_claims_come_from_the_kernel(kernel_of: Callable[..., None]) -> None:
    """Our device holds the address: a server that is wanted is ours, and one that is not goes."""
    kernel_of(HELD)
    gone = ["remove virtual server -t 10.96.0.9:80", "remove address 10.96.0.9/32"]
    assert changes(OWN, {}, Memory())[-2:] == gone
    assert changes(OWN, {}, Memory(lasting={"virtual-servers.json": ["-t 10.96.0.1:80"]}))[-1:] == gone[1:]


def test_lost_claims_of_node_ports_come_from_the_files(kernel_of: Callable[..., None]) -> None:
    """The node's own address is everybody's: only what files of ours say there is ours."""
    kernel_of(HELD._replace(servers=NODE_PORT, own=frozenset(["192.0.2.7"])))
    assert "remove virtual server -t 192.0.2.7:30080" in changes(OWN, {"ipvs.conf": NODE_PORT}, Memory())
    assert "remove virtual server -t 192.0.2.7:30080" not in changes(OWN, {}, Memory())
    wanted = {**OWN, "ipvs.conf": OWN["ipvs.conf"] + NODE_PORT}
    assert "add virtual server -t 192.0.2.7:30080" not in changes(wanted, {}, Memory())


def test_on_a_node_that_never_was_ours_nothing_is_claimed(kernel_of: Callable[..., None]) -> None:
    kernel_of(HELD._replace(addresses=()), device=False)
    with pytest.raises(NodeError, match=r"^virtual server -t 10.96.0.1:80 is there and not of Sluice$"):
        changes(OWN, {}, Memory())


def test_claims_that_could_not_be_written_are_made_good(kernel_of: Callable[..., None]) -> None:
    """What is claimed is older than the kernel: our own virtual servers are nobody else's."""
    old = Memory(lasting={"virtual-servers.json": ["-t 10.96.0.9:80"]})
    kernel_of(HELD._replace(sets=OWN["ipset.conf"]))
    with LAYER.look(OWN, {}, old, {"ipvs_drain_seconds": 0}, check=True) as look:
        assert {"-t 10.96.0.1:80"} < set(look.memory().lasting["virtual-servers.json"])
        assert look.warnings == ["virtual servers that are Sluice's though that is not written down: 1"]


def test_the_server_of_somebody_else_stays_somebody_else_s(kernel_of: Callable[..., None]) -> None:
    kernel_of(HELD._replace(sets=OWN["ipset.conf"]))
    memory = Memory(lasting={"virtual-servers.json": ["-t 10.96.0.1:80"]})
    wanted = {**OWN, "ipvs.conf": OWN["ipvs.conf"] + "-A -t 10.96.0.9:80 -s rr\n"}
    with pytest.raises(NodeError, match=r"^virtual server -t 10.96.0.9:80 is there and not of Sluice$"):
        changes(wanted, {}, memory)


@pytest.mark.parametrize("serves", [True, False])
def test_what_waits_goes_only_while_another_backend_serves(
    programs: Path, log: Path, monkeypatch: pytest.MonkeyPatch, *, serves: bool
) -> None:
    """An apply that was killed, or on a disk that takes nothing, leaves on it what waited before."""
    monkeypatch.setattr(kernel, "serves", lambda: serves)
    monkeypatch.setattr(kernel, "_servers", lambda: "-A -t 10.96.0.1:80 -s rr\n")
    script(programs / "ip", "")
    steps = (Step("ipvsadm", "-D -t 10.96.0.1:80\n"),)
    waits = {"virtual-servers.json": ["-t 10.96.0.1:80"], "drains.json": to_json(NO_DRAINS._replace(steps=steps))}
    left = LAYER.settle(Memory(lasting=waits), 1.0)
    assert log.exists() == (not serves)
    assert left.lasting == ({"virtual-servers.json": ["-t 10.96.0.1:80"]} if serves else {})
