"""The parts of two texts of IPVS mode that differ: what a plan of them says is what a plan of the whole texts says."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from test_ipvs_plan import FOREIGN_SERVERS, meddled, wanted

from sluice.backends.ipvs import ipset_text
from sluice.backends.ipvs import plan as ipvs_plan
from sluice.backends.ipvs import text as ipvs_text
from sluice.backends.ipvs.ipset_text import Sets
from sluice.backends.ipvs.plan import Plan
from sluice.backends.ipvs.tables import Tables
from sluice.backends.ipvs.text import Servers


def said(plan: Plan) -> list[list[object]]:
    """All that a plan says, without the order of things that do not depend on each other."""
    lines = [(step.tool, line) for half in plan[:2] for step in half for line in step.text.splitlines()]
    return [sorted(map(repr, each)) for each in (lines, plan.changes, plan.draining, plan.clashes)]


def plan(sets: tuple[Sets, Sets], servers: tuple[Servers, Servers], claims: set[str]) -> Plan:
    have, want = (Tables(*each, ()) for each in zip(sets, servers))
    return ipvs_plan.plan(have, want, {frontend for frontend in have.servers if frontend.text in claims})


@given(old=wanted(), new=wanted(), chance=st.randoms(use_true_random=False))
def test_a_plan_of_the_difference_is_the_plan_of_all(old: Tables, new: Tables, chance: random.Random) -> None:
    kernel = meddled(chance.choice([old, new]), chance)
    kernel = kernel._replace(servers={**kernel.servers, **FOREIGN_SERVERS})
    sets = ipset_text.text(kernel.sets), ipset_text.text(new.sets)
    servers = ipvs_text.text(kernel.servers), ipvs_text.text(new.servers)
    names = ipvs_text.names(servers[1])
    assert names == {frontend.text for frontend in new.servers}
    claims = {name for name in names | ipvs_text.names(servers[0]) if chance.random() > 0.1}
    parts = plan(ipset_text.difference(*sets), ipvs_text.difference(*servers, names - claims), claims)
    whole = plan(
        (ipset_text.parse(sets[0]), ipset_text.parse(sets[1])),
        (ipvs_text.parse(servers[0]), ipvs_text.parse(servers[1])),
        claims,
    )
    assert said(parts) == said(whole)


def test_a_difference_is_small() -> None:
    lines = [f"-A -t 10.96.0.{n}:80 -s rr\n-a -t 10.96.0.{n}:80 -r 10.244.0.{n}:80 -m -w 1\n" for n in range(250)]
    servers = ipvs_text.difference("".join(lines), "".join(lines).replace("10.244.0.7:80", "10.244.1.7:80"))
    assert [[frontend.text for frontend in each] for each in servers] == [["-t 10.96.0.7:80"]] * 2

    head, members = "create X hash:ip family inet\n", [f"add X 10.96.0.{n}\n" for n in range(250)]
    sets = ipset_text.difference(head + "".join(members), head + "".join(reversed(members[1:])))
    assert [each["X"].members for each in sets] == [("10.96.0.0",), ()]
