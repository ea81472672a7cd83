"""An operator's worst day: whatever lies about, is damaged or in the way, the node has the rules that were meant.

The parts of it that are long stand elsewhere: kills in test_crash.py, flows in test_conntrack.py, rollbacks in
test_confirm.py.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import cases
import hosts
import namespaces
import pytest

from sluice.node import files, pending, state
from sluice.system import locks

OLD = [cases.Service(number) for number in range(4)]
NEW = [cases.Service(number) for number in range(1, 6)]
HOUR = 3600
DAMAGES = int(os.environ.get("SLUICE_DAMAGES", "12"))
"""Of each file, at random places; the seed is printed."""


def contents(services: list[cases.Service]) -> dict[str, str]:
    return cases.rendered(services, iptables_variant="nft")


@pytest.fixture
def applied(node: hosts.Node) -> hosts.Node:
    """Two generations, the second one in force."""
    node.apply(contents(OLD))
    node.apply(contents(NEW))
    return node


def reboot(node: hosts.Node) -> None:
    """What a boot does to a kernel; then the unit restores the rules."""
    node.run("nft", "flush", "ruleset")


def is_new(node: hosts.Node) -> bool:
    """Whether the kernel holds what was applied last, by a full look at it."""
    node.write(contents(NEW))
    return node.differs() == ()


# --- whose code runs as root, and for whom it waits


def test_nobody_else_s_program_is_executed(node: hosts.Node) -> None:
    node.write(contents(NEW))
    said = node.shell(
        """
        mkdir /run/elsewhere && cd /run/elsewhere
        for name in iptables-nft-save iptables-nft-restore iptables ip ipset conntrack modprobe sh python3; do
            printf '#!/bin/sh\\necho executed >>/run/executed\\n' >$name
            chmod 755 $name
        done
        echo 'open("/run/executed", "a")' | tee json.py sitecustomize.py usercustomize.py >/dev/null
        export PATH=/run/elsewhere:$PATH PYTHONPATH=/run/elsewhere PYTHONSTARTUP=/run/elsewhere/json.py
        export XTABLES_LIBDIR=/run/elsewhere LD_LIBRARY_PATH=/run/elsewhere HOME=/run/elsewhere
        /usr/local/sbin/sluice apply
        ls /run
        """
    )
    assert "changed=" in said
    assert "executed" not in said.split()
    assert is_new(node)


def test_others_cannot_stop_it(applied: hosts.Node) -> None:
    """Neither by its lock nor by that of iptables, and with the most careless umask nothing is theirs to write."""
    applied.shell("rm -rf /var/lib/sluice /etc/sluice /run/sluice.lock /run/xtables.lock /run/sluice")
    applied.write(cases.rendered(OLD, iptables_variant="legacy"))
    applied.shell("umask 0; sluice apply; sluice apply")
    ours = "/var/lib/sluice /run/sluice* /run/xtables.lock /usr/local/lib/sluice /usr/local/sbin/sluice"
    assert applied.shell(f"find {ours} -perm /022 ! -type l") == ""
    for lock in (locks.APPLY_LOCK, "/run/xtables.lock"):
        refused = applied.run("setpriv", "--reuid=65534", "--clear-groups", "flock", "-n", lock, "true", check=False)
        assert refused.returncode, lock


def test_what_others_could_write_is_taken_from_them(applied: hosts.Node) -> None:
    """An older version left it so, run by somebody with a careless umask."""
    applied.shell("chmod 777 /etc/sluice; find /var/lib/sluice -exec chmod a+w {} +")
    applied.sluice("apply")
    assert applied.shell("find /etc/sluice /var/lib/sluice -perm /022") == ""


@pytest.mark.parametrize("place", ["/etc/sluice/iptables.rules", "/var/lib/sluice/record.json"])
def test_nobody_is_waited_for(applied: hosts.Node, place: str) -> None:
    """A FIFO has no end before somebody writes to it."""
    applied.shell(f"rm {place}; mkfifo {place}")
    reboot(applied)
    done = applied.installed("apply", "--boot")
    assert place in done.stderr
    applied.shell(f"rm {place}*")
    assert is_new(applied)


# --- rollbacks: the rest is in test_confirm.py


def read_only(node: hosts.Node, path: str) -> None:
    """Nothing below ``path`` can be written before that mount is gone."""

    def mount() -> None:
        namespaces.mount(path, path, flags=namespaces.MS_BIND)
        namespaces.mount("none", path, flags=namespaces.MS_BIND | namespaces.MS_REMOUNT | namespaces.MS_RDONLY)

    node.call(mount)
    assert node.run("touch", f"{path}/file", check=False).returncode


@pytest.mark.parametrize("place", [state.ROOT, files.DIRECTORY])
def test_a_rollback_is_tried_until_it_is_done(applied: hosts.Node, place: str) -> None:
    applied.apply(contents(OLD), confirm=1)
    read_only(applied, place)
    hosts.wait_for(lambda: applied.save("nft").count("shop/s5"), "the rules do not come back")
    late = applied.sluice("confirm", check=False)
    assert late.returncode == 2
    assert "too late" in late.stderr
    assert applied.call(state.note) is None or place == files.DIRECTORY
    applied.run("umount", place)
    hosts.wait_for(lambda: not applied.call(pending.exists), "it is not tried again")
    assert applied.call(state.note)
    assert is_new(applied)
    assert "was taken back" in applied.sluice("confirm", check=False).stderr


def test_a_rollback_goes_before_whoever_waits_with_it(applied: hosts.Node) -> None:
    """Those that wait for the same lock take the change back themselves, whoever gets it first."""
    applied.apply(contents(OLD), confirm=1)
    holder = applied.hold(locks.APPLY_LOCK)
    waiting = [applied.command("apply") for _ in range(4)]
    time.sleep(1.5)
    holder.kill()
    assert [task.answer() for task in waiting] == [0] * 4
    hosts.wait_for(lambda: not applied.call(pending.exists), "nobody took the change back")
    assert applied.call(state.note)
    assert is_new(applied)


def test_a_rollback_waits_for_the_xtables_lock(node: hosts.Node) -> None:
    """Each attempt gives up after ten seconds; the next one comes."""
    for services in (OLD, NEW, OLD):
        confirm = 2 if services is OLD and node.call(state.active) else 0
        node.apply(cases.rendered(services, iptables_variant="legacy"), confirm=confirm)
    holder = node.hold("/run/xtables.lock")
    hosts.wait_for(lambda: "sleep 1\n" in node.run("ps", "-eo", "args").stdout, "no attempt has failed")
    assert node.call(pending.exists)
    assert node.call(state.note) is None
    assert "too late" in node.sluice("confirm", check=False).stderr
    holder.kill()
    hosts.wait_for(lambda: not node.call(pending.exists), "it is not tried again")
    node.write(cases.rendered(NEW, iptables_variant="legacy"))
    assert node.differs() == ()


def test_its_timer_is_dead(applied: hosts.Node) -> None:
    applied.apply(contents(OLD), confirm=2)
    hosts.wait_for(lambda: applied.run("pkill", "--full", "sluice-rollback", check=False).returncode == 0, "no timer")
    time.sleep(2)
    said = applied.sluice("apply").stderr
    assert "it was taken back first" in said
    assert is_new(applied)


# --- state that is damaged, or cannot be written


def test_every_state_file_damaged(applied: hosts.Node, capsys: pytest.CaptureFixture[str]) -> None:
    """The boot gives the rules, and what does not say what it said is named in one line and set aside."""
    source = random.Random(seed := random.randrange(1 << 32))
    with capsys.disabled():
        print(f"\n{Path(__file__).name}: seed {seed}", end=" ")
    applied.call(lambda: state.set_note("because"))
    applied.shell("cp -a /var/lib/sluice /run/whole")
    names = applied.shell("cd /var/lib/sluice && find . -type f").split()
    assert {"./record.json", "./active", "./rolled-back.json", "./generations/2/iptables.rules"} <= set(names)
    for name in names:
        path = f"{state.ROOT}/{name[2:]}"
        for _ in range(DAMAGES):
            place, byte = source.random(), bytes([source.randrange(256)])
            applied.shell("rm -rf /var/lib/sluice && cp -a /run/whole /var/lib/sluice")
            before = applied.call(lambda path=path, place=place, byte=byte: damage(Path(path), place, byte))
            reboot(applied)
            done = applied.sluice("apply", "--boot", check=False)
            where = (seed, name, place, byte)
            assert (done.returncode, "Traceback" in done.stderr) == (0, False), (where, done.stderr)
            assert is_new(applied), where
            lines = done.stderr.splitlines()
            # A former generation is looked at when it is to be put back.
            if before and not name.startswith("./generations/1/") and name != "./unfinished":
                thing = path.rpartition("/")[0] if "/generations/" in path else path
                assert lines == [f"warning: {thing} was damaged: it is set aside as {thing}.damaged"], where


def test_a_change_that_waits_damaged(applied: hosts.Node, capsys: pytest.CaptureFixture[str]) -> None:
    """The boot takes it back where that can still be done; else it stays, in one line that says so."""
    source = random.Random(seed := random.randrange(1 << 32))
    with capsys.disabled():
        print(f"\n{Path(__file__).name}: seed {seed}", end=" ")
    applied.apply(contents(OLD), confirm=HOUR)
    applied.shell("cp -a /var/lib/sluice /run/whole")
    ends = set()
    for name in applied.shell("ls /var/lib/sluice/pending").split():
        for _ in range(DAMAGES):
            place, byte = source.random(), bytes([source.randrange(256)])
            path = Path(state.ROOT, "pending", name)
            applied.shell("rm -rf /var/lib/sluice && cp -a /run/whole /var/lib/sluice")
            applied.write(contents(OLD))
            changed = applied.call(lambda path=path, place=place, byte=byte: damage(path, place, byte))
            reboot(applied)
            done = applied.sluice("apply", "--boot", check=False)
            where = (seed, name, place, byte)
            assert (done.returncode, "Traceback" in done.stderr) == (0, False), (where, done.stderr)
            stays = "the change that waited there for its confirmation stays" in done.stderr
            assert done.stderr.count("\n") == changed, (where, done.stderr)
            applied.write(contents(OLD if stays else NEW))
            assert applied.differs() == (), where
            assert not applied.call(pending.exists)
            ends.add(stays)
    assert ends == {True, False}


def damage(path: Path, place: float, byte: bytes) -> bool:
    """Put another byte in a place; whether the file says something else now."""
    data = path.read_bytes()
    at = int(place * len(data))
    path.write_bytes(data[:at] + byte + data[at + 1 :])
    return meaning(path.read_bytes()) != meaning(data)


def meaning(data: bytes) -> Any:
    """What a file says: a line's end in place of a blank is the same to JSON."""
    try:
        return json.loads(data)
    except ValueError:
        return data.strip()


