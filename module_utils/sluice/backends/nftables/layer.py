"""The layer of our nftables tables, ``ip sluice`` and ``ip6 sluice``."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...system.netlink import nft_generation
from ...system.tools import NodeError
from ..interface import (
    NOTHING_HELD,
    Amount,
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
)
from . import elements, frontends, kernel, netlink, text
from .elements import Lines, Renumbering
from .layout import AFFINITY, FAMILIES, FLOWTABLE, TABLE
from .plan import NO_PLAN, Plan, plan
from .text import NO_TABLE, Table


class Known(NamedTuple):
    """What the last apply left in the kernel, if nobody has changed anything of nftables since ``generation``.

    ``numbers``: by family those that are not the ones of the files.
    """

    generation: int = -1
    numbers: Mapping[str, Renumbering] = {}


class Part(NamedTuple):
    """What is to be done in one family.

    ``make``: a script for nft that makes what elements are going to refer to. ``replace``: one that goes with the
    elements and changes chains; with ``anew`` it makes the table with all of its elements. ``unused``: chains that
    nothing leads to then. ``remove``: tables that go, in the end.
    """

    family: str
    table: Table
    make: str = ""
    replace: str = ""
    anew: bool = False
    plan: Plan = NO_PLAN
    unused: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


_TAKEN = "tables_taken"
"""What no variable sets: scripts for the tables that a takeover removes, by name, of which a rollback is to be told."""


class Others(NamedTuple):
    """Tables of other proxies: those that are left, and scripts that bring back what a takeover removed, by name."""

    leftovers: Sequence[Leftover] = ()
    back: Mapping[str, str] = {}
    warnings: Sequence[str] = ()


NO_OTHERS = Others()


class NftablesLook:
    """How the tables differ.

    ``recorded``: the files that the kernel is known to hold, None where it was read, into ``found``.
    """

    details: Mapping[str, str] = {}

    def __init__(
        self,
        parts: Sequence[Part],
        generation: int,
        recorded: Files | None,
        found: Mapping[str, kernel.Held],
        others: Others = NO_OTHERS,
    ) -> None:
        self.warnings = others.warnings
        self.leftovers = others.leftovers
        self.changes = [change for part in parts for change in part.changes]
        self.changes += [Change(f"table {name}", "add") for name in others.back]
        self.udp = any(part.make or part.remove or frontends.touch_udp(part.plan.changes) for part in parts)
        scripts = [script for part in parts for script in (part.make, part.replace)]
        entries = [(entry, part.family) for part in parts for entry in part.plan.changes]
        self.amount = Amount(
            sum(text.count("\n") for text in scripts)
            + sum(len(entry[0].removed) + len(entry[0].added) for entry in entries),
            sum(map(len, scripts)) + sum(netlink.size(*entry) for entry in entries),
        )
        self._parts = parts
        self._others = others
        self._generation = generation
        self._recorded = recorded
        self._found = found
        self._sent = False

    def holds(self, files: Files) -> bool:
        if self._recorded is not None:
            return files == self._recorded
        wanted = _possible(text.tables(files.get(text.FILE, "")))
        return wanted.keys() == self._found.keys() and all(
            self._found[family].frame.made_of == _digests(text.skeleton(table.skeleton))
            and self._found[family].frame.devices == text.devices(table.skeleton)
            and not plan(self._found[family].elements, _elements(table, family)).changes
            for family, table in wanted.items()
        )

    def held(self) -> Held:
        if self._recorded is not None:
            return Held(self._recorded, {"ip_families": list(text.tables(self._recorded[text.FILE]))})
        taken = {_TAKEN: kernel.others_text(self.leftovers)} if self.leftovers else {}
        if not self._found:
            return NOTHING_HELD._replace(settings=taken)
        listed = {
            family: text.of_listing(
                family,
                kernel.listed(family),
                {name: text.lines(Lines(name, entries, family)) for name, entries in held.elements.items()},
            )
            for family, held in self._found.items()
        }
        return Held({text.FILE: text.HEADER + "".join(listed.values())}, {"ip_families": list(listed), **taken})

    def send(self, phase: Phase) -> None:
        if phase == Phase.PREPARE:
            for script in (*self._others.back.values(), *(part.make for part in self._parts)):
                self._load(script)
        elif phase == Phase.SWITCH:
            for part in self._parts:
                self._load(part.replace)
            sent = {part.family: part.plan.changes for part in self._parts if part.plan.changes and not part.anew}
            if sent:
                kernel.commit(sent, self._generation)
                self._generation += 1
        else:
            self._sent = True
            for part in self._parts:
                if part.unused:
                    kernel.delete_chains(part.family, part.unused)
                    self._generation += 1
                if part.make or part.replace or part.unused:
                    kernel.note(part.family, _digests(text.skeleton(part.table.skeleton)), self._generation)
                    self._generation += 1
                for name in part.remove:
                    kernel.delete_table(part.family, name)
                    self._generation += 1

    def _load(self, script: str) -> None:
        """A script of nft's does not name the rule set that it was made for: that it met another one is seen after."""
        if not script:
            return
        kernel.load(script)
        self._generation += 1
        if nft_generation() != self._generation:
            raise KernelChanged("somebody else has changed nftables meanwhile")

    def memory(self) -> Memory:
        """The tables are ours by their name: nothing has to be claimed."""
        used = {part.family: part for part in self._parts if part.table != NO_TABLE}
        if not (self._sent and used):
            return Memory()
        if nft_generation() != self._generation:
            return Memory()
        numbers = {family: part.plan.renumbering for family, part in used.items()}
        return Memory(_as_json(Known(self._generation, numbers)))


