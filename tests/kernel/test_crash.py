"""``kill -9`` at random moments of an apply, under traffic: healthy Services answer, the next run converges."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Mapping

import cases
import hosts
import load
import pytest

from sluice.backends.iptables import kernel as iptables_kernel

KILLS = 102
"""For each variant."""

HEALTHY = [cases.Service(number, cases.PODS[:3]) for number in range(6)]
RATE = 100


def catalogues(source: random.Random) -> list[dict[str, cases.Service]]:
    """Some 200 Services in many states; the healthy ones change too, but have endpoints in each."""
    found = []
    for _ in range(4):
        services = cases.random_services(source, source.sample(range(10, 330), 190))
        for service in HEALTHY:
            endpoints = tuple(source.sample(cases.PODS, source.choice([1, 2, 4])))
            services[service.number] = service._replace(endpoints=endpoints)
        found.append(dict(sorted(services.items())))
    return found


@pytest.mark.parametrize("whole_group", [False, True], ids=["process", "group"])
def test_killed_at_random_moments(network: load.Network, variant: str, whole_group: bool, capsys: object) -> None:
    """``process``: only the apply is killed, what it started goes on. ``group``: that as well, as systemd does it."""
    source = random.Random(f"{variant} {whole_group}")
    node = network.node
    network.serve(HEALTHY)
    wanted = []
    for number, services in enumerate(catalogues(source)):
        dispatch = source.choice(["linear", "prefix"])
        contents = cases.rendered(services.values(), iptables_variant=variant, iptables_dispatch=dispatch)
        wanted.append(contents)
        node.write(contents, f"/etc/sluice-{number}")
    node.write(wanted[0])
    node.sluice("apply")
    duration = timed_apply(node, "/etc/sluice-1")
    client = network.client.start(
        lambda: load.request([(service.address, service.target_port) for service in HEALTHY], RATE, held=12)
    )
    hits = half = turns = 0
    now = 1
    lost = []
    while hits < KILLS // 2 and turns < 2 * KILLS:
        turns += 1
        now = source.choice([number for number in range(len(wanted)) if number != now])
        task = node.command("apply", "--dir", f"/etc/sluice-{now}")
        moment = source.uniform(0, duration)
        time.sleep(moment)
        task.kill(group=whole_group)
        with contextlib.suppress(hosts.KilledError):
            task.answer()
            duration = moment  # it was quicker
            continue
        hits += 1
        # The very next run, at once: what the killed one had started may not be through.
        duration = timed_apply(node, f"/etc/sluice-{now}")
        # Every few turns, a full look by itself, once nothing of the killed apply runs any more.
        if hits % 6 == 0:
            node.write(wanted[now])
            difference = node.differs()
            if difference:
                lost.append((hits, difference[:3]))
            half += 1
    outcome = client.stop()
    print(f"{variant}: {hits} of {turns} kills hit; the last apply took {duration:.2f} s; {outcome}")
    assert hits >= KILLS // 2
    assert outcome.faults == {}
    assert outcome.fine > 100
    assert not lost
    assert half


SETTINGS = [
    {"iptables_variant": variant, "iptables_dispatch": dispatch, "compat": compat}
    for variant in iptables_kernel.VARIANTS
    for dispatch in ("linear", "prefix")
    for compat in ("1.36", "1.20")
]


def test_killed_while_everything_changes(network: load.Network, capsys: pytest.CaptureFixture[str]) -> None:
    """Variant, dispatch, dialect and catalogue, all at once: no connection fails, and nothing is left that nobody owns.

    As many kills and Services as the environment says: SLUICE_KILLS=1000 SLUICE_SERVICES=3000 is a night's work.
    """
    seed = int(os.environ.get("SLUICE_SEED") or random.randrange(1 << 32))
    kills, count = int(os.environ.get("SLUICE_KILLS", "10")), int(os.environ.get("SLUICE_SERVICES", "300"))
    source, node = random.Random(seed), network.node
    network.serve(HEALTHY)
    wanted = []
    for number, settings in enumerate(SETTINGS):
        services = cases.random_services(source, source.sample(range(10, count + 50), count))
        services.update((service.number, service) for service in HEALTHY)
        wanted.append(cases.rendered(dict(sorted(services.items())).values(), **settings))
        node.write(wanted[-1], f"/etc/sluice-{number}")
    node.write(wanted[0])
    node.sluice("apply")
    client = network.client.start(
        lambda: load.request([(service.address, service.target_port) for service in HEALTHY], 250, held=12)
    )
    durations: dict[tuple[int, int], float] = {}
    hits = turns = now = 0
    lost: list[object] = []
    while hits < kills and turns < 4 * kills:
        turns += 1
        last, now = now, source.choice([number for number in range(len(wanted)) if number != now])
        task = node.command("apply", "--dir", f"/etc/sluice-{now}")
        moment = source.uniform(0, durations.get((last, now), 0.3 + count / 2000))
        whole_group = source.random() < 0.5
        time.sleep(moment)
        task.kill(group=whole_group)
        with contextlib.suppress(hosts.KilledError):
            task.answer()
            durations[last, now] = moment  # it was quicker
            continue
        hits += 1
        durations[last, now] = max(moment, timed_apply(node, f"/etc/sluice-{now}"))
        left = names_left(node, wanted[now], str(SETTINGS[now]["iptables_variant"]))
        if left or node.sluice("diff", "--dir", f"/etc/sluice-{now}", check=False).returncode:
            lost.append((hits, SETTINGS[last], SETTINGS[now], whole_group, moment, left))
    outcome = client.stop()
    with capsys.disabled():
        print(f"\n{hits} of {turns} kills hit, seed {seed}, {count} Services; {outcome}", end=" ")
    assert hits >= kills
    assert lost == []
    assert outcome.faults == {}
    assert outcome.fine > 100


def names_left(node: hosts.Node, wanted: Mapping[str, str], variant: str) -> list[str]:
    """Chains with names of ours that the kernel holds and the files do not say, or the other way round."""
    left = []
    for family, file in (("IPv4", "iptables.rules"), ("IPv6", "ip6tables.rules")):
        for each in iptables_kernel.VARIANTS:
            held, said = chains(node.save(each, family)), chains(wanted.get(file, "") if each == variant else "")
            left += [f"{each} {family} {name}" for name in sorted(held ^ said)]
    return left[:5]


def chains(text: str) -> set[str]:
    """The chains with names of ours, with their table."""
    found, table = set(), ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line
        elif line.startswith((":KUBE-", ":SLUICE-")):
            found.add(f"{table} {line.partition(' ')[0]}")
    return found


def timed_apply(node: hosts.Node, directory: str) -> float:
    """Seconds that an apply took: kills come within what it takes now, as a machine has busy and quiet times."""
    started = time.monotonic()
    assert node.command("apply", "--dir", directory).answer() == 0
    return time.monotonic() - started


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
