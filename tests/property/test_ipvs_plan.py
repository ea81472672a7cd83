"""Plans of IPVS mode, run on a model of its tools: they arrive, leave others alone, and no step breaks a way."""

from __future__ import annotations

import random

import strategies
from hypothesis import given
from hypothesis import strategies as st
from ipvs_model import Kernel
from support import catalogue

from sluice import settings, view
from sluice.addresses import host_network
from sluice.backends.ipvs import ipset_text
from sluice.backends.ipvs import plan as ipvs_plan
from sluice.backends.ipvs import text as ipvs_text
from sluice.backends.ipvs.ipset_text import IpSet
from sluice.backends.ipvs.kernel import Held
from sluice.backends.ipvs.rules import state
from sluice.backends.ipvs.tables import Tables, merged
from sluice.backends.ipvs.text import RealServer, VirtualAddress, VirtualServer
from sluice.node.result import lines

NOTHING = Tables({}, {}, ())
FOREIGN_SETS = {"office": IpSet("hash:net family inet", ("192.0.2.0/24",), 65536)}
FOREIGN_SERVERS = {
    VirtualAddress("tcp", "172.31.0.7", 80): VirtualServer("wlc", 60, (), {"172.31.1.1:80": RealServer(5, "-g")}, "-o"),
    VirtualAddress("udp", "10.0.0.10", 53): VirtualServer("sh", 0, ("sh-port",), {}),
}


@st.composite
def wanted(draw: st.DrawFn) -> Tables:
    """The tables of a random catalogue, or none at all (``remove``)."""
    if draw(st.integers(0, 9)) == 0:
        return NOTHING
    node, _ = settings.from_variables(draw(strategies.variables()))
    found = catalogue(*draw(strategies.catalogues(4)))
    guard = draw(st.booleans())
    return merged(state(view.view(found, node, family), node, guard=guard).tables for family in node.ip_families)


def meddled(tables: Tables, chance: random.Random) -> Tables:
    """``tables`` after people and time were at them: what is ours went, changed, drained or was added to."""
    sets = {
        name: held._replace(members=tuple(entry for entry in held.members if chance.random() > 0.1))
        for name, held in tables.sets.items()
        if chance.random() > 0.05
    }
    servers = {}
    for frontend, server in tables.servers.items():
        real = {
            where: RealServer(chance.choice([0, 1, 1, 5]), chance.choice(["-m", "-m", "-g"]))
            for where in server.real
            if chance.random() > 0.2
        }
        if chance.random() < 0.2:
            real["10.244.99.1:1"] = RealServer(1)
        if chance.random() > 0.1:
            servers[frontend] = server._replace(real=real, scheduler=chance.choice([server.scheduler, "wlc"]))
    addresses = [prefix for prefix in tables.addresses if chance.random() > 0.2]
    return Tables(sets, servers, (*addresses, *chance.choice([(), ("10.254.0.1/32",)])))


def settled(tables: Tables) -> tuple[object, ...]:
    """Tables without the order of what is in them, and without real servers that only drain."""
    servers = {
        frontend: (server.options, {where: real for where, real in server.real.items() if real.weight})
        for frontend, server in tables.servers.items()
    }
    return (
        {name: (held.header, set(held.members)) for name, held in tables.sets.items()},
        servers,
        set(tables.addresses),
    )


def is_served(kernel: Kernel) -> None:
    """No address that a client may use is bound before its virtual server is there, nor after it."""
    served = {frontend.address for frontend in kernel.servers}
    for prefix in kernel.addresses:
        assert prefix == "10.254.0.1/32" or prefix.partition("/")[0] in served, prefix


@given(old=wanted(), new=wanted(), chance=st.randoms(use_true_random=False), drift=st.booleans())
def test_a_plan_arrives_in_sound_steps(old: Tables, new: Tables, chance: random.Random, drift: bool) -> None:
    held = meddled(old, chance) if drift else old
    mine = Tables({**held.sets, **FOREIGN_SETS}, {**FOREIGN_SERVERS, **held.servers}, held.addresses)
    kernel = Kernel(mine, (lambda _: None) if drift else is_served)
    kernel.referred = frozenset(old.sets)
    first = ipvs_plan.plan(mine, new, old.servers)
    assert not first.clashes
    for step in first.before:
        kernel.run(step)
    kernel.referred = frozenset(new.sets)
    assert all(name in kernel.sets for name in new.sets), "the rules that come now name a set that is not there"
    for step in first.after:
        kernel.run(step)

    assert {name: kernel.sets.pop(name) for name in FOREIGN_SETS} == FOREIGN_SETS
    assert {frontend: kernel.servers.pop(frontend) for frontend in FOREIGN_SERVERS} == FOREIGN_SERVERS
    assert settled(kernel.tables()) == settled(new)
    again = ipvs_plan.plan(kernel.tables(), new, new.servers)
    assert (again.before, again.after, again.changes) == ((), (), ())
    assert again.draining == tuple(
        ipvs_plan.Draining(frontend, where)
        for frontend, server in new.servers.items()
        for where in kernel.servers[frontend].real
        if where not in server.real
    )
    assert set(again.draining) == set(first.draining)
    assert all(entry.virtual.protocol != "udp" for entry in again.draining)


@given(old=wanted(), new=wanted())
def test_what_is_ours_is_evident_after_every_line(old: Tables, new: Tables) -> None:
    """Wherever an apply is killed, and even if all that it has written down is lost."""
    bound = {*old.addresses, *new.addresses}
    others = {each.address for each in (*old.servers, *new.servers) if host_network(each.address) not in bound}

    def is_evident(kernel: Kernel) -> None:
        sets, servers = ipset_text.text(kernel.sets), ipvs_text.text(kernel.servers)
        held = Held(sets, servers, tuple(kernel.addresses), frozenset(others))
        ours = {frontend.text for frontend in kernel.servers if frontend not in FOREIGN_SERVERS}
        assert held.evident(ipvs_text.names(servers), (), lost=True) == ours

    mine = old._replace(servers={**FOREIGN_SERVERS, **old.servers})
    kernel = Kernel(mine, is_evident)
    found = ipvs_plan.plan(mine, new, old.servers)
    for step in (*found.before, *found.after):
        kernel.run(step)


@given(old=wanted(), new=wanted())
def test_a_plan_says_no_more_than_what_differs(old: Tables, new: Tables) -> None:
    found = ipvs_plan.plan(old, new, old.servers)
    assert bool(found.changes) == bool(found.before or found.after)
    touched = {change.thing for change in found.changes}
    for name, held in new.sets.items():
        assert (f"set {name}" in touched) == (name not in old.sets or set(held.members) != set(old.sets[name].members))
    for frontend, server in new.servers.items():
        same = frontend in old.servers and old.servers[frontend] == server
        assert (f"virtual server {frontend.text}" in touched) != same
    for prefix in new.addresses:
        assert (f"address {prefix}" in touched) == (prefix not in old.addresses)
    assert len(list(lines(found.changes))) >= len(found.changes)


@given(tables=wanted())
def test_text_says_what_was_meant(tables: Tables) -> None:
    assert ipset_text.parse(ipset_text.text(tables.sets)) == tables.sets
    assert ipvs_text.parse(ipvs_text.text(tables.servers)) == tables.servers
    assert ipvs_text.parse_addresses(ipvs_text.addresses_text(tables.addresses)) == tables.addresses