class NftablesLayer:
    """See ``interface.Layer``."""

    name = "nftables"
    settings: Mapping[str, Any] = {}
    devices: Sequence[str] = ()
    remembers: Mapping[str, Form] = {}
    waiting = ""

    def files(self, families: Sequence[str]) -> Sequence[str]:
        return (text.FILE,) if families else ()

    @contextlib.contextmanager
    def look(
        self, wanted: Files, last: Files, memory: Memory, settings: Mapping[str, Any], *, check: bool
    ) -> Iterator[NftablesLook]:
        known, generation = _of_json(memory.record), nft_generation()
        tables = _possible(text.tables(wanted.get(text.FILE, "")))
        former = text.tables(last.get(text.FILE, ""))
        if known.generation == generation and former:
            former = _in_force(former)
            parts = [
                _from_record(family, tables.get(family, NO_TABLE), former.get(family, NO_TABLE), known)
                for family in FAMILIES
            ]
            yield NftablesLook(parts, generation, last, {})
            return
        # Without a generation the kernel has no nf_tables: nothing is held, and what is wanted is refused by nft.
        found = {family: held for family in FAMILIES if generation and (held := kernel.read(family)) is not None}
        taken = settings.get(_TAKEN, {})
        others = {family: kernel.others(family) if generation else [] for family in FAMILIES}
        former, takeover = _possible(former), settings["takeover"] and not taken
        parts = [
            _from_kernel(
                family,
                tables.get(family, NO_TABLE),
                former.get(family, NO_TABLE),
                found.get(family),
                others[family] if takeover else (),
            )
            for family in FAMILIES
        ]
        leftovers = [
            Leftover(f"the table {FAMILIES[family]} {name}", family, kernel.service_addresses(family, name))
            for family, names in others.items()
            for name in names
        ]
        there = {f"{FAMILIES[family]} {name}" for family, names in others.items() for name in names}
        gone = {name: script for name, script in taken.items() if name not in there}
        yield NftablesLook(parts, generation, None, found, _others(leftovers, gone))

    def frontends(self, files: Files, family: str) -> Frontends:
        return frontends.frontends(text.tables(files.get(text.FILE, "")).get(family, NO_TABLE))

    def counters(self, *, endpoints: bool = True) -> Counters:
        return kernel.counters()

    def ours(self, files: Files) -> bool:
        return True  # only tables of our name are ever held

    def settle(self, memory: Memory, now: float) -> Memory:
        return memory


LAYER = NftablesLayer()


