"""From what the kernel holds to what files say: names keep their numbers, and nothing changes that need not."""

from __future__ import annotations

import random
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from support import catalogue, endpoint_slice, node, service

from sluice import render
from sluice.addresses import IPV4
from sluice.backends.interface import Memo
from sluice.backends.nftables import elements, layout, text
from sluice.backends.nftables.backend import BACKEND
from sluice.backends.nftables.elements import NOT_RENUMBERED, Elements, Renumbering
from sluice.backends.nftables.plan import Plan, plan, services

ENDPOINTS = [f"10.1.0.{number}" for number in range(11, 17)]


def table(names: dict[str, list[str]]) -> text.Table:
    """Services by name with their endpoints; those of an odd length have session affinity."""
    objects: list[dict[str, Any]] = []
    for name, behind in names.items():
        sticky = {"sessionAffinity": "ClientIP"} if len(name) % 2 else {}
        number = int(name.translate(str.maketrans("abc", "123")))
        address = f"10.96.{number // 200}.{number % 200 + 1}"
        objects += [service(name, ip=address, **sticky), endpoint_slice(*behind, of=name)]
    own = node()
    written = BACKEND.render(render.views(catalogue(*objects), own), own, Memo())[text.FILE]
    return text.tables(written)[IPV4]


def parsed(found: text.Table) -> Elements:
    return elements.parse({name: str(piece) for name, piece in found.elements.items()}, IPV4)


def carried_out(have: Elements, found: Plan) -> Elements:
    """What the kernel holds then; it refuses to remove what is not there, and to add what is."""
    kernel = {name: dict(entries) for name, entries in have.items()}
    for change in found.changes:
        entries = kernel.setdefault(change.name, {})
        for key, element in change.removed.items():
            assert entries.pop(key) == element
        assert not entries.keys() & change.added.keys()
        entries.update(change.added)
    return {name: entries for name, entries in kernel.items() if entries}


def endpoint_numbers(kernel: Elements) -> dict[bytes, bytes]:
    return {element.data: key for key, element in kernel.get("sticky", {}).items()}


NAMES = st.dictionaries(
    st.text("abc", min_size=1, max_size=3), st.lists(st.sampled_from(ENDPOINTS), unique=True), max_size=5
)


@given(steps=st.lists(NAMES, min_size=1, max_size=5), seed=st.integers(0, 9))
@mock.patch.object(layout, "SERVICES", (1, 8))
@mock.patch.object(layout, "ENDPOINTS", (16, 8))
def test_step_by_step(steps: list[dict[str, list[str]]], seed: int) -> None:
    """By the last files, and by a reading of the kernel now and then: both come to the same elements.

    There are so few numbers that hashes often meet.
    """
    chance = random.Random(seed)
    kernel: Elements = {}
    last, known = text.NO_TABLE, NOT_RENUMBERED
    for names in steps:
        wanted = table(names)
        before = services(kernel)
        if chance.random() < 0.5:
            old_lines, new_lines = text.different(last, wanted)
            old = elements.parse(old_lines, IPV4)
            have = elements.renumbered(old, known)
            found = plan(have, elements.parse(new_lines, IPV4), known, old)
        else:
            found = plan(kernel, parsed(wanted))
        kernel = carried_out(kernel, found)
        last, known = wanted, found.renumbering
        assert kernel == elements.renumbered(parsed(wanted), known)
        now = services(kernel)
        assert all(now[name] == number for name, number in before.items() if name in now)
        assert not plan(kernel, parsed(wanted)).changes


def test_an_endpoint_keeps_its_number() -> None:
    """Affinity is remembered by it."""
    kernel = carried_out({}, plan({}, parsed(table({"abc": ENDPOINTS[:3]}))))
    first = endpoint_numbers(kernel)
    kernel = carried_out(kernel, plan(kernel, parsed(table({"abc": ENDPOINTS[1:]}))))
    second = endpoint_numbers(kernel)
    assert len(second) == 5
    assert all(second[endpoint] == number for endpoint, number in first.items() if endpoint in second)


def test_numbers_that_are_taken() -> None:
    """Two names with one hash: whoever is there first stays, whatever the files say."""
    lists = '8000:{0}000 comment "{1}" : 8000:{0}001'
    parse = lambda *lines: elements.parse({"lists": "".join(f"\t{line},\n" for line in lines)}, IPV4)  # noqa: E731
    kernel = parse(lists.format(1, "a/b"))
    found = plan(kernel, parse(lists.format(1, "a/a"), lists.format(2, "a/b")))
    assert found.renumbering == Renumbering({1: 2, 2: 1}, {})
    assert services(carried_out(kernel, found)) == {"a/b": 1, "a/a": 2}
