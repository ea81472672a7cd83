"""Whether iptables-legacy's tables have changed is told from the kernel's own answer, and of traffic it says no."""

from __future__ import annotations

import os
import signal
import socket
import time

import cases
import hosts
import pytest

from sluice import addresses
from sluice.backends.iptables import kernel as iptables_kernel
from sluice.backends.iptables import legacy_tables
from sluice.node import apply, converge, files, state
from sluice.system.tools import NodeError

SERVICES = [cases.Service(number, node_port=30000 + number) for number in range(6)]
BOTH = {"iptables_variant": "legacy", "ip_families": ["IPv4", "IPv6"]}
TABLES = ("filter", "mangle", "nat", "raw", "security")
TOOLS = {"iptables": "IPv4", "ip6tables": "IPv6"}


def recorded() -> str:
    """What the record names of iptables-legacy's tables; nothing without a record."""
    return str(state.last().records.get("iptables", {}).get("legacy", ""))


def text(services: list[cases.Service]) -> dict[str, str]:
    return cases.rendered(services, **BOTH)


@pytest.fixture
def applied(node: hosts.Node) -> hosts.Node:
    """In both families, with a record of the tables, all of which there are."""
    for tool in TOOLS:
        node.shell(f"for table in {' '.join(TABLES)}; do {tool}-legacy -t $table -A OUTPUT -p icmp; done")
    node.apply(text(SERVICES))
    node.apply(text(SERVICES[1:]))
    assert node.call(recorded).startswith(legacy_tables.PREFIX)
    return node


def unchanged(node: hosts.Node) -> bool:
    return node.call(lambda: legacy_tables.unchanged(recorded()))


def test_traffic_is_no_change(applied: hosts.Node) -> None:
    """Counters of rules, of policies and of tables that are not ours."""

    def send() -> None:
        for family, local in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                for port in range(2000, 2050):
                    sender.sendto(b"", (local, port))

    before = {tool: applied.run(f"{tool}-legacy-save", "-c").stdout for tool in TOOLS}
    for _ in range(3):
        applied.call(send)
        assert unchanged(applied)
    for tool, text_before in before.items():
        assert applied.run(f"{tool}-legacy-save", "-c").stdout != text_before
        applied.shell(f"for table in {' '.join(TABLES)}; do {tool}-legacy -t $table -Z; done")
    assert unchanged(applied)


