"""``kill -9`` at random moments of an apply, under traffic: healthy Services answer, the next run converges."""

from __future__ import annotations

import itertools
import random
import time

import cases
import hosts
import kills
import load
import pytest

from sluice.backends.iptables import kernel as iptables_kernel

KILLS = 102
"""For each plane."""

CHANGES = 24
"""Of the plane."""

TARGETS = [(service.address, service.target_port) for service in kills.HEALTHY]
RATE = 100


@pytest.mark.parametrize("whole_group", [False, True], ids=["process", "group"])
def test_killed_at_random_moments(network: load.Network, plane: str, whole_group: bool) -> None:
    """``process``: only the apply is killed, what it started goes on. ``group``: that as well, as systemd does it."""
    source = random.Random(f"{plane} {whole_group}")
    node = network.node
    network.serve(kills.HEALTHY)
    wanted = []
    for number in range(4):
        dispatch = source.choice(["linear", "prefix"])
        catalogue = kills.services(source, 200)
        wanted.append(cases.rendered(catalogue, iptables_dispatch=dispatch, **cases.settings_of(plane)))
        node.write(wanted[-1], f"/etc/sluice-{number}")
    kills.timed_apply(node, "/etc/sluice-0")
    duration = kills.timed_apply(node, "/etc/sluice-1")
    client = network.client.start(lambda: load.request(TARGETS, RATE, held=12))
    hits = turns = 0
    now = 1
    while hits < KILLS // 2 and turns < 2 * KILLS:
        turns += 1
        now = source.choice([number for number in range(len(wanted)) if number != now])
        killed = kills.kill(node, f"/etc/sluice-{now}", source.uniform(0, duration), group=whole_group)
        duration = killed.seconds if killed.hit else killed.moment
        hits += killed.hit
        # Every few turns: what is there, all of it.
        if killed.hit and hits % 6 == 0:
            assert kills.not_wanted(node, wanted[now]) == [], f"kill {hits}"
    outcome = client.stop()
    print(f"{plane}: {hits} of {turns} kills hit; the last apply took {duration:.2f} s; {outcome}")
    assert hits >= KILLS // 2
    assert outcome.faults == {}
    assert outcome.fine > 100


def test_killed_while_the_plane_changes(network: load.Network) -> None:
    """What the plane that is left held goes, wherever the apply was killed: the mark that it is ours goes last."""
    source = random.Random("planes")
    node = network.node
    network.serve(kills.HEALTHY)
    catalogue = kills.services(source, 400)  # some batches of iptables-nft
    wanted = {plane: cases.rendered(catalogue, **cases.settings_of(plane)) for plane in cases.PLANES}
    for plane, contents in wanted.items():
        node.write(contents, f"/etc/sluice-{plane}")
        kills.timed_apply(node, f"/etc/sluice-{plane}")
    durations = {plane: kills.timed_apply(node, f"/etc/sluice-{plane}") for plane in wanted}
    client = network.client.start(lambda: load.request(TARGETS, RATE, held=12))
    hits = 0
    for _change, plane in zip(range(CHANGES), itertools.cycle(wanted)):
        moment = durations[plane] * source.uniform(0.2, 1)
        killed = kills.kill(node, f"/etc/sluice-{plane}", moment, group=source.random() < 0.5)
        assert kills.not_wanted(node, wanted[plane]) == []
        durations[plane] = max(moment, killed.seconds)
        hits += killed.hit
    outcome = client.stop()
    print(f"{hits} of {CHANGES} kills hit; {outcome}")
    assert hits
    assert outcome.faults == {}
    assert outcome.fine > 100


def test_what_a_killed_apply_started_is_waited_for(node: hosts.Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its iptables-restore lives on, here because it waits for the xtables lock: it must not undo the next apply."""
    monkeypatch.setattr(iptables_kernel.Tools, "heeds_lock_file", lambda _: False)  # else the apply itself waits
    names = ["/etc/sluice-old", "/etc/sluice-new"]
    for number, name in enumerate(names):
        services = [cases.Service(each) for each in range(number, 20 + number)]
        node.write(cases.rendered(services, iptables_variant="legacy"), name)
    node.write(cases.rendered([cases.Service(each) for each in range(1, 21)], iptables_variant="legacy"))
    for _ in range(4):
        assert node.command("apply").answer() == 0
        assert node.differs() == ()
        holder = node.hold(iptables_kernel.LOCK_FILE)
        killed = node.command("apply", "--dir", names[0])
        hosts.wait_for(lambda: restores(node), "the apply comes to no iptables-restore")
        killed.kill()
        following = node.command("apply", "--dir", names[1])
        time.sleep(0.3)
        holder.kill()
        assert following.answer() == 0
        hosts.wait_for(lambda: not restores(node), "iptables-restore does not end")
        assert node.differs() == ()


def restores(node: hosts.Node) -> bool:
    """Whether an iptables-restore runs."""
    return "iptables-legacy-restore" in node.run("ps", "-eo", "args").stdout
