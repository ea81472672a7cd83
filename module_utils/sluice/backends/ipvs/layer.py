"""The layer of what IPVS mode keeps outside iptables: sets, virtual servers, addresses."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ... import addresses
from ...system import linux
from ...system.tools import NodeError
from ..interface import (
    NOTHING_HELD,
    Amount,
    Change,
    Counters,
    Files,
    Form,
    Frontend,
    Frontends,
    Held,
    KernelChanged,
    Leftover,
    Memory,
    Phase,
    amount_of,
)
from . import drain, ipset_text, kernel, tables, text
from .drain import Drains
from .plan import Plan, plan
from .tables import DEVICE, NO_TABLES, Tables

CLAIMS_FILE, DRAINS_FILE = "virtual-servers.json", "drains.json"


class IpvsLook:
    """How the tables differ. ``claims``: the virtual servers that are ours so far; ``seconds``: to wait for those."""

    udp: bool
    details: Mapping[str, str] = {}

    def __init__(
        self,
        found: Plan,
        held: kernel.Held,
        wanted: Files,
        claims: set[str],
        drains: Drains,
        seconds: int,
        warnings: Sequence[str],
        leftovers: Sequence[Leftover] = (),
    ) -> None:
        self.warnings = warnings
        self.leftovers = leftovers
        self.amount = amount_of(step.text for step in (*found.before, *found.after))
        self._plan = found
        self._held = held
        self._serves = bool(wanted)
        self._gives_back = tables.are_theirs(wanted)
        self._names = _names(wanted)
        self._claims = claims
        self._drains = drains
        self._seconds = seconds
        self._sent = False
        # Where another backend serves now, connections that IPVS still has end there first. The sets go last: they tell
        # whose the rest is, whatever becomes of what is written down.
        self._later = () if self._serves else found.after
        waits = seconds > 0 and bool(found.after) and drains.steps == found.after
        # Another backend serves already: what is left to do waits for its connections.
        self.changes: Sequence[Change] = () if waits and not found.before else found.changes
        self.udp = any(change.thing.startswith("virtual server -u ") for change in self.changes)

    def holds(self, files: Files) -> bool:
        if not files:
            return self.held().files == {}
        return bool(self.leftovers) == tables.are_theirs(files) and not _plan(self._held, files, self._claims).changes

    def held(self) -> Held:
        held = self._held.ours(self._claims)
        if held == NO_TABLES or (self._later and self._drains.steps == self._later):
            return NOTHING_HELD
        files = tables.files(held)
        # Whatever rules there are, they are those of this mode, unless another backend serves already.
        settings = {} if self._drains.steps else {"backend": "ipvs"}
        return Held(tables.as_theirs(files) if self.leftovers else files, settings)

    def send(self, phase: Phase) -> None:
        if phase == Phase.PREPARE:
            try:
                # First of all: it says whose the rest is, wherever this is killed. An earlier release marked nothing.
                if self._serves and (self._plan.changes or self.leftovers):
                    kernel.make_device()
                kernel.carry_out(self._plan.before)
            except NodeError as error:
                raise KernelChanged(str(error)) from None
        elif phase == Phase.CLEAN:
            self._sent = True
            kernel.carry_out(self._plan.after if self._serves else ())
            if not self._serves and not self._later:
                kernel.remove_device()
            if self._gives_back:
                kernel.unmark_device()

    def memory(self) -> Memory:
        """Virtual servers are claimed before they are there: whatever ends the apply, the next one knows them."""
        if not self._sent:
            return _memory(self._claims | self._names, self._drains)
        frontends = self._held.ours(self._claims).servers if self._later else ()
        until = linux.uptime() + self._seconds
        drains = drain.after_apply(self._drains, self._plan.draining, self._later, frontends, until)
        if self._gives_back:
            return _memory(set(), drains)
        return _memory(self._claims | self._names if drains else self._names, drains)


class _NotOurs:
    """Nothing here is ours, and nothing wanted, or another proxy's that nobody said may be replaced."""

    changes: Sequence[Change] = ()
    amount = Amount()
    warnings: Sequence[str] = ()
    details: Mapping[str, str] = {}
    udp = False

    def __init__(self, leftovers: Sequence[Leftover] = ()) -> None:
        self.leftovers = leftovers

    def holds(self, files: Files) -> bool:
        return not files

    def held(self) -> Held:
        return NOTHING_HELD

    def send(self, phase: Phase) -> None:
        pass

    def memory(self) -> Memory:
        return Memory()


