"""A change that nobody confirms is taken back by the node itself."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import time
from types import ModuleType

import cases
import hosts
import namespaces
import pytest

from sluice.backends.iptables import kernel as iptables_kernel
from sluice.backends.iptables import text as ruleset
from sluice.node import apply, confirmation, converge, files, flows, pending, rollback, state
from sluice.system import locks
from sluice.system.tools import NodeError

OLD = [cases.Service(number) for number in range(4)]
NEW = [cases.Service(number) for number in range(1, 6)]
LATER = [cases.Service(number) for number in range(2, 8)]
HOUR = 3600
"""Until a change is taken back: the tests do not wait for it, they let it be over (``expire``)."""

ROLLBACKS = ("pgrep", "--full", "^[^ ]*python.* rollback --unconfirmed")
"""What timers become when their time is over."""


@pytest.fixture
def applied(node: hosts.Node, plane: str) -> hosts.Node:
    node.apply(contents(OLD, plane))
    return node


def contents(services: list[cases.Service], plane: str) -> dict[str, str]:
    return cases.rendered(services, **cases.settings_of(plane))


def written(node: hosts.Node) -> dict[str, str]:
    return node.call(lambda: dict(files.load(files.DIRECTORY).contents))


def timers(node: hosts.Node) -> list[str]:
    """The processes that sleep until their time is over; not those that were killed and wait to be reaped."""
    return node.run("pgrep", "--runstates", "DRS", "--exact", "sleep", check=False).stdout.split()


def expire(node: hosts.Node) -> None:
    """The time of the one timer that there is is over: what slept goes on."""
    hosts.wait_for(lambda: len(timers(node)) == 1, "not one timer is armed")
    node.run("kill", *timers(node))


def succeeds(*words: str) -> bool:
    return subprocess.run(words, stdout=subprocess.DEVNULL, check=False).returncode == 0


def wait_until_taken_back(node: hosts.Node) -> None:
    hosts.wait_for(lambda: not node.call(pending.waiting), "nobody took the change back")


def rules(node: hosts.Node, plane: str) -> ruleset.RuleSet | list[str]:
    """In no order of chains: those that came back stand elsewhere. Without the note of what our table is made of."""
    text = node.save(plane)
    lines = sorted(line for line in text.splitlines() if not re.search("[0-9a-f]{32}", line))
    return lines if plane == "nftables" else ruleset.parse(text)


def is_there(node: hosts.Node, plane: str) -> bool:
    """Whether anything of ours is."""
    return any(name in node.save(plane) for name in ("KUBE-", "SLUICE-", "table ip sluice"))


def test_unconfirmed_is_taken_back(applied: hosts.Node, plane: str) -> None:
    before, new = rules(applied, plane), contents(NEW, plane)
    result = applied.apply(new, confirm=HOUR)
    assert result.pending
    assert rules(applied, plane) != before
    assert written(applied) == new
    expire(applied)
    wait_until_taken_back(applied)
    assert rules(applied, plane) == before
    assert written(applied) == contents(OLD, plane)
    assert applied.differs() == ()
    late = applied.sluice("confirm", check=False)
    assert late.returncode == 2
    assert "was taken back at" in late.stderr
    note = applied.call(state.note)
    assert note and note["reason"]
    applied.apply(new, confirm=HOUR)
    assert applied.sluice("confirm").stdout == "confirmed\n"
    assert applied.call(state.note) is None


def test_first_apply_is_taken_back(node: hosts.Node, plane: str) -> None:
    """There was nothing before: nothing is left. Here the time is over by itself."""
    node.apply(contents(NEW, plane), confirm=1)
    wait_until_taken_back(node)
    assert not is_there(node, plane)
    assert node.shell("ls /etc/sluice") == ""
    assert node.call(state.active) == 0


def test_first_apply_waits_when_the_node_goes_down(node: hosts.Node, plane: str) -> None:
    node.apply(contents(NEW, plane), confirm=HOUR)
    assert node.sluice("apply", "--boot").returncode == 0
    assert not is_there(node, plane)
    assert node.shell("ls /etc/sluice") == ""


def test_confirmed_stays(applied: hosts.Node, plane: str) -> None:
    applied.apply(contents(NEW, plane), confirm=HOUR)
    held = applied.save(plane)
    hosts.wait_for(lambda: timers(applied), "no timer is armed")
    assert applied.sluice("confirm").stdout == "confirmed\n"
    hosts.wait_for(lambda: not timers(applied), "the timer still runs")
    assert applied.save(plane) == held
    assert applied.call(state.note) is None
    assert applied.sluice("confirm").stdout == "nothing waits for a confirmation\n"


def test_run_again_while_one_waits(applied: hosts.Node, plane: str) -> None:
    """Nothing changes, but what waits still has to be confirmed, or the node takes it back behind that run."""
    applied.apply(contents(NEW, plane), confirm=HOUR)
    again = applied.apply(contents(NEW, plane), confirm=HOUR)
    assert (again.changed, again.pending) == (False, True)
    assert not applied.apply(contents(NEW, plane), check=True, confirm=HOUR).pending


def test_nothing_changed_arms_nothing(applied: hosts.Node, plane: str) -> None:
    assert not applied.apply(contents(OLD, plane), confirm=HOUR).pending
    assert applied.call(pending.waiting) is None
    hosts.wait_for(lambda: not timers(applied), "a timer still sleeps")


def test_second_apply_while_one_waits(applied: hosts.Node, plane: str) -> None:
    """Neither was confirmed: what was before both comes back, and only by the second timer."""
    before = rules(applied, plane)
    applied.apply(contents(NEW, plane), confirm=HOUR)
    hosts.wait_for(lambda: timers(applied), "no timer is armed")
    first = timers(applied)
    applied.apply(contents(LATER, plane), confirm=HOUR)
    assert timers(applied) != first, "the first timer still runs"
    assert written(applied) == contents(LATER, plane)
    expire(applied)
    wait_until_taken_back(applied)
    assert rules(applied, plane) == before
    assert written(applied) == contents(OLD, plane)


def test_timer_waits_while_a_second_change_is_armed(applied: hosts.Node, plane: str) -> None:
    """The first change's rollback waits for the node's lock meanwhile: the second change is not its to take back."""
    applied.apply(contents(NEW, plane), confirm=HOUR)
    applied.write(contents(LATER, plane))

    def second() -> None:
        # As with systemd, where what a timer has started outlives the timer.
        pending.timer.disarm = lambda _: None
        with locks.one_apply():
            hosts.wait_for(lambda: succeeds("pkill", "--exact", "sleep"), "no timer is armed")
            hosts.wait_for(lambda: succeeds(*ROLLBACKS), "no rollback is started")
            converge.converge(files.load(files.DIRECTORY), HOUR)

    applied.call(second)
    held = applied.save(plane)
    hosts.wait_for(lambda: applied.run(*ROLLBACKS, check=False).returncode, "the first timer's rollback does not end")
    assert applied.call(pending.waiting), "the first timer took the second change back"
    assert applied.save(plane) == held
    assert written(applied) == contents(LATER, plane)
    assert applied.call(confirmation.confirm)


def test_second_apply_confirmed(applied: hosts.Node, plane: str) -> None:
    applied.apply(contents(NEW, plane), confirm=HOUR)
    applied.apply(contents(LATER, plane), confirm=HOUR)
    held = applied.save(plane)
    assert applied.call(confirmation.confirm)
    hosts.wait_for(lambda: not timers(applied), "a timer still runs")
    assert applied.save(plane) == held
    assert written(applied) == contents(LATER, plane)


@pytest.mark.parametrize(("module", "where"), [(converge, "_send"), (flows, "forget"), (converge, "_keep")])
def test_killed_after_arming(applied: hosts.Node, plane: str, module: ModuleType, where: str) -> None:
    """kill -9 of the apply: the timer is the node's, not the apply's."""
    before = rules(applied, plane)
    services = [*NEW, cases.Service(9, protocol="UDP")]
    applied.write(contents(services, plane))

    def killed() -> None:
        setattr(module, where, lambda *_, **__: os.kill(os.getpid(), hosts.signal.SIGKILL))
        apply.apply(lambda: files.load(files.DIRECTORY), confirm=HOUR)

    task = applied.start(killed)
    with pytest.raises(hosts.KilledError):
        task.answer()
    task.kill(group=True)
    assert applied.call(pending.waiting)
    expire(applied)
    wait_until_taken_back(applied)
    assert rules(applied, plane) == before
    assert written(applied) == contents(OLD, plane)
    assert applied.differs() == ()


def test_back_twice(applied: hosts.Node, plane: str) -> None:
    before = rules(applied, plane)
    applied.apply(contents(NEW, plane))
    between = rules(applied, plane)
    applied.apply(contents(LATER, plane))
    headline, predicted = applied.sluice("rollback", "--check").stdout.splitlines()
    assert re.fullmatch(r"back to generation 2 of .* UTC \(by command\)", headline)
    assert predicted.startswith("changed=")
    said = applied.sluice("rollback").stdout.splitlines()
    assert (said[0], said[1].split()[:4]) == (headline, predicted.split()[:4])
    assert rules(applied, plane) == between
    assert written(applied) == contents(NEW, plane)
    applied.sluice("rollback")
    assert rules(applied, plane) == before
    assert written(applied) == contents(OLD, plane)
    last = applied.sluice("rollback", check=False)
    assert (last.returncode, last.stdout) == (2, "")
    assert "no earlier generation" in last.stderr
    assert rules(applied, plane) == before
    assert applied.sluice("apply").stdout == "changed=0\n"


def test_rollback_that_fails_can_be_repeated(node: hosts.Node, variant: str) -> None:
    """It goes to the same generation again, not to one before that."""
    for services in (OLD, NEW, LATER):
        node.apply(contents(services, variant))

    def refused() -> None:
        def restore(*_: object, **__: object) -> None:
            raise NodeError("no")

        iptables_kernel.Tools.restore = iptables_kernel.Tools.restoring = restore
        rollback.roll_back()

    with pytest.raises(NodeError):
        node.call(refused)
    node.sluice("rollback")
    assert node.differs() == ()
    assert node.differs() == ()
    assert written(node) == contents(NEW, variant)


def test_back_across_planes(applied: hosts.Node, plane: str) -> None:
    other = cases.PLANES[cases.PLANES.index(plane) - 1]
    before = rules(applied, plane)
    applied.apply(contents(NEW, other), confirm=HOUR)
    assert not is_there(applied, plane)
    expire(applied)
    wait_until_taken_back(applied)
    assert rules(applied, plane) == before
    assert not is_there(applied, other)


def test_only_some_generations_are_kept(applied: hosts.Node, plane: str) -> None:
    for number in range(state.KEPT + 2):
        applied.apply(contents([cases.Service(number)], plane))
    assert len(applied.shell("ls /var/lib/sluice/generations").split()) == state.KEPT
    for number in reversed(range(2, state.KEPT + 1)):
        applied.sluice("rollback")
        assert re.search(rf"shop/s{number}\b", applied.save(plane)), number


def fill(node: hosts.Node, size: str = "64k") -> None:
    """Give the state a small disk of its own that is full; what was there stays."""

    def mount() -> None:
        os.makedirs(state.ROOT, exist_ok=True)
        namespaces.mount("tmpfs", "/mnt", "tmpfs", options=f"size={size}")
        os.system(f"cp -a {state.ROOT}/. /mnt && mount --move /mnt {state.ROOT}")
        full(None)

    node.call(mount)


def full(_: object) -> None:
    with open(f"{state.ROOT}/filling", "ab", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(1024))
        except OSError:
            pass


@pytest.mark.parametrize("confirm", [0, 60])
def test_disk_is_full(applied: hosts.Node, plane: str, confirm: int) -> None:
    """Either nothing is changed, or all of it with a warning that names the place."""
    before, held = rules(applied, plane), applied.save(plane)
    fill(applied)
    applied.write(contents(NEW, plane))
    done = applied.sluice("apply", *(["--confirm", str(confirm)] if confirm else []), check=False)
    assert "Traceback" not in done.stderr
    assert "None" not in done.stderr
    assert state.ROOT in done.stderr
    if done.returncode:
        assert confirm
        assert applied.save(plane) == held
        assert "rollback" not in applied.run("ps", "-ef").stdout, "a timer was left armed"
    else:
        assert applied.differs() == ()
    applied.shell(f"rm {state.ROOT}/filling")
    applied.sluice("apply")
    assert applied.differs() == ()
    applied.sluice("rollback")
    assert rules(applied, plane) == before


def test_disk_is_full_while_one_waits(applied: hosts.Node, plane: str) -> None:
    """An unconfirmed change is taken back all the same: the rules are what matters."""
    before = rules(applied, plane)
    applied.apply(contents(NEW, plane), confirm=HOUR)
    fill(applied)
    expire(applied)
    hosts.wait_for(lambda: rules(applied, plane) == before, "the change stays")
    assert written(applied) == contents(OLD, plane)


def test_second_apply_cannot_be_armed(applied: hosts.Node, plane: str) -> None:
    """It is refused, and the first change still waits for its confirmation."""
    before = rules(applied, plane)
    applied.apply(contents(NEW, plane), confirm=HOUR)
    between = rules(applied, plane)
    applied.write(contents(LATER, plane))

    def refused() -> None:
        def no_space(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        state.write_beside = no_space
        apply.apply(lambda: files.load(files.DIRECTORY), confirm=HOUR)

    with pytest.raises(NodeError):
        applied.call(refused)
    assert rules(applied, plane) == between
    expire(applied)
    hosts.wait_for(lambda: rules(applied, plane) == before, "the first change was never taken back")


def test_pending_is_readable(applied: hosts.Node, plane: str) -> None:
    """What waits is on the disk, for a node that goes down meanwhile; ``apply --boot`` takes it back."""
    before = rules(applied, plane)
    applied.apply(contents(NEW, plane), confirm=HOUR)
    assert json.loads(applied.shell("cat /var/lib/sluice/pending/generation.json"))["deadline"] > time.time()
    held = applied.save(plane)
    predicted = applied.sluice("rollback", "--unconfirmed", "--check").stdout
    assert predicted.startswith("changed=")
    assert applied.save(plane) == held
    applied.sluice("apply", "--boot")
    assert rules(applied, plane) == before
    assert applied.call(pending.waiting) is None
