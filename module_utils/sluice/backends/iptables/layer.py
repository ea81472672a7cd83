"""The layer of iptables' rules, of both variants and both families."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable, NamedTuple

from ... import addresses
from ...system.netlink import nft_generation
from ...system.threads import beside
from ...system.tools import NodeError
from ..interface import (
    NOTHING_HELD,
    Change,
    Counters,
    Files,
    Form,
    Frontends,
    Held,
    KernelChanged,
    Leftover,
    Memory,
    Phase,
    amount_of,
)
from . import counters, frontends, legacy_tables, text
from .kernel import (
    LEGACY,
    NFT,
    VARIANTS,
    Fingerprint,
    Tools,
    choose_variant,
    xtables_lock,
)
from .ownership import leftovers, marks, owned
from .plan import Plan, plan
from .text import RuleSet

Texts = Mapping[Tools, bytes]


class Part(NamedTuple):
    """The plan for one variant in one family."""

    tools: Tools
    plan: Plan


class Started(NamedTuple):
    """A tool that has read a table and waits for its change (``Tools.restoring``)."""

    table: str
    perform: Callable[[str], None]


class IptablesLook:
    """How the rules differ, from the record of the last apply or from the kernel itself.

    ``locked``: this process holds the xtables lock until the end of the look. ``takeover``: what others have left was
    to go as well. ``recorded``: the files that the kernel is known to hold, None where it was read. ``ours``: our rules
    in the kernel. ``started``: tools that read what they are going to change already.
    """

    def __init__(
        self,
        variant: str,
        parts: Sequence[Part],
        fingerprint: Fingerprint,
        *,
        locked: bool,
        takeover: bool,
        recorded: Files | None = None,
        ours: Mapping[Tools, RuleSet] | None = None,
        started: Mapping[Tools, Started] | None = None,
        warnings: Sequence[str] = (),
        leftovers: Sequence[Leftover] = (),
    ) -> None:
        self.variant = variant
        self.parts = parts
        self.warnings = warnings
        self.leftovers = leftovers
        self.details = {"variant": variant}
        self.changes = [
            Change(f"{tools.name} -t {change.table} {change.chain}", change.verb, change.removed, change.added)
            for tools, wanted in parts
            for change in wanted.changes
        ]
        self.amount = amount_of(step for part in parts for step in part.plan.steps)
        self.udp = any(frontends.touches_udp(part.plan.changes) for part in parts)
        self._fingerprint = fingerprint
        self._locked = locked
        self._takeover = takeover
        self._recorded = recorded
        self._ours = ours or {}
        self._started = started or {}
        self._sent = False

    def holds(self, files: Files) -> bool:
        if self._recorded is not None:
            return files == self._recorded
        return text.parse_files(files) == {tools.family: rules for tools, rules in self._ours.items()}

    def held(self) -> Held:
        if self._recorded is not None:
            families = [family for family, name in text.FILES.items() if name in self._recorded]
            return Held(self._recorded, {"ip_families": families, "iptables_variant": self.variant})
        if not self._ours:
            return NOTHING_HELD
        # The variant that is used comes first. Where both hold rules, the other one was in force before.
        variant = [tools.variant for tools in self._ours][-1]
        rules = {tools.family: rules for tools, rules in self._ours.items() if tools.variant == variant}
        return Held(
            text.files({family: text.text(found) for family, found in rules.items()}),
            {"ip_families": list(rules), "iptables_variant": variant},
        )

    def send(self, phase: Phase) -> None:
        """All at once: the plan is ordered in itself, new chains first and unused ones last."""
        if phase != Phase.SWITCH:
            return
        self._sent = True
        for tools, wanted in self.parts:
            for step in wanted.steps:
                started = self._started.get(tools)
                try:
                    if started and step.startswith(f"*{started.table}\n"):
                        started.perform(step)
                    else:
                        tools.restore(step, locked=self._locked)
                except NodeError as error:
                    raise KernelChanged(str(error)) from None

    def memory(self) -> Memory:
        # By the record nobody would see what others have left.
        is_known = self._sent and (self._takeover or not self.leftovers)
        now = self._after() if is_known else None
        return Memory({**now._asdict(), "variant": self.variant, "takeover": self._takeover}) if now else Memory()

    def _after(self) -> Fingerprint | None:
        """The fingerprint after the change, or None where somebody else may have changed a rule meanwhile.

        nf_tables counts transactions, so ours can be taken from the count. iptables-legacy counts nothing: what it
        holds now is ours only while we hold its lock.
        """
        before, legacy = self._fingerprint, self._fingerprint.legacy
        changed = {(part.tools.family, change.table) for part in self._of(LEGACY) for change in part.plan.changes}
        if changed and not self._locked:
            return None
        if changed:
            known = legacy if legacy.startswith(legacy_tables.PREFIX) else ""
            legacy = legacy_tables.keep(known, changed) or _digest(_start_to_read(LEGACY)())
        steps = [step for part in self._of(NFT) for step in part.plan.steps]
        now = Fingerprint(before.nft + sum(step.count("\nCOMMIT\n") for step in steps), legacy)
        return now if not steps or nft_generation() == now.nft else None

    def _of(self, variant: str) -> list[Part]:
        return [part for part in self.parts if part.tools.variant == variant]


class IptablesLayer:
    """See ``interface.Layer``. The record is the fingerprint of both variants, and the variant in use."""

    name = "iptables"
    settings: Mapping[str, Any] = {"iptables_variant": "auto"}
    devices = ()
    remembers: Mapping[str, Form] = {}
    waiting = ""

    def files(self, families: Sequence[str]) -> list[str]:
        return [text.FILES[family] for family in families]

    @contextlib.contextmanager
    def look(
        self, wanted: Files, last: Files, memory: Memory, settings: Mapping[str, Any], *, check: bool
    ) -> Iterator[IptablesLook]:
        known = _remembered(memory.record)
        locked = not check and _changes_legacy_again(wanted, last, known)
        with contextlib.ExitStack() as held:
            if locked:
                held.enter_context(xtables_lock())
            found = None
            if known and known.serves(settings):
                found = _from_record(wanted, last, known, held, locked=locked)
            yield found or _from_kernel(wanted, settings, locked=locked)

    def frontends(self, files: Files, family: str) -> Frontends:
        rules = files.get(text.FILES[family])
        return frontends.frontends(text.parse(rules)) if rules else {}

    def counters(self, *, endpoints: bool = True) -> Counters:
        if os.geteuid():
            return Counters()  # only root may read rules
        every = [Tools(variant, family) for variant in VARIANTS for family in addresses.FAMILIES]
        if endpoints:
            waiting = [each.counting() for each in every]
        else:
            waiting = [each.counting_in(frontends.DISPATCH, text.PREFIX_CHAIN) for each in every]
        return counters.counters([wait().decode() for wait in waiting], endpoints=endpoints)

    def ours(self, files: Files) -> bool:
        return not any(leftovers(rules) for rules in text.parse_files(files).values())

    def settle(self, memory: Memory, now: float) -> Memory:
        return memory


LAYER = IptablesLayer()


class _Remembered(NamedTuple):
    """What the last apply left in the kernel, if nobody has changed it since."""

    variant: str
    fingerprint: Fingerprint
    takeover: bool
    """Whether it took what others had left: else that may still be there."""

    def serves(self, settings: Mapping[str, Any]) -> bool:
        """Whether a look with these settings may go by it."""
        return settings["iptables_variant"] in ("auto", self.variant) and self.takeover >= settings["takeover"]


def _remembered(record: Mapping[str, Any]) -> _Remembered | None:
    """The record; None without one, or where somebody has edited it."""
    variant, nft, legacy = (record.get(name) for name in ("variant", "nft", "legacy"))
    if variant in VARIANTS and isinstance(nft, int) and isinstance(legacy, str):
        return _Remembered(variant, Fingerprint(nft, legacy), record.get("takeover") is True)
    return None


def _changes_legacy_again(wanted: Files, last: Files, known: _Remembered | None) -> bool:
    """True if iptables-legacy rules are about to change, and it is not the first apply.

    legacy has no change counter, so we hold its lock from the look to the second reading; then the digest that we
    store is trustworthy. That reading costs little beside a change, and much beside a first apply.
    """
    if not last or (known and (known.variant != LEGACY or wanted == last)):
        return False
    return Tools(LEGACY, addresses.IPV4).heeds_lock_file()


def _start_to_read(variant: str) -> Callable[[], dict[Tools, bytes]]:
    """Start to read both families' rules; what is returned waits for them."""
    waiting = {Tools(variant, family): Tools(variant, family).reading() for family in addresses.FAMILIES}
    return lambda: {tools: wait() for tools, wait in waiting.items()}


