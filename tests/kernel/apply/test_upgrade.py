"""A node that an older version applied is taken over: no change, no lost claim, and the way back still works."""

from __future__ import annotations

import json
import time
from pathlib import Path

import cases
import hosts
import load
import pytest

from sluice import names
from sluice.backends.interface import Memory
from sluice.backends.iptables import dispatch
from sluice.backends.iptables.text import OWNER_CHAIN, PREFIX_CHAINS
from sluice.backends.ipvs.drain import Drains, from_json, to_json
from sluice.backends.ipvs.layer import LAYER
from sluice.backends.ipvs.plan import Draining, Step
from sluice.backends.ipvs.text import VirtualAddress
from sluice.node import apply, confirmation, files, state
from sluice.system import linux

RECORDED = Path(__file__).parents[1] / "recorded"
SERVICES = [cases.Service(1, node_port=30001), cases.Service(2, protocol="UDP")]
BOTH = ["IPv4", "IPv6"]


@pytest.fixture
def upgraded(node: hosts.Node, variant: str) -> hosts.Node:
    """The older version's files and rules, as if it had been this boot and this namespace."""

    def put() -> None:
        for path in (RECORDED / variant).rglob("*"):
            target = Path("/", path.relative_to(RECORDED / variant))
            if path.is_file() and target.parts[1] in ("etc", "var"):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        record = Path(state.ROOT, "record.json")
        record.write_text(json.dumps({**json.loads(record.read_text()), "place": linux.place()}))

    node.call(put)
    for tool, rules in (("iptables", "kernel.rules"), ("ip6tables", "kernel6.rules")):
        node.run(f"{tool}-{variant}-restore", text=(RECORDED / variant / rules).read_text())
    return node


def test_nothing_changes(upgraded: hosts.Node, variant: str) -> None:
    contents = cases.rendered(SERVICES, iptables_variant=variant, ip_families=BOTH)
    loaded = upgraded.call(lambda: dict(files.load(files.DIRECTORY).contents))
    rules = {name: text for name, text in loaded.items() if name != files.SETTINGS_FILE}
    assert rules.items() <= contents.items()
    # That version wrote no proof, and fewer settings; what it applied is taken all the same.
    said = json.loads(loaded[files.SETTINGS_FILE])
    assert said.items() <= json.loads(contents[files.SETTINGS_FILE]).items()
    held = upgraded.save("nft"), upgraded.save("legacy")
    assert upgraded.sluice("diff").stdout == ""
    for _ in range(2):
        assert upgraded.sluice("apply").stdout == "changed=0\n"
    assert (upgraded.save("nft"), upgraded.save("legacy")) == held
    assert upgraded.call(state.active) == 2
    history = upgraded.sluice("history").stdout.splitlines()[1:]
    assert [line.split()[-2:] for line in history] == [["?", "?"]] * 2, "it kept neither who nor a catalogue"
    status = json.loads(upgraded.sluice("status", "--json").stdout)
    assert (status["generation"], status["by"], status["services"], status["drift"]) == (2, None, None, False)
    assert upgraded.sluice("rollback").stdout.startswith("back to generation 1 of 20")
    assert upgraded.call(state.active) == 1
    assert upgraded.differs() == ()


def test_a_change_that_waited_is_taken_back(upgraded: hosts.Node, variant: str) -> None:
    before = upgraded.save(variant)
    assert upgraded.apply(cases.rendered(SERVICES[1:], iptables_variant=variant), confirm=60).pending
    upgraded.sluice("rollback", "--unconfirmed")
    assert sorted(upgraded.save(variant).split("\n")) == sorted(before.split("\n"))
    with pytest.raises(hosts.NodeError, match="taken back"):
        upgraded.call(confirmation.confirm)


def test_all_of_it_can_be_removed(upgraded: hosts.Node, variant: str) -> None:
    assert upgraded.call(apply.remove).changed
    assert "KUBE-" not in upgraded.save(variant) + upgraded.save(variant, "IPv6")


@pytest.mark.parametrize("is_known", [True, False], ids=["by the record", "by a look"])
def test_prefix_chains_get_their_new_names(
    network: load.Network, variant: str, is_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were KUBE-PFX-* once: those of a node are told as ours, and replaced while connections come."""
    node, services = network.node, [cases.Service(number) for number in range(60)]
    network.serve(services)
    own = {"iptables_variant": variant, "ip_families": BOTH, "iptables_dispatch": "prefix"}
    wanted = cases.rendered(services, **own)
    with monkeypatch.context() as earlier:
        earlier.setattr(dispatch, "PREFIX_CHAIN", PREFIX_CHAINS[1])
        earlier.setattr(dispatch, "NAME_LENGTH", len(PREFIX_CHAINS[1]) + names.HASH_LENGTH)
        former = cases.rendered(services, **own)
    for _turn in range(2):  # of its first change of iptables-legacy it keeps no record
        node.apply(former)
    if not is_known:
        node.shell(f"rm {state.ROOT}/record.json")
        node.run(f"iptables-{variant}", "-t", "nat", "-X", OWNER_CHAIN)  # those chains say it as well
    ends = [(address, each.target_port) for each in services for address in (each.address, cases.mapped(each.address))]
    client = network.request(ends, rate=300, held=40)
    for family in BOTH:
        assert ":KUBE-PFX-" in node.save(variant, family)
    begun = time.monotonic()
    assert node.apply(wanted).changed
    ended = time.monotonic()
    outcome = client.stop()
    assert outcome.faults == {}, outcome
    assert any(begun <= answer.begun <= ended for answer in outcome.answers)
    assert node.differs() == ()
    for family in BOTH:
        held = node.save(variant, family)
        assert (":KUBE-PFX-" in held, ":KUBE-SVC-PFX-" in held) == (False, True)
    node.sluice("rollback")
    assert ":KUBE-PFX-" in node.save(variant)
    assert node.differs() == ()
    assert node.call(apply.remove).changed
    for family in BOTH:
        assert "KUBE-" not in node.save(variant, family)


def test_claims_and_drains_are_not_lost(node: hosts.Node) -> None:
    """What was recorded is read as it was meant, and is the same when it is written again."""
    texts = {name: (RECORDED / "ipvs" / name).read_text() for name in LAYER.remembers}

    def read() -> tuple[Memory, Memory]:
        Path(state.ROOT).mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            Path(state.ROOT, name).write_text(text)
        memory = state.memory(LAYER, state.last().records)
        for name in texts:
            Path(state.ROOT, name).unlink()
        state.remember(LAYER, memory)
        return memory, state.memory(LAYER, {})

    memory, again = node.call(read)
    assert again == memory
    assert set(memory.lasting["virtual-servers.json"]) == {
        "-t 10.96.0.1:443",
        "-t [fd00:96::1]:443",
        "-u 10.96.0.10:53",
    }
    web, six = VirtualAddress("tcp", "10.96.0.1", 443), VirtualAddress("tcp", "fd00:96::1", 443)
    drains = Drains(
        real={Draining(web, "10.244.1.1:8443"): 1795600000.25},
        steps=(Step("address", "del 10.96.0.1/32\n"), Step("ipvsadm", "-D -t 10.96.0.1:443\n")),
        frontends=(web, six),
        deadline=1795600900.5,
    )
    assert from_json(memory.lasting["drains.json"]) == drains
    assert json.loads(json.dumps(to_json(drains))) == memory.lasting["drains.json"]