def _is_claims(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


class IpvsLayer:
    """See ``interface.Layer``. Nothing in IPVS counts changes, so there is no record: each look reads everything."""

    name = "ipvs"
    settings: Mapping[str, Any] = {"ipvs_drain_seconds": 0}
    devices = (DEVICE,)
    remembers: Mapping[str, Form] = {CLAIMS_FILE: _is_claims, DRAINS_FILE: drain.is_drains}
    waiting = DRAINS_FILE

    def files(self, families: Sequence[str]) -> Sequence[str]:
        return tables.FILES

    @contextlib.contextmanager
    def look(
        self, wanted: Files, last: Files, memory: Memory, settings: Mapping[str, Any], *, check: bool
    ) -> Iterator[IpvsLook | _NotOurs]:
        claims, drains = _recalled(memory)
        there = kernel.device_exists() or kernel.has_sets_of_services()
        if not (wanted or claims or there):
            yield _NotOurs()
            return
        theirs = not claims and there and not kernel.device_is_marked()
        if wanted and not (theirs and not settings["takeover"]):
            kernel.require(load=not check)
        held = kernel.read()
        leftovers = held.leftovers() if theirs else []
        if leftovers and not settings["takeover"]:
            yield _NotOurs(leftovers)
            return
        lost = _lost(held, memory, claims, _names(wanted) | _names(last))
        yield _look(held, wanted, claims | lost, drains, settings["ipvs_drain_seconds"], lost, leftovers)

    def frontends(self, files: Files, family: str) -> Frontends:
        """Those of both families: the text names them together, and an address tells its family."""
        return {
            Frontend(address, port): {addresses.split_port(real) for real in server.real}
            for (protocol, address, port), server in text.parse(files.get(tables.IPVS_FILE, "")).items()
            if protocol == "udp"
        }

    def counters(self, *, endpoints: bool = True) -> Counters:
        return kernel.counted()

    def ours(self, files: Files) -> bool:
        return not tables.are_theirs(files)

    def settle(self, memory: Memory, now: float) -> Memory:
        claims, drains = _recalled(memory)
        busy = kernel.busy({*drains.frontends, *(entry.virtual for entry in drains.real)})
        done, steps, left = drain.settled(drains, busy, now)
        kernel.delete(done)
        if steps and not kernel.serves():  # else an apply has come back to IPVS, and could not write that down
            kernel.take_away(steps)
            kernel.remove_device()
            claims = set()
        return _memory(claims, left)


LAYER = IpvsLayer()


def _recalled(memory: Memory) -> tuple[set[str], Drains]:
    return set(memory.lasting.get(CLAIMS_FILE, ())), drain.from_json(memory.lasting.get(DRAINS_FILE))


def _memory(claims: set[str], drains: Drains) -> Memory:
    lasting: dict[str, Any] = {}
    if claims:
        lasting[CLAIMS_FILE] = sorted(claims)
    if drains:
        lasting[DRAINS_FILE] = drain.to_json(drains)
    return Memory(lasting=lasting)


def _lost(held: kernel.Held, memory: Memory, claims: set[str], named: set[str]) -> set[str]:
    """The virtual servers that are ours though ``claims`` lack them: the file was lost, or could not be written."""
    unclaimed = text.names(held.servers) - claims
    if not unclaimed or not kernel.device_exists():
        return set()  # without kube-ipvs0 this node never was ours
    return held.evident(unclaimed, named, lost=CLAIMS_FILE not in memory.lasting)


def _look(
    held: kernel.Held,
    wanted: Files,
    claims: set[str],
    drains: Drains,
    seconds: int,
    lost: Collection[str],
    leftovers: Sequence[Leftover],
) -> IpvsLook:
    found = _plan(held, wanted, claims)
    if found.clashes:
        raise NodeError("; ".join(found.clashes))
    taken = [prefix for prefix in _prefixes(wanted) if _is_own(prefix, held)]
    warnings = [f"{prefix} is the node's own: it is not bound again" for prefix in taken]
    if lost and not leftovers:
        warnings.append(f"virtual servers that are Sluice's though that is not written down: {len(lost)}")
    return IpvsLook(found, held, wanted, claims, drains, seconds, warnings, leftovers)


def _plan(held: kernel.Held, files: Files, claims: set[str]) -> Plan:
    """From what the kernel holds to ``files``. Most of what is the same in both is not even parsed."""
    # Somebody else's virtual server stands in the way also where it is the same as ours.
    servers = text.difference(held.servers, files.get(tables.IPVS_FILE, ""), _names(files) - claims)
    sets = ipset_text.difference(held.sets, files.get(tables.IPSET_FILE, ""))
    # An address that comes to a device of the node's own may be bound there by others who move it (VRRP).
    bound = tuple(prefix for prefix in _prefixes(files) if not _is_own(prefix, held))
    ours = {virtual for virtual in servers[0] if virtual.text in claims}
    return plan(Tables(sets[0], servers[0], held.addresses), Tables(sets[1], servers[1], bound), ours)


def _names(files: Files) -> set[str]:
    """The virtual servers in ``files``, as ipvsadm names them."""
    return text.names(files.get(tables.IPVS_FILE, ""))


def _prefixes(files: Files) -> tuple[str, ...]:
    return text.parse_addresses(files.get(tables.ADDRESSES_FILE, ""))


def _is_own(prefix: str, held: kernel.Held) -> bool:
    return prefix.partition("/")[0] in held.own