def _digest(texts: Texts) -> str:
    found = hashlib.sha256()
    for tools, rules in texts.items():
        found.update(f"{tools.name} {len(rules)}\n".encode())
        found.update(rules)
    return found.hexdigest()


def _from_record(
    wanted: Files, last: Files, known: _Remembered, held: contextlib.ExitStack, *, locked: bool
) -> IptablesLook | None:
    """If nobody has changed a rule since the last apply, the kernel holds what that one left; else None.

    While the change is worked out and the kernel compared with the record, tools read what they are going to change:
    each takes as long as the other. ``held`` ends them.
    """
    variant = known.variant
    with contextlib.ExitStack() as ready:
        started = _start_to_restore(wanted, last, ready) if locked else {}
        parts = []
        for family, name in text.FILES.items():
            old, new = last.get(name, ""), wanted.get(name, "")
            if old != new:
                have, want = text.difference(old, new)
                parts.append(Part(Tools(variant, family), plan(have, want, batches=variant != LEGACY)))
        if _is_still(known.fingerprint):
            held.push(ready.pop_all())
            return IptablesLook(
                variant,
                parts,
                known.fingerprint,
                locked=locked,
                takeover=known.takeover,
                recorded=last,
                started=started,
            )
    return None


def _start_to_restore(wanted: Files, last: Files, ready: contextlib.ExitStack) -> dict[Tools, Started]:
    """Have iptables-legacy-restore read the tables that differ. Leaving ``ready`` before their change ends it."""
    started = {}
    for family, name in text.FILES.items():
        tools, table = Tools(LEGACY, family), text.first_that_differs(last.get(name, ""), wanted.get(name, ""))
        if table:
            started[tools] = Started(table, ready.enter_context(tools.restoring(table)))
    return started