def _from_record(family: str, wanted: Table, last: Table, known: Known) -> Part:
    """What is different in the files is different in the kernel."""
    if wanted == NO_TABLE or last == NO_TABLE:
        return _whole(family, wanted, None, there=last != NO_TABLE)
    before, after = text.different(last, wanted)
    numbers = known.numbers.get(family, Renumbering())
    old = elements.parse(before, family)
    found = plan(elements.renumbered(old, numbers), elements.parse(after, family), numbers, old)
    if not found.changes and text.without_sizes(last.skeleton) == text.without_sizes(wanted.skeleton):
        return Part(family, wanted, plan=found)
    frame = kernel.frame(family)
    if frame is None:
        raise KernelChanged(f"table {FAMILIES[family]} {TABLE} has gone meanwhile")
    counts = {name: str(piece).count("\n") for name, piece in wanted.elements.items()}
    skeleton = text.skeleton(last.skeleton)
    is_like = _digests(skeleton)[0] == _digests(text.skeleton(wanted.skeleton))[0]
    return _part(family, wanted, found, skeleton.chains, frame, counts, is_like=is_like)


def _others(leftovers: Sequence[Leftover], gone: Mapping[str, str]) -> Others:
    """``gone``: tables that are to come back, as nft printed them. What it does not take any more is only told."""
    back, warnings = {}, []
    for name, script in gone.items():
        try:
            kernel.check(script)
            back[name] = script
        except NodeError as error:
            warnings.append(f"the table {name} does not come back, start its kube-proxy: {error}")
    return Others(leftovers, back, warnings)


def _from_kernel(family: str, wanted: Table, last: Table, held: kernel.Held | None, others: Sequence[str]) -> Part:
    """What the kernel holds is compared with all that the files say.

    ``last``: the table of the last apply, which chains may still be made of; of its elements nothing is believed.
    ``others``: tables of other proxies that go.
    """
    if wanted == NO_TABLE or held is None:
        return _whole(family, wanted, held, there=held is not None, others=others)
    want = _elements(wanted, family)
    found = plan(held.elements, want)
    skeleton = text.skeleton(wanted.skeleton)
    of_sets = _digests(skeleton)[0]
    known = (each for each in (skeleton, text.skeleton(last.skeleton)) if held.frame.made_of[1] == _digests(each)[1])
    chains = next((each.chains for each in known), None)
    counts = {name: len(entries) for name, entries in want.items()}
    part = _part(family, wanted, found, chains, held.frame, counts, is_like=held.frame.made_of[0] == of_sets)
    gone = tuple(Change(f"table {FAMILIES[family]} {name}", "remove") for name in others)
    return part._replace(remove=(*part.remove, *others), changes=(*part.changes, *gone))


def _whole(family: str, wanted: Table, held: kernel.Held | None, *, there: bool, others: Sequence[str] = ()) -> Part:
    """A table that comes or goes as a whole."""
    name = f"table {FAMILIES[family]} {TABLE}"
    gone = tuple(Change(f"table {FAMILIES[family]} {other}", "remove") for other in others)
    if wanted == NO_TABLE:
        entries = held.elements if held else {}
        what = _shown(family, [netlink.Change(each, found, {}) for each, found in entries.items() if found])
        changes = (*what, Change(name, "remove")) if there else ()
        return Part(family, wanted, remove=((TABLE,) if there else ()) + tuple(others), changes=(*changes, *gone))
    skeleton = text.skeleton(wanted.skeleton)
    script = kernel.whole(family, skeleton)
    kernel.check(script)
    found = plan({}, _elements(wanted, family))
    changes = (Change(name, "add"), *_shown(family, found.changes), *gone)
    return Part(family, wanted, make=script, plan=found, remove=tuple(others), changes=changes)


