"""Which real servers may go now: those whose connections have ended, or whose time is over. Pure.

Deadlines are seconds since the boot (CLOCK_BOOTTIME of clock_gettime(2)): whoever sets the clock moves none of them.
After a reboot the kernel holds no connections, and there is nothing to drain.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Callable, NamedTuple

from ... import addresses
from . import text
from .plan import DRAINED, Draining, Step
from .tables import SET_NAMES
from .text import VirtualAddress


class Drains(NamedTuple):
    """What is to go: real servers with their deadlines.

    ``steps`` are what a change of the backend leaves for later, with one deadline of their own: they are carried out
    when the virtual servers ``frontends`` have no connections any more.
    """

    real: dict[Draining, float]
    steps: tuple[Step, ...]
    frontends: tuple[VirtualAddress, ...]
    deadline: float

    def __bool__(self) -> bool:
        return bool(self.real or self.steps)


NO_DRAINS = Drains({}, (), (), 0.0)


def from_json(fields: Mapping[str, Any] | None) -> Drains:
    """The drains that ``to_json`` wrote; none where there are none."""
    if not fields:
        return NO_DRAINS
    return Drains(
        {Draining(VirtualAddress(*virtual), where): deadline for virtual, where, deadline in fields["real"]},
        tuple(Step(*step) for step in fields["steps"]),
        tuple(VirtualAddress(*virtual) for virtual in fields["frontends"]),
        fields["deadline"],
    )


def to_json(drains: Drains) -> dict[str, Any]:
    """The drains as JSON values: the content of ``drains.json``."""
    real = [(entry.virtual, entry.real, deadline) for entry, deadline in drains.real.items()]
    return {**drains._asdict(), "real": real}


def is_drains(value: Any) -> bool:
    """Whether a JSON value has the form that ``to_json`` gives it, so that ``from_json`` takes it.

    Steps are text that root feeds to tools: none may do anything but remove what an apply leaves for later.
    """
    return (
        isinstance(value, dict)
        and value.keys() == set(Drains._fields)
        and _are(value["real"], lambda each: _has(each, _is_drained, _is_real, _is_time))
        and _are(value["steps"], _is_step)
        and _are(value["frontends"], _is_drained)
        and _is_time(value["deadline"])
    )


def _are(values: Any, is_one: Callable[[Any], bool]) -> bool:
    return isinstance(values, list) and all(map(is_one, values))


def _has(values: Any, *are: Callable[[Any], bool]) -> bool:
    """Whether ``values`` is a list of just what ``are`` say, in their order."""
    return isinstance(values, list) and len(values) == len(are) and all(is_(each) for is_, each in zip(are, values))


def _is_time(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _is_address(value: Any) -> bool:
    return value != "" and bool(addresses.address(value) == value)


def _is_port(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 16


def _is_drained(value: Any) -> bool:
    return _has(value, lambda protocol: protocol in DRAINED, _is_address, _is_port)


def _is_real(value: Any) -> bool:
    try:
        address, port = addresses.split_port(value)
    except (AttributeError, ValueError):
        return False
    return _is_address(address) and _is_port(port) and addresses.host_port(address, port) == value


def _is_step(value: Any) -> bool:
    if not _has(value, lambda tool: isinstance(tool, str), lambda lines: isinstance(lines, str)):
        return False
    tool, lines = value
    removes = _REMOVES.get(tool)
    return removes is not None and lines[-1:] == "\n" and all(map(removes, lines[:-1].split("\n")))


def _removes_address(line: str) -> bool:
    verb, _blank, prefix = line.partition(" ")
    address, _slash, length = prefix.partition("/")
    return verb == "del" and _is_address(address) and addresses.network(prefix).endswith(f"/{length}")


def _removes_server(line: str) -> bool:
    try:
        servers = text.parse(f"-A {line[3:]} -s rr")
    except ValueError:
        return False
    named = [f"-D {each.text}" for each in servers if _is_address(each.address) and _is_port(each.port)]
    return named == [line]


def _removes_set(line: str) -> bool:
    verb, _blank, name = line.partition(" ")
    return verb == "destroy" and name in SET_NAMES


_REMOVES = {"address": _removes_address, "ipvsadm": _removes_server, "ipset": _removes_set}


def after_apply(
    before: Drains,
    draining: Collection[Draining],
    steps: tuple[Step, ...],
    frontends: Iterable[VirtualAddress],
    until: float,
) -> Drains:
    """What is to be drained after an apply, by ``until`` at the latest.

    Deadlines of earlier applies stay where they are sooner, and what came back is not drained any more.
    """
    deadline = min(before.deadline, until) if steps and steps == before.steps else until
    real = {entry: min(before.real.get(entry, until), until) for entry in draining}
    return Drains(real, steps, tuple(each for each in frontends if each.protocol in DRAINED), deadline)


def settled(drains: Drains, busy: Collection[Draining], now: float) -> tuple[list[Draining], tuple[Step, ...], Drains]:
    """What goes at ``now``, real servers and steps, while ``busy`` ones have connections; and what is left."""
    done = [entry for entry, deadline in drains.real.items() if entry not in busy or now >= deadline]
    left = drains._replace(real={entry: deadline for entry, deadline in drains.real.items() if entry not in done})
    waits = any(entry.virtual in drains.frontends for entry in busy) and now < drains.deadline
    return (done, (), left) if waits else (done, drains.steps, left._replace(steps=(), frontends=()))