def _is_still(known: Fingerprint) -> bool:
    """Whether nobody has changed a rule since ``known``."""
    if known.legacy.startswith(legacy_tables.PREFIX):
        unchanged = legacy_tables.unchanged(known.legacy)
    else:
        unchanged = _digest(_start_to_read(LEGACY)()) == known.legacy
    return unchanged and nft_generation() == known.nft


def _from_kernel(wanted: Files, settings: Mapping[str, Any], *, locked: bool) -> IptablesLook:
    """All rules, of both variants and families: ours may be in any of them."""
    # Nobody changes iptables-legacy's rules between its two readings while we hold the lock.
    with beside(lambda: legacy_tables.keep() if locked else "") as kept:
        generation, finish = nft_generation(), _start_to_read(LEGACY)
        nft, legacy = _start_to_read(NFT)(), finish()
        now, texts = Fingerprint(generation, kept() or _digest(legacy)), {**nft, **legacy}
    there = {tools: rules for tools, rules in texts.items() if rules or tools.path("-restore")}
    readings = {tools: text.parse(rules.decode()) for tools, rules in there.items()}
    variant = choose_variant(settings["iptables_variant"], readings)
    rules = text.parse_files(wanted)
    parts: list[Part] = []
    warnings: list[str] = []
    left: list[Leftover] = []
    ours: dict[Tools, RuleSet] = {}
    # The wanted variant comes first: the new rules are there before the old ones let go.
    for tools in sorted(readings, key=lambda each: each.variant != variant):
        kernel, used = readings[tools], tools.variant == variant
        want = rules.get(tools.family, {}) if used else {}
        theirs = {table: chains for table, chains in kernel.items() if leftovers({table: chains})}
        # What a kubelet keeps for itself is in the way only where our rules are to be.
        if theirs and (want or owned(theirs)):
            left.append(_leftover(tools, theirs))
        if not settings["takeover"]:
            kernel = {table: marks(chains) if table in theirs else chains for table, chains in kernel.items()}
        found = owned(kernel)
        if found:
            ours[tools] = found
            if not used and wanted:
                warnings.append(f"rules of Sluice in iptables-{tools.variant} ({tools.family}) go: {variant} is used")
        part = Part(tools, plan(kernel, want, batches=tools.variant != LEGACY))
        if part.plan.changes:
            tools.require("-save")
            tools.require("-restore")
            parts.append(part)
    return IptablesLook(
        variant,
        parts,
        now,
        locked=locked,
        takeover=bool(settings["takeover"]),
        ours=ours,
        warnings=warnings,
        leftovers=left,
    )


def _leftover(tools: Tools, theirs: RuleSet) -> Leftover:
    """What somebody else has left in one variant and family."""
    first, *more = leftovers(theirs)
    name = f"{first} and {len(more)} more chains" if more else f"the chain {first}"
    return Leftover(f"{name} of {tools.name}", tools.family, frontends.service_addresses(theirs))