def _part(
    family: str,
    wanted: Table,
    found: Plan,
    chains: Mapping[str, str] | None,
    frame: netlink.Frame,
    counts: Mapping[str, int],
    *,
    is_like: bool,
) -> Part:
    """A table that stays.

    ``chains``: the rules that it has, None where they are not known. ``is_like``: its sets and maps are defined as they
    are to be, but for their sizes.
    """
    skeleton = text.skeleton(wanted.skeleton)
    have = dict.fromkeys(frame.chains, "") if chains is None else chains
    added = [name for name in skeleton.chains if name not in have]
    changed = [name for name, rules in skeleton.chains.items() if name in have and have[name] != rules]
    unused = tuple(name for name in have if name not in skeleton.chains)
    if chains is None:
        shown = [Change(f"chains of table {FAMILIES[family]} {TABLE}", "change")]
    else:
        names = sorted({*added, *changed, *unused})
        shown = [_shown_chain(family, name, have.get(name), skeleton.chains.get(name)) for name in names]
    if not is_like:
        shown.append(Change(f"sets of table {FAMILIES[family]} {TABLE}", "change"))
    devices = text.devices(wanted.skeleton)
    if frame.devices != devices:
        shown.append(Change(f"flowtable {FAMILIES[family]} {TABLE} {FLOWTABLE}", "change", frame.devices, devices))
        if is_like:
            kernel.check(kernel.whole(family, skeleton))
    part = Part(family, wanted, plan=found, unused=unused, changes=(*shown, *_shown(family, found.changes)))
    # What cannot be changed in place.
    if not is_like or frame.devices != devices or _lacks_room(found, frame.sizes, counts):
        entries = elements.renumbered(_elements(wanted, family), found.renumbering)
        lines = {name: elements.lines(name, each, family) for name, each in entries.items()}
        clients = kernel.affinity(family, skeleton.sizes[AFFINITY])
        script = kernel.anew(family, skeleton, {**lines, **clients})
        return part._replace(replace=script, anew=True, unused=())
    if changed:
        script = kernel.chains_anew(family, skeleton)
        kernel.check(script)
        return part._replace(replace=script)
    return part._replace(make=kernel.chains(family, skeleton, added) if added else "")


def _lacks_room(found: Plan, sizes: Mapping[str, int], counts: Mapping[str, int]) -> bool:
    """Whether a set is missing, or too small for what it holds and gets: what goes is there until the end."""
    return any(
        change.name not in sizes or 0 < sizes[change.name] < counts.get(change.name, 0) + len(change.removed)
        for change in found.changes
    )


def _possible(tables: Mapping[str, Table]) -> dict[str, Table]:
    """The tables as far as this node's devices are there: at boot some are not, and come later."""
    there = kernel.devices() if any(text.devices(table.skeleton) for table in tables.values()) else []
    return {family: text.with_devices(table, there) for family, table in tables.items()}


def _in_force(tables: Mapping[str, Table]) -> dict[str, Table]:
    """The tables that the kernel holds: a device that ended has left them."""
    return {
        family: text.with_devices(table, kernel.offloading(family)) if text.devices(table.skeleton) else table
        for family, table in tables.items()
    }


def _digests(skeleton: text.Skeleton) -> tuple[str, str]:
    """Of the sets and of the chains, but for the sizes of sets that grow: the kernel may have larger ones."""
    sets = "".join(f"{name} {text.without_sizes(body)}" for name, body in skeleton.sets.items())
    chains = "".join(f"{name}\n{body}" for name, body in skeleton.chains.items())
    one, two = (hashlib.sha256(each.encode()).hexdigest()[: netlink.DIGEST] for each in (sets, chains))
    return one, two


def _elements(table: Table, family: str) -> elements.Elements:
    return elements.parse({name: str(piece) for name, piece in table.elements.items()}, family)


def _shown(family: str, changes: Sequence[netlink.Change]) -> list[Change]:
    """Changes of elements as they are reported."""
    return [
        Change(
            f"{text.SETS[each.name]} {FAMILIES[family]} {TABLE} {each.name}",
            "change" if each.removed and each.added else "add" if each.added else "remove",
            Lines(each.name, each.removed, family),
            Lines(each.name, each.added, family),
        )
        for each in changes
    ]


def _shown_chain(family: str, name: str, old: str | None, new: str | None) -> Change:
    verb = "add" if old is None else "remove" if new is None else "change"
    before, after = (tuple(line.strip() for line in (rules or "").splitlines()) for rules in (old, new))
    return Change(f"chain {FAMILIES[family]} {TABLE} {name}", verb, before, after)


def _as_json(known: Known) -> dict[str, Any]:
    numbers = {
        family: {
            "services": list(each.services.items()),
            "endpoints": [[*key, own] for key, own in each.endpoints.items()],
        }
        for family, each in known.numbers.items()
        if each
    }
    return {**known._asdict(), "numbers": numbers}


def _of_json(record: Mapping[str, Any]) -> Known:
    """The record; nothing where there is none, or somebody has edited it."""
    try:
        numbers = {
            family: Renumbering(
                {int(number): int(own) for number, own in each["services"]},
                {(int(service), int(number)): int(own) for service, number, own in each["endpoints"]},
            )
            for family, each in record["numbers"].items()
        }
        return Known(int(record["generation"]), numbers)
    except (LookupError, TypeError, ValueError, AttributeError):
        return Known()