@pytest.mark.parametrize("kind", ["missing", "empty", "garbage", "folder"])
def test_all_of_the_state_is_lost(applied: hosts.Node, kind: str) -> None:
    lose = {
        "missing": "rm -r /var/lib/sluice",
        "empty": "find /var/lib/sluice -type f -exec truncate -s 0 {} +",
        "garbage": "find /var/lib/sluice -type f -exec dd if=/dev/urandom of={} bs=300 count=1 status=none \\;",
        "folder": "for name in record.json active; do rm -rf /var/lib/sluice/$name; mkdir /var/lib/sluice/$name; done",
    }
    for boot in (True, False):
        applied.shell(lose[kind])
        if boot:
            reboot(applied)
        applied.sluice("apply", *(["--boot"] if boot else []))
        assert is_new(applied)
        applied.sluice("apply")
    applied.apply(contents(OLD))
    applied.sluice("rollback")
    assert is_new(applied)


def test_the_state_is_read_only(applied: hosts.Node) -> None:
    read_only(applied, state.ROOT)
    reboot(applied)
    said = applied.sluice("apply", "--boot").stderr
    assert said == (
        f"warning: {state.ROOT} cannot be written (Read-only file system): the next apply has to read all rules\n"
    )
    assert is_new(applied)
    assert applied.sluice("apply").stdout == "changed=0\n"
    applied.apply(contents(OLD))
    applied.apply(contents(NEW))
    assert is_new(applied)
    refused = applied.sluice("apply", "--confirm", "60", check=False)
    assert (refused.returncode, refused.stdout) == (0, "changed=0\n"), "there is nothing to confirm"
    applied.write(contents(OLD))
    refused = applied.sluice("apply", "--confirm", "60", check=False)
    assert refused.returncode == 2
    assert "nothing was changed" in refused.stderr
    assert is_new(applied)
    applied.run("umount", state.ROOT)
    assert applied.sluice("apply").stderr == ""


