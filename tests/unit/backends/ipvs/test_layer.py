"""The layer of IPVS' tables: its files, its front ends, what it remembers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from places import script
from support import catalogue, endpoint_slice, node, rendered, service

from sluice.addresses import FAMILIES, IPV4
from sluice.backends import interface
from sluice.backends.interface import NOTHING_HELD, Frontend, KernelChanged, Leftover, Memory, Phase
from sluice.backends.ipvs import ipset_text, kernel, text
from sluice.backends.ipvs.drain import NO_DRAINS, Drains, is_drains, to_json
from sluice.backends.ipvs.kernel import Held
from sluice.backends.ipvs.layer import LAYER, IpvsLook
from sluice.backends.ipvs.plan import Step, plan
from sluice.backends.ipvs.tables import NO_TABLES, Tables, parse_files
from sluice.system import linux
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
    assert (list(LAYER.remembers), LAYER.waiting) == (["virtual-servers.json", "drains.json"], "drains.json")
    is_claims = LAYER.remembers["virtual-servers.json"]
    assert is_claims([]) and is_claims(["-t 10.96.0.1:80"])
    assert not any(map(is_claims, (None, {}, "x", 1, [1], [["-t 10.96.0.1:80"]])))
    assert LAYER.frontends({}, IPV4) == {}
    assert LAYER.ours(OWN)


def looked(wanted: dict[str, str], claims: set[str], held: Tables = NO_TABLES, drains: Drains = NO_DRAINS) -> IpvsLook:
    """A look at a kernel that holds just ``held``."""
    found_there = Held(ipset_text.text(held.sets), text.text(held.servers), held.addresses, frozenset())
    ours = {each for each in held.servers if each.text in claims}
    found = plan(held, parse_files(wanted), ours)
    return IpvsLook(found, found_there, wanted, claims, drains, 900, [])


def test_virtual_servers_are_claimed_before_they_are_there() -> None:
    look = looked(OWN, {"-t 192.0.2.1:80"})
    assert look.memory().lasting == {"virtual-servers.json": ["-t 10.96.0.1:80", "-t 192.0.2.1:80"]}


def test_what_the_kernel_holds_is_held() -> None:
    look = looked(OWN, {"-t 10.96.0.1:80"}, parse_files(OWN))
    assert (list(look.changes), look.udp) == ([], False)
    assert look.holds(OWN)
    assert not look.holds({})
    assert look.held() == interface.Held(OWN, {"backend": "ipvs"}), (
        "iptables' rules alone would be those of another backend"
    )
    waiting = NO_DRAINS._replace(steps=(Step("ipvsadm", "-D -t 10.96.0.9:80\n"),))
    assert looked(OWN, {"-t 10.96.0.1:80"}, parse_files(OWN), waiting).held().settings == {}
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
    assert sent[0] == "ip link add kube-ipvs0 type dummy", "from here on it is to be seen whose the rest is"
    assert list(dict.fromkeys(line.split()[0] for line in sent[3:])) == ["ipset", "ipvsadm", "ip"]
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


@pytest.fixture
def kernel_of_ours(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node whose kernel holds just what OWN says, and a virtual server of somebody else."""
    monkeypatch.setattr(kernel, "_IN_USE", "/dev/null")  # ipvsadm is asked then
    monkeypatch.setattr(kernel, "device_exists", lambda: True)
    monkeypatch.setattr(linux, "module_present", lambda name: True)
    (programs / "ipset.conf").write_text(OWN["ipset.conf"])
    (programs / "ipvs.conf").write_text(OWN["ipvs.conf"] + "-A -t 192.0.2.1:8888 -s rr\n")
    script(programs / "ipset", f'while read -r line; do echo "$line"; done <{programs}/ipset.conf')
    script(programs / "ipvsadm", f'while read -r line; do echo "$line"; done <{programs}/ipvs.conf')
    (programs / "alias").write_text("sluice\n")
    script(
        programs / "ip",
        f"""case "$1" in
-brief) echo kube-ipvs0 DOWN 10.96.0.1/32; echo eth0 UP 192.0.2.1/24 ;;
*) read -r alias <{programs}/alias; printf '[{{"ifname": "kube-ipvs0", "ifalias": "%s"}}]' "$alias" ;;
esac""",
    )


SETTINGS = {"ipvs_drain_seconds": 900, "takeover": False}


@pytest.mark.usefixtures("kernel_of_ours")
@pytest.mark.parametrize("wanted", [OWN, {}], ids=["wanted", "not wanted"])
def test_a_device_that_nobody_marked_is_another_proxys(wanted: dict[str, str], programs: Path) -> None:
    """Nothing of it is touched, until somebody says that it may go."""
    (programs / "alias").write_text("eth7\n")
    left = [Leftover("kube-ipvs0 with addresses (1), virtual servers (1) and sets (17) of IPv4", IPV4, ["10.96.0.1"])]
    with LAYER.look(wanted, {}, Memory(), SETTINGS, check=False) as look:
        assert (look.changes, look.leftovers, look.held()) == ((), left, NOTHING_HELD)
    with LAYER.look(wanted, {}, Memory(), {**SETTINGS, "takeover": True}, check=False) as look:
        assert look.leftovers == left
        gone = [change.thing for change in look.changes if change.verb == "remove"]
        assert ("virtual server -t 10.96.0.1:80" in gone) == (not wanted)
        assert look.warnings == []
    claims = Memory(lasting={"virtual-servers.json": ["-t 10.96.0.1:80"]})
    with LAYER.look(wanted, {}, claims, SETTINGS, check=False) as look:
        assert look.leftovers == [], "an earlier release of ours made it without a mark"