CHANGES = {
    "a rule more": "-A OUTPUT -p udp -j RETURN",
    "a rule less": "-D OUTPUT -p icmp",
    "another match": "-R OUTPUT 1 -p udp",
    "another target": "-R OUTPUT 1 -p icmp -j ACCEPT",
    "another policy": "-P OUTPUT DROP",
    "another chain": "-N SOMEBODY",
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("tool", TOOLS)
def test_every_change_is_seen(applied: hosts.Node, tool: str, what: str) -> None:
    """In each of the tables. Only nat has no other policy."""
    for table in TABLES:
        if (table, what) == ("nat", "another policy"):
            continue
        assert unchanged(applied)
        applied.shell(f"{tool}-legacy -t {table} {CHANGES[what]}")
        assert not unchanged(applied), table
        applied.call(keep_as_recorded)


def keep_as_recorded() -> None:
    """What the tables are now becomes what the record names."""
    name = recorded()
    os.rename(f"{legacy_tables.ROOT}/{legacy_tables.keep()}", f"{legacy_tables.ROOT}/{name}")


def test_tables_that_come_are_seen(node: hosts.Node) -> None:
    node.apply(text(SERVICES))
    node.apply(text(SERVICES[1:]))
    assert unchanged(node)
    node.shell("iptables-legacy -t raw -S")
    assert not unchanged(node)
    assert node.sluice("apply").stdout == "changed=0\n"


def test_small_changes_read_no_text(applied: hosts.Node) -> None:
    """Nothing to do, and one Service less: what the kernel holds is never parsed."""

    def unread() -> list[bool]:
        iptables_kernel.Tools.reading = None
        return [apply.apply(lambda: files.load(files.DIRECTORY)).changed for _ in range(2)]

    for services in (SERVICES[1:], SERVICES[2:], SERVICES):
        applied.write(text(services))
        changed = services != SERVICES[1:]
        assert applied.call(unread) == [changed, False]
    assert applied.differs() == ()


def test_only_tables_that_changed_are_read_again(applied: hosts.Node) -> None:
    def written() -> dict[str, int]:
        folder = f"{legacy_tables.ROOT}/{recorded()}"
        return {file: os.stat(f"{folder}/{file}").st_mtime_ns for file in os.listdir(folder)}

    before = applied.call(written)
    assert set(before) == {f"{family} {table}" for family in addresses.FAMILIES for table in TABLES}
    applied.apply(cases.rendered(SERVICES[1:5], **BOTH))
    after = applied.call(written)
    assert {file for file in before if before[file] != after[file]} == {"IPv4 nat", "IPv6 nat"}
    assert applied.shell(f"ls {legacy_tables.ROOT} | wc -l").strip() == "1"


FAULTS = {
    "the kernel refuses": OSError(92, "Protocol not available"),
    "this Python has no ctypes": ImportError("No module named '_ctypes'"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_without_the_kernels_answer(node: hosts.Node, what: str) -> None:
    """Then the rules are read as text: slower, and as honest."""

    def refused(*_: object) -> None:
        raise FAULTS[what]

    def perform() -> tuple[bool, str]:
        legacy_tables._ask = refused
        changed = apply.apply(lambda: files.load(files.DIRECTORY)).changed
        return changed, recorded()

    node.write(text(SERVICES))
    assert node.call(perform) == (True, "")
    for services, changed in ((SERVICES, False), (SERVICES[1:], True), (SERVICES[1:], False)):
        node.write(text(services))
        answer = node.call(perform)
        assert answer[0] == changed
        assert len(answer[1]) == 64, "a digest"
    node.shell("ip6tables-legacy -t nat -F KUBE-SERVICES")
    assert node.call(perform)[0]
    assert node.differs() == ()


def test_other_forms_of_32_bits_are_not_guessed(node: hosts.Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.apply(text(SERVICES))
    monkeypatch.setattr(legacy_tables.struct, "calcsize", lambda _: 4)
    node.apply(text(SERVICES[1:]))
    assert len(node.call(recorded)) == 64
    assert node.apply(text(SERVICES[1:])).changed is False


def test_no_room_for_tables(node: hosts.Node) -> None:
    node.apply(text(SERVICES))
    node.shell("mkdir /run/sluice; mount -t tmpfs -o size=16k none /run/sluice")
    assert node.apply(text(SERVICES[1:])).changed
    assert len(node.call(recorded)) == 64
    assert node.apply(text(SERVICES[1:])).changed is False
    node.shell("umount /run/sluice")
    assert node.apply(text(SERVICES[2:])).changed
    assert unchanged(node)


# --- a restore that waits for its text

STEP = "*nat\n:SOMEBODY - [0:0]\n-A SOMEBODY -j RETURN\nCOMMIT\n*filter\n:SOMEBODY - [0:0]\nCOMMIT\n"
LEGACY = iptables_kernel.Tools("legacy", "IPv4")


def test_restore_waits_for_its_text(node: hosts.Node) -> None:
    def perform() -> list[int]:
        counts = []
        with LEGACY.restoring("nat") as restore:
            time.sleep(0.2)
            counts.append(LEGACY.text().count(":SOMEBODY"))
            restore(STEP)
            counts.append(LEGACY.text().count(":SOMEBODY"))
        return counts

    node.shell("iptables-legacy -t nat -S; iptables-legacy -t filter -S")
    assert node.call(perform) == [0, 2]


@pytest.mark.parametrize("rest", [0, 0.2], ids=["at once", "while it waits"])
def test_restore_that_gets_no_text(node: hosts.Node, rest: float) -> None:
    """It ends with the context, whatever it was about to do, and changes nothing."""

    def perform() -> None:
        with LEGACY.restoring("nat"):
            time.sleep(rest)

    node.call(perform)
    assert "iptables-legacy-restore" not in node.run("ps", "-eo", "args").stdout


def test_restores_do_not_wait_for_each_other(node: hosts.Node) -> None:
    """One that got no text yet is in nobody's way, though they are told of no lock."""

    texts = [f"*{table}\n:SOMEBODY - [0:0]\nCOMMIT\n" for table in ("filter", "nat", "mangle")]

    def perform() -> None:
        with LEGACY.restoring("filter") as first, LEGACY.restoring("nat") as second, LEGACY.restoring("raw"):
            LEGACY.restore(texts[2], locked=True)
            second(texts[1])
            first(texts[0])

    node.call(perform)
    assert node.save("legacy").count(":SOMEBODY ") == 3


@pytest.mark.parametrize("rest", [0, 0.2], ids=["at once", "when it waits"])
@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("*nat\n-D OUTPUT -j ACCEPT\nCOMMIT\n", "line 2 failed"),
        ("*nat\n-A OUTPUT -j NOWHERE\nCOMMIT\n", "NOWHERE"),
        (f"*nat\n-D OUTPUT -j ACCEPT\n{'# more' * 20000}\nCOMMIT\n", "line 2 failed"),
    ],
    ids=["a rule that is not there", "a chain that is not there", "more than a pipe takes"],
)
def test_restore_is_refused(node: hosts.Node, step: str, said: str, rest: float) -> None:
    def perform() -> None:
        with LEGACY.restoring("nat") as restore:
            time.sleep(rest)
            restore(step)

    with pytest.raises(NodeError, match=said):
        node.call(perform)


def test_killed_before_the_change(applied: hosts.Node) -> None:
    """The tool that waits ends with the apply, and the kernel holds what it held."""
    before = {family: applied.save("legacy", family) for family in addresses.FAMILIES}
    applied.write(text(SERVICES[3:]))

    def killed() -> None:
        converge._send = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
        apply.apply(lambda: files.load(files.DIRECTORY))

    with pytest.raises(hosts.KilledError):
        applied.call(killed)
    while "iptables-legacy-restore" in applied.run("ps", "-eo", "args").stdout:
        time.sleep(0.02)
    assert {family: applied.save("legacy", family) for family in addresses.FAMILIES} == before
    assert applied.sluice("apply").stdout.startswith("changed=")
    assert applied.differs() == ()
