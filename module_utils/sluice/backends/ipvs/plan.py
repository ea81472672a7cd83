"""From what the kernel holds of IPVS mode to what is wanted: the smallest ordered change.

What is added comes before the iptables rules change, in the order sets, virtual servers, addresses: no rule names a
missing set, no address is bound before its virtual server exists. What is removed goes after the rules have changed, in
the reverse order. A real server of TCP or SCTP that goes gets weight 0 and is named as draining:
it takes no new connections and keeps those that it has, and whoever drains it removes it later. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from ..interface import Change
from .ipset_text import IpSet, Sets
from .tables import SET_NAMES, Tables
from .text import RealServer, Servers, VirtualAddress, VirtualServer, lines

DRAINED = ("tcp", "sctp")
"""Protocols whose connections have an end. A flow of UDP has none, so a real server of UDP goes at once."""

_NEW_SET = "-new"
_LINK_LOCAL = "fe80:"


class Step(NamedTuple):
    """Lines for one tool: ``ipset`` (restore), ``ipvsadm`` (-R) or ``address`` (``add`` or ``del`` and a prefix)."""

    tool: str
    text: str


class Draining(NamedTuple):
    """A real server that is to go as soon as its connections have ended."""

    virtual: VirtualAddress
    real: str

    @property
    def delete(self) -> str:
        """The line for ``ipvsadm -R`` that removes it."""
        return f"-d {self.virtual.text} -r {self.real}"


class Plan(NamedTuple):
    """An ordered change: ``before`` the iptables rules change, and ``after``.

    ``draining``: every real server that is still there but no longer wanted, those of earlier changes included.
    ``clashes``: what is in the way and not ours, one line each; a plan with any must not be carried out.
    """

    before: tuple[Step, ...]
    after: tuple[Step, ...]
    changes: tuple[Change, ...]
    draining: tuple[Draining, ...]
    clashes: tuple[str, ...]


class _Lines:
    """What a plan collects, by tool and by time."""

    def __init__(self) -> None:
        self.coming: dict[str, list[str]] = {"ipset": [], "ipvsadm": [], "address": []}
        self.going: dict[str, list[str]] = {"address": [], "ipvsadm": [], "ipset": []}
        self.changes: list[Change] = []
        self.draining: list[Draining] = []
        self.clashes: list[str] = []


def plan(kernel: Tables, wanted: Tables, owned: Collection[VirtualAddress]) -> Plan:
    """The plan that brings ``kernel`` to ``wanted``.

    ``owned`` are the virtual servers of the last apply. Others are somebody else's: one that is not wanted stays as it
    is, one that is wanted is a clash. Sets with our names and the whole device kube-ipvs0 are ours.
    """
    found = _Lines()
    _plan_sets(kernel.sets, wanted.sets, found)
    _plan_servers(kernel.servers, wanted.servers, owned, found)
    _plan_addresses(kernel.addresses, wanted.addresses, found)
    return Plan(
        before=_steps(found.coming),
        after=_steps(found.going),
        changes=tuple(found.changes),
        draining=tuple(found.draining),
        clashes=tuple(found.clashes),
    )


# --- sets


def _plan_sets(have: Sets, want: Sets, found: _Lines) -> None:
    coming, going = found.coming["ipset"], found.going["ipset"]
    for name, wanted in want.items():
        held = have.get(name)
        if held is None:
            coming.append(f"create {name} {wanted.create}")
            coming += (f"add {name} {member}" for member in wanted.members)
            found.changes.append(Change(f"set {name}", "add", added=wanted.members))
            continue
        if held.header != wanted.header:
            found.clashes.append(f"set {name} is {held.header}, not {wanted.header}")
            continue
        gone, fresh = _difference(held.members, wanted.members)
        wrong = tuple(each for each in wanted.members if each in held.nomatch) if held.nomatch else ()
        small = held.maxelem < wanted.maxelem
        if small:
            coming += _swapped(name, wanted)
        else:
            # What is there as an exception cannot be added, only taken out first; it was not in the set before either.
            coming += (line for member in wrong for line in (f"del {name} {member}", f"add {name} {member}"))
            coming += (f"add {name} {member}" for member in fresh)
            going += (f"del {name} {member}" for member in gone)
        if gone or fresh or wrong or small:
            removed = (*gone, *(f"{member} nomatch" for member in wrong))
            found.changes.append(Change(f"set {name}", "change", removed, (*fresh, *wrong)))
    for name, held in have.items():
        if name in SET_NAMES and name not in want:
            going.append(f"destroy {name}")
            found.changes.append(Change(f"set {name}", "remove", held.members))


def _swapped(name: str, wanted: IpSet) -> Iterator[str]:
    """A set cannot grow beyond the size that it was made with: a larger one takes its place."""
    temporary = name[: -len(_NEW_SET)] + _NEW_SET
    yield f"create {temporary} {wanted.create}"
    yield f"flush {temporary}"  # it may be there from a run that was cut off
    yield from (f"add {temporary} {member}" for member in wanted.members)
    yield f"swap {temporary} {name}"
    yield f"destroy {temporary}"


# --- virtual and real servers


def _plan_servers(have: Servers, want: Servers, owned: Collection[VirtualAddress], found: _Lines) -> None:
    coming, going = found.coming["ipvsadm"], found.going["ipvsadm"]
    for frontend, wanted in want.items():
        held = have.get(frontend)
        if held is None:
            coming += lines(frontend, wanted)
            found.changes.append(Change(f"virtual server {frontend.text}", "add", added=_described(wanted)))
        elif frontend not in owned:
            found.clashes.append(f"virtual server {frontend.text} is there and not of Sluice")
        elif held != wanted:
            _plan_server(frontend, held, wanted, found)
    for frontend, held in have.items():
        if frontend in owned and frontend not in want:
            going.append(f"-D {frontend.text}")
            found.changes.append(Change(f"virtual server {frontend.text}", "remove", removed=_described(held)))


def _plan_server(frontend: VirtualAddress, held: VirtualServer, wanted: VirtualServer, found: _Lines) -> None:
    """What is added comes first, so that there is always an endpoint to answer."""
    coming = found.coming["ipvsadm"]
    removed: list[str] = []
    added: list[str] = []

    def change(line: str, old: str = "", new: str = "") -> None:
        coming.append(line)
        removed.extend([old] if old else [])
        added.extend([new] if new else [])

    if held.options != wanted.options:
        change(f"-E {frontend.text} {wanted.options}", held.options, wanted.options)
    for where, real in wanted.real.items():
        before = held.real.get(where)
        if before is None:
            change(f"-a {frontend.text} -r {where} {real.text}", new=f"{where} {real.text}")
        elif before != real:
            change(f"-e {frontend.text} -r {where} {real.text}", f"{where} {before.text}", f"{where} {real.text}")
    for where, real in held.real.items():
        if where in wanted.real:
            continue
        leaving = Draining(frontend, where)
        if frontend.protocol not in DRAINED:
            change(leaving.delete, f"{where} {real.text}")
            continue
        found.draining.append(leaving)
        if real.weight:
            empty = RealServer(0, real.method)
            change(f"-e {frontend.text} -r {where} {empty.text}", f"{where} {real.text}", f"{where} {empty.text}")
    if removed or added:
        found.changes.append(Change(f"virtual server {frontend.text}", "change", tuple(removed), tuple(added)))


def _described(server: VirtualServer) -> tuple[str, ...]:
    return (server.options, *(f"{where} {real.text}" for where, real in server.real.items()))


# --- addresses


def _plan_addresses(have: Collection[str], want: Collection[str], found: _Lines) -> None:
    gone, fresh = _difference(have, want)
    # The kernel's own; it makes one whenever a device is brought up.
    gone = tuple(prefix for prefix in gone if not prefix.startswith(_LINK_LOCAL))
    found.coming["address"] += (f"add {prefix}" for prefix in fresh)
    found.going["address"] += (f"del {prefix}" for prefix in gone)
    found.changes += (Change(f"address {prefix}", "add") for prefix in fresh)
    found.changes += (Change(f"address {prefix}", "remove") for prefix in gone)


# --- the rest


def _difference(have: Iterable[str], want: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is removed and what is added, each in its order."""
    held, wanted = dict.fromkeys(have), dict.fromkeys(want)
    return (
        tuple(entry for entry in held if entry not in wanted),
        tuple(entry for entry in wanted if entry not in held),
    )


def _steps(by_tool: dict[str, list[str]]) -> tuple[Step, ...]:
    return tuple(Step(tool, "".join(f"{line}\n" for line in text)) for tool, text in by_tool.items() if text)