# --- files that are not whole

DAMAGED_FILES = {
    "empty": "truncate -s 0 /etc/sluice/iptables.rules",
    "cut": "sed -i 30q /etc/sluice/iptables.rules",
    "a table less": "sed -i '/^COMMIT/q' /etc/sluice/iptables.rules",
    "edited": "sed -i 's/--probability 0.5/--probability 0.6/' /etc/sluice/iptables.rules",
    "no settings": "echo '{}' >/etc/sluice/settings.json",
    "empty settings": "truncate -s 0 /etc/sluice/settings.json",
    "edited settings": 'sed -i \'s/"nft"/"legacy"/\' /etc/sluice/settings.json',
    "missing": "rm /etc/sluice/iptables.rules",
    "binary": "head -c 5000 /dev/urandom >/etc/sluice/iptables.rules",
}


@pytest.mark.parametrize("what", DAMAGED_FILES)
def test_files_that_are_not_whole(applied: hosts.Node, what: str) -> None:
    """They change nothing, in one line that says which; a boot takes what was applied last."""
    held = applied.save("nft")
    applied.shell(DAMAGED_FILES[what])
    for words in (["apply"], ["apply", "--check"], ["apply", "--confirm", "60"], ["diff"]):
        done = applied.sluice(*words, check=False)
        assert done.returncode == 2, words
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        assert "/etc/sluice" in done.stderr
    assert applied.save("nft") == held
    reboot(applied)
    assert "generation 2 is applied instead" in applied.sluice("apply", "--boot").stderr
    assert is_new(applied)


def test_files_that_were_edited_on_purpose(applied: hosts.Node) -> None:
    applied.shell(DAMAGED_FILES["edited"])
    assert "--force" in applied.sluice("apply", check=False).stderr
    assert "0.6" in applied.sluice("diff", "--force", check=False).stdout
    applied.sluice("apply", "--force")
    assert "--probability 0.6" in applied.save("nft")
    reboot(applied)
    said = applied.sluice("apply", "--boot").stderr
    assert "generation 3 is applied instead" in said, "what was forced was applied, and is kept"
    assert "--probability 0.6" in applied.save("nft")
