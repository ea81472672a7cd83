"""From the elements that the kernel holds to those that files say: what goes, what comes, by which numbers.

Both may lack what is the same in both. A Service and, where it has session affinity, an endpoint keep the number that
they have in the kernel, whatever the files say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from . import numbers
from .elements import NOT_RENUMBERED, Element, Elements, Renumbering, endpoint_of, renumbered, service_of
from .layout import NUMBERED_ENDPOINTS, SHAPES
from .netlink import Change

Held = Mapping[str, Mapping[bytes, Element]]


class Plan(NamedTuple):
    """What changes in each set, and the numbers in the kernel that are not those of the files."""

    changes: list[Change]
    renumbering: Renumbering


NO_PLAN = Plan([], NOT_RENUMBERED)


def plan(have: Elements, want: Elements, before: Renumbering = NOT_RENUMBERED, last: Held | None = None) -> Plan:
    """``have``: what the kernel holds, with its numbers; ``want``: what files say, with theirs.

    ``before``: the numbers of the kernel that are known not to be those of the files ``last``, which are the ones that
    ``have`` came from; nothing of both where ``have`` is all that the kernel holds.
    """
    renumbering = _renumbering(have, want, before, last or {})
    wanted = renumbered(want, renumbering)
    changes = []
    for name in SHAPES:
        old, new = have.get(name, {}), wanted.get(name, {})
        if old == new:
            continue
        removed = {key: element for key, element in old.items() if new.get(key) != element}
        added = {key: element for key, element in new.items() if old.get(key) != element}
        changes.append(Change(name, removed, added))
    return Plan(changes, renumbering)


def _renumbering(have: Held, want: Held, before: Renumbering, last: Held) -> Renumbering:
    known = set(services(last).values())
    others = {number: own for number, own in before.services.items() if number not in known}
    found = numbers.kept(services(want), services(have), others)
    wanted, held, former = _endpoints(want), _endpoints(have), _endpoints(last)
    endpoints = {
        (service, number): own
        for (service, number), own in before.endpoints.items()
        if service not in wanted and service not in former
    }
    for service, by_endpoint in wanted.items():
        gone = former.get(service, {}).values()
        others = {number: own for (of, number), own in before.endpoints.items() if of == service and number not in gone}
        own_numbers = numbers.kept(by_endpoint, held.get(found.get(service, service), {}), others)
        endpoints.update({(service, number): own for number, own in own_numbers.items()})
    return Renumbering(found, endpoints)


def services(elements: Held) -> dict[str, int]:
    """The number of each service port, by the name in its lists' comments."""
    return {element.comment: service_of(key) for key, element in elements.get("lists", {}).items()}


def _endpoints(elements: Held) -> dict[int, dict[str, int]]:
    """The numbers of endpoints by the number of their Service, each by its address and port."""
    found: dict[int, dict[str, int]] = {}
    for name, where in NUMBERED_ENDPOINTS.items():
        if where == "key":
            for key, element in elements.get(name, {}).items():
                found.setdefault(service_of(key), {})[element.data.hex()] = endpoint_of(key)
    return found
