"""Applies take turns, and who holds a lock for too long is named."""

from __future__ import annotations

import subprocess
import time

import cases
import hosts
import pytest

from sluice.backends.iptables import kernel as iptables_kernel
from sluice.backends.iptables import layer
from sluice.node import apply, converge, files
from sluice.node.result import Result
from sluice.system import locks
from sluice.system.tools import NodeError

SERVICES = [cases.Service(number) for number in range(30)]


@pytest.mark.parametrize("count", [2, 5])
def test_applies_take_turns(node: hosts.Node, variant: str, count: int) -> None:
    """Each wants something else, all at once: the kernel ends as one of them wants it, whole."""
    wanted = [cases.rendered(SERVICES[number : number + 20], iptables_variant=variant) for number in range(count)]
    for number, contents in enumerate(wanted):
        node.write(contents, f"/etc/sluice-{number}")
    for _ in range(3):
        tasks = [node.command("apply", "--dir", f"/etc/sluice-{number}") for number in range(count)]
        assert [task.answer() for task in tasks] == [0] * count
        same = [
            node.sluice("diff", "--dir", f"/etc/sluice-{number}", check=False).returncode for number in range(count)
        ]
        assert same.count(0) == 1
    # The last one is in force, so nothing is left to do for it.
    held = node.save(variant)
    node.write(wanted[same.index(0)])
    assert node.sluice("apply").stdout == "changed=0\n"
    assert node.save(variant) == held


def apply_within(seconds: int) -> Result:
    """An apply with shorter bounds."""
    locks.SECONDS = iptables_kernel.LOCK_SECONDS = seconds
    return apply.apply(lambda: files.load(files.DIRECTORY))


def an_apply_waits_for(node: hosts.Node, task: hosts.Task) -> None:
    """It goes on once ``task``, which holds a lock, has ended."""
    waiting = node.start(lambda: apply_within(100))
    time.sleep(0.3)
    task.kill()
    assert waiting.answer().changed
    assert node.differs() == ()
    with pytest.raises(hosts.KilledError):
        task.answer()


def test_xtables_lock_is_held(node: hosts.Node) -> None:
    node.write(cases.rendered(SERVICES, iptables_variant="legacy"))
    task = node.hold(iptables_kernel.LOCK_FILE)
    with pytest.raises(NodeError, match=r"xtables lock .* in 1 s, \w+ \(pid \d+\) holds it"):
        node.call(lambda: apply_within(1))
    assert "KUBE-" not in node.save("legacy")
    an_apply_waits_for(node, task)


def test_lock_of_another_apply_is_held(node: hosts.Node, variant: str) -> None:
    node.write(cases.rendered(SERVICES, iptables_variant=variant))
    task = node.hold(locks.APPLY_LOCK)
    started = time.monotonic()
    with pytest.raises(NodeError, match=r"another apply is running: \w+ \(pid \d+\) holds /run/"):
        node.call(lambda: apply_within(1))
    assert time.monotonic() - started >= 1
    assert node.sluice("apply", "--check").stdout.startswith("changed=")  # who only looks waits for nobody
    an_apply_waits_for(node, task)


def test_somebody_is_quicker(node: hosts.Node, variant: str) -> None:
    """Rules that change between the look and the change: the apply looks again."""
    node.apply(cases.rendered(SERVICES, iptables_variant=variant))
    node.write(cases.rendered(SERVICES[1:], iptables_variant=variant))

    def disturbed() -> Result:
        send, disturbances = converge._send, [f"iptables-{variant} -w -t nat -F KUBE-SERVICES"]

        def quicker(*arguments: object) -> object:
            for script in disturbances[:]:
                disturbances.remove(script)
                subprocess.run(script.split(), check=True, env={"PATH": hosts.PATH})
            return send(*arguments)

        converge._send = quicker
        iptables_kernel.Tools.heeds_lock_file = lambda _: False  # else nobody could be quicker
        return apply.apply(lambda: files.load(files.DIRECTORY))

    assert node.call(disturbed).changed
    assert node.differs() == ()


def test_somebody_is_quicker_unseen(node: hosts.Node, variant: str) -> None:
    """The change goes through beside somebody else's: then no record hides theirs from the next apply."""
    node.apply(cases.rendered(SERVICES, iptables_variant=variant))
    node.write(cases.rendered(SERVICES[1:], iptables_variant=variant))

    def disturbed() -> Result:
        send = converge._send

        def quicker(*arguments: object) -> object:
            script = f"iptables-{variant} -w -t filter -F KUBE-FORWARD"
            subprocess.run(script.split(), check=True, env={"PATH": hosts.PATH})
            return send(*arguments)

        converge._send = quicker
        iptables_kernel.Tools.heeds_lock_file = lambda _: False
        return apply.apply(lambda: files.load(files.DIRECTORY))

    node.call(disturbed)
    again = node.call(lambda: apply.apply(lambda: files.load(files.DIRECTORY)))
    assert [change.thing for change in again.changes] == [f"iptables-{variant} -t filter KUBE-FORWARD"]
    assert node.differs() == ()


def test_somebody_has_to_wait(node: hosts.Node) -> None:
    """We have the lock of iptables-legacy from the look to the end: what comes behind that is seen the next time."""
    node.apply(cases.rendered(SERVICES, iptables_variant="legacy"))
    node.write(cases.rendered(SERVICES[1:], iptables_variant="legacy"))

    def disturbed() -> None:
        send, waiting = converge._send, []

        def slower(*arguments: object) -> object:
            script = "iptables-legacy -w -t filter -F KUBE-FORWARD"
            somebody = subprocess.Popen(script.split(), env={"PATH": hosts.PATH})
            waiting.append(somebody)
            time.sleep(0.3)
            assert somebody.poll() is None
            return send(*arguments)

        converge._send = slower
        apply.apply(lambda: files.load(files.DIRECTORY))
        assert [somebody.wait(10) for somebody in waiting] == [0]

    node.call(disturbed)
    again = node.call(lambda: apply.apply(lambda: files.load(files.DIRECTORY)))
    assert [change.thing for change in again.changes] == ["iptables-legacy -t filter KUBE-FORWARD"]
    assert node.differs() == ()


def test_nothing_is_compared_behind_a_change(node: hosts.Node, variant: str) -> None:
    """The record of a small change is as good as that of a run that changed nothing."""
    for services in (SERVICES, SERVICES[1:], SERVICES[2:]):
        node.apply(cases.rendered(services, iptables_variant=variant))

    def compared() -> Result:
        layer._from_kernel = None
        return apply.apply(lambda: files.load(files.DIRECTORY))

    assert not node.call(compared).changed
    assert node.differs() == ()