TAKING = {**SETTINGS, "takeover": True}
CLAIMED = Memory(lasting={"virtual-servers.json": ["-t 10.96.0.1:80"]})


@pytest.fixture
def aliases(kernel_of_ours: None, programs: Path) -> Path:
    """What kube-ipvs0 is called there, a line each time."""
    text = (programs / "ip").read_text()
    (programs / "ip").write_text(
        text.replace(
            "*) read",
            f'-batch) while read -r line; do case $line in *alias*) echo "$line" >>{programs}/set; esac; '
            "done ;;\n*) read",
        )
    )
    (programs / "alias").write_text("\n")
    return programs / "set"


MARKED = "link set kube-ipvs0 alias sluice\n"


def test_what_is_taken_over_is_given_back_as_another_proxys(aliases: Path) -> None:
    """The files of an unconfirmed takeover say so, whatever the claims do."""
    with LAYER.look(OWN, {}, Memory(), TAKING, check=False) as look:
        given_back = look.held().files
        assert look.holds(given_back)
        assert not look.holds(OWN)
        for phase in Phase:
            look.send(phase)
        assert aliases.read_text() == MARKED, "though nothing else has changed"
        assert look.memory() == CLAIMED
    assert not LAYER.ours(given_back)
    assert parse_files(given_back) == parse_files(OWN)
    aliases.unlink()
    with LAYER.look(given_back, {}, CLAIMED, TAKING, check=False) as look:
        assert look.memory() == CLAIMED, "wherever this is killed, the next one goes on"
        assert not look.holds(given_back)
        assert look.holds(OWN)
        for phase in Phase:
            look.send(phase)
        assert aliases.read_text() == "link set kube-ipvs0 alias ''\n"
        assert look.memory() == Memory()


def test_a_device_of_an_earlier_release_is_marked_with_the_next_change(aliases: Path) -> None:
    less = {**OWN, "ipvs.conf": ""}
    with LAYER.look(OWN, {}, CLAIMED, SETTINGS, check=False) as look:
        look.send(Phase.PREPARE)
        assert (look.changes, aliases.exists()) == ((), False)
    with LAYER.look(less, {}, CLAIMED, SETTINGS, check=False) as look:
        look.send(Phase.PREPARE)
        assert [change.verb for change in look.changes] == ["remove"]
        assert aliases.read_text() == MARKED


@pytest.mark.usefixtures("kernel_of_ours")
@pytest.mark.parametrize("wanted", [OWN, {}], ids=["wanted", "not wanted"])
@pytest.mark.parametrize("claims", [{}, {"virtual-servers.json": ["-t 10.96.0.9:80"]}], ids=["lost", "old"])
def test_claims_are_no_condition(wanted: dict[str, str], claims: dict[str, list[str]]) -> None:
    """The file may be gone, or be older than what the kernel holds: it is found out, and written down again."""
    with LAYER.look(wanted, {}, Memory(lasting=claims), SETTINGS, check=False) as look:
        assert [change.verb for change in look.changes if change.thing.startswith("virtual")] == ["remove"] * (
            not wanted
        )
        assert look.held().files == OWN
        assert {"-t 10.96.0.1:80"} == set(look.memory().lasting["virtual-servers.json"]) - {"-t 10.96.0.9:80"}
        assert [*look.warnings] == ["virtual servers that are Sluice's though that is not written down: 1"]


@pytest.mark.usefixtures("kernel_of_ours")
def test_a_node_that_never_was_ours_has_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "device_exists", lambda: False)
    with LAYER.look(OWN, {}, Memory(), SETTINGS, check=False) as look:
        assert (look.changes, len(look.leftovers)) == ((), 1)
    monkeypatch.setattr(kernel, "has_sets_of_services", lambda: False)
    with (
        pytest.raises(NodeError, match=r"^virtual server -t 10\.96\.0\.1:80 is there and not of Sluice$"),
        LAYER.look(OWN, {}, Memory(), SETTINGS, check=False),
    ):
        pass


@pytest.mark.usefixtures("kernel_of_ours")
def test_the_server_of_somebody_else_is_in_the_way() -> None:
    """Also where the claims were lost."""
    wanted = {**OWN, "ipvs.conf": OWN["ipvs.conf"] + "-A -t 192.0.2.2:8888 -s rr\n"}
    memory = Memory(lasting={"virtual-servers.json": ["-t 10.96.0.1:80"]})
    others = {**wanted, "ipvs.conf": wanted["ipvs.conf"].replace("192.0.2.2", "192.0.2.1")}
    with LAYER.look(wanted, {}, memory, SETTINGS, check=False) as look:
        assert [change.thing for change in look.changes] == ["virtual server -t 192.0.2.2:8888"]
    with (
        pytest.raises(NodeError, match=r"^virtual server -t 192\.0\.2\.1:8888 is there and not of Sluice$"),
        LAYER.look(others, {}, memory, SETTINGS, check=False),
    ):
        pass


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
