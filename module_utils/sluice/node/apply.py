"""Bring a node's kernel to what its files say. The one way that Ansible, the boot unit and a person use."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .. import addresses
from ..backends.iptables import text as ruleset
from ..backends.iptables.kernel import LEGACY, NFT, Fingerprint, KernelError, Tools, choose_variant, nft_generation
from ..backends.iptables.plan import Change, Plan, diff, leftovers, owned, plan
from ..backends.iptables.text import RuleSet
from ..backends.ipvs import drain, ipset_text
from ..backends.ipvs import kernel as ipvs_kernel
from ..backends.ipvs import plan as ipvs_plan
from ..backends.ipvs import text as ipvs_text
from ..backends.ipvs.rules import DEVICE, Tables
from ..system import conntrack, links, owned_files
from ..system.locks import locked, xtables
from . import files, state, timer

ATTEMPTS = 3
"""How often an apply starts again because somebody else changed the kernel between its look and its change."""


class Wanted(NamedTuple):
    """What a node is to be: its files, its settings, and the text of each family's rules."""

    contents: Mapping[str, str]
    settings: dict[str, Any]
    texts: dict[str, str]
    source: str = "files"

    @property
    def tables(self) -> Tables:
        """All of IPVS mode's tables. Raises KernelError; so does whoever reads but a part of them."""
        with self.reading():
            return files.read_tables(self.contents) if files.IPVS_FILE in self.contents else files.NO_TABLES

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Says that the files are to blame for what is wrong with their text. Raises KernelError."""
        try:
            yield
        except ValueError as error:
            raise KernelError(f"{self.source}: not what Sluice wrote: {error}") from None

    @property
    def rules(self) -> dict[str, RuleSet]:
        return {family: ruleset.parse(text) for family, text in self.texts.items()}


class Part(NamedTuple):
    """The plan for one variant of iptables in one family."""

    tools: Tools
    plan: Plan


class IpvsLook(NamedTuple):
    """What an apply found of what IPVS mode keeps outside iptables: the plan for it, and which of ours there is."""

    plan: ipvs_plan.Plan
    holds: Callable[[], Tables]
    wanted: set[str]
    """The virtual servers that are wanted, as ipvsadm names them."""

    warnings: tuple[str, ...]


class Look(NamedTuple):
    """What an apply found: how the kernel differs, and what it would take."""

    variant: str
    parts: list[Part]
    warnings: list[str]
    fingerprint: Fingerprint
    before: Callable[[], dict[str, str]]
    """Gives what of ours the kernel holds now, as files that would bring it back."""
    known: state.Record | None = None
    """The record, where it could be relied on; else the kernel was read."""

    lock: contextlib.ExitStack | None = None
    """Holds the xtables lock, from before the look until the change is made; None where that is the tools' own care."""

    ipvs: IpvsLook | None = None
    """None where IPVS mode is neither used nor was."""

    @property
    def changes(self) -> tuple[Change | ipvs_plan.Change, ...]:
        ours = self.ipvs.plan.changes if self.ipvs else ()
        return (*ours, *(change for part in self.parts for change in part.plan.changes))


class Result(NamedTuple):
    """What an apply changed, or in check mode would change.

    ``flows``: UDP flows that were deleted; ``pending``: the change waits for its confirmation.
    """

    variant: str = ""
    parts: tuple[Part, ...] = ()
    ipvs: ipvs_plan.Plan | None = None
    flows: int = 0
    warnings: tuple[str, ...] = ()
    pending: bool = False

    @property
    def changes(self) -> tuple[Change | ipvs_plan.Change, ...]:
        return tuple(change for plan in self.plans for change in plan.changes)

    @property
    def plans(self) -> list[Plan | ipvs_plan.Plan]:
        """All plans that were carried out."""
        return [*([self.ipvs] if self.ipvs else []), *(part.plan for part in self.parts)]

    @property
    def lines(self) -> int:
        """Lines that were sent to the kernel."""
        return sum(plan.lines for plan in self.plans)

    @property
    def size(self) -> int:
        """Bytes that were sent to the kernel."""
        return sum(plan.size for plan in self.plans)

    @property
    def changed(self) -> bool:
        return bool(self.changes)

    def diff(self) -> list[str]:
        """How the kernel differed, a line a chain and a line a rule."""
        tables = ipvs_plan.diff(self.ipvs.changes) if self.ipvs else ()
        return [*tables, *(line for part in self.parts for line in diff(part.plan.changes, part.tools.name))]

    def counts(self) -> dict[str, int]:
        """Chains added, modified and removed; lines and bytes sent to the kernel; UDP flows deleted."""
        verbs = [change.verb for change in self.changes]
        return {
            "added": verbs.count("add"),
            "modified": verbs.count("change"),
            "removed": verbs.count("remove"),
            "lines": self.lines,
            "bytes": self.size,
            "flows": self.flows,
        }

    def summary(self) -> str:
        """The last line of ``sluice apply``."""
        details = " ".join(f"{name}={count}" for name, count in self.counts().items())
        return f"changed={len(self.changes)} {details}" if self.changed else "changed=0"


NOTHING: dict[str, Any] = {
    "backend": "iptables",
    "ip_families": [],
    "iptables_variant": "auto",
    "takeover": False,
    "ipvs_drain_seconds": 900,
}
"""Settings of a node that is to hold nothing of Sluice."""

_NOTHING = {files.SETTINGS_FILE: json.dumps(NOTHING)}


def load(directory: str, backend: str | None = None) -> Wanted:
    """What the files in ``directory`` say, for ``backend`` instead of theirs if one is given.

    Raises KernelError where a file is missing or is not what Sluice writes.
    """
    contents = {}
    for name in files.NAMES:
        path = os.path.join(directory, name)
        try:
            with open(path, encoding="utf-8") as stream:
                contents[name] = stream.read()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise KernelError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return parse(contents, directory, backend)


def parse(contents: Mapping[str, str], source: str = "files", backend: str | None = None) -> Wanted:
    """What files with these ``contents`` (by name) say. Raises KernelError, with ``source`` in its message."""
    try:
        settings = {**NOTHING, **json.loads(contents[files.SETTINGS_FILE])}
        settings["backend"] = backend or settings["backend"]
        if settings["backend"] not in files.BACKENDS:
            raise KernelError(f"the backend {settings['backend']} is not there yet")
        texts = {family: contents[files.RULES_FILES[family]] for family in settings["ip_families"]}
        names = [files.SETTINGS_FILE, *(files.RULES_FILES[family] for family in texts)]
        if settings["backend"] == "ipvs":
            names += [files.IPSET_FILE, files.IPVS_FILE, files.ADDRESSES_FILE]
        found = {name: contents[name] for name in names}
    except KeyError as error:
        raise KernelError(f"{source}: there is no {error.args[0]}") from None
    except (ValueError, TypeError) as error:
        raise KernelError(f"{source}: not what Sluice wrote: {error}") from None
    return Wanted(found, settings, texts, source)


def forget_unused_files(directory: str, wanted: Wanted) -> None:
    """Remove what another backend or family has left in ``directory`` beside the files of ``wanted``."""
    unused: owned_files.Contents = {
        os.path.join(directory, name): None for name in files.NAMES if name not in wanted.contents
    }
    owned_files.write(unused)


def apply(wanted: Wanted, *, check: bool = False, confirm: int = 0) -> Result:
    """Bring the kernel to what is ``wanted``; with ``check``, only say what that would change.

    ``confirm``: seconds until the node takes the change back unless ``confirm()`` is called; 0: it stays at once.
    Raises KernelError: what was asked cannot be
    done, and why; the kernel then holds what it held, or the part of the change that refers to nothing yet.
    """
    if check:
        return _result(_look(wanted))
    with locked():
        return _apply(wanted, confirm)


def _apply(wanted: Wanted, seconds: int = 0, *, keep: bool = True) -> Result:
    """What ``apply`` does under the node's lock. Without ``keep`` no generation is made of what is ``wanted``."""
    for attempt in range(1, ATTEMPTS + 1):
        with contextlib.ExitStack() as lock:
            if _changes_legacy(wanted):
                lock.enter_context(xtables())
                look = _look(wanted)._replace(lock=lock)
            else:
                look = _look(wanted)
            try:
                return _perform(wanted, look, seconds, keep=keep)
            except _KernelChanged as error:
                # Somebody else was quicker: look again. The record may have been what was wrong.
                state.forget_record()
                if attempt == ATTEMPTS:
                    raise KernelError(str(error)) from None
    raise AssertionError("unreachable")


def _changes_legacy(wanted: Wanted) -> bool:
    """Whether a change of iptables-legacy's rules is to be expected, and not the first one.

    iptables-legacy counts no changes. Only who has its lock from the look to the end knows what is there then, so that
    the next apply need not compare it all. That takes another reading: little beside a change, much beside the first.
    """
    known = state.record()
    if not state.active() or (known and known.variant != LEGACY):
        return False
    if known and known.digest == state.digest(wanted.contents):
        return False
    return Tools(LEGACY, addresses.IPV4).heeds_lock_file()


def remove(*, check: bool = False) -> Result:
    """Take everything of Sluice out of the kernel, whichever variant holds it. Other people's rules stay."""
    return apply(parse(_NOTHING), check=check)


def confirm() -> bool:
    """The change that waits is fine. Returns whether one waited. Raises KernelError where it was taken back."""
    with locked():
        waiting = state.pending()
        if waiting is None:
            note = state.note()
            if note:
                raise KernelError(f"the change was taken back at {note['time']}: {note['reason']}")
            return False
        timer.disarm(waiting.timer)
        state.forget_pending()
        state.forget_note()
        return True


def take_back(directory: str = files.DIRECTORY, *, change: str = "", check: bool = False) -> Result:
    """Take back the change that waits for its confirmation; with ``change``, only if it is the one of that name.

    The kernel gets what it held before, the files in ``directory`` what they said before.
    """
    with locked():
        waiting = state.pending()
        if waiting is None or change not in ("", waiting.change):
            return Result()  # confirmed in the last moment, or part of a later change that waits for longer
        said = _files_before(waiting)
        # Another boot, another kernel: what strangers had in that one went with it.
        before = waiting.contents if waiting.place == state.place() else said or _NOTHING
        if check:
            return apply(parse(before), check=True)
        # The note comes first: whatever happens next, the next run has to say that it was not asked for.
        with contextlib.suppress(OSError):  # a full disk is no reason to leave the change in force
            state.set_note(_UNCONFIRMED)
            state.set_active(waiting.generation)
        # A generation is made of what the files say, never of what strangers had in the kernel.
        result = _apply(parse(before), keep=before == said)
        _put_files(directory, said)
        state.forget_pending()
        if not state.note():  # now there may be room for it
            with contextlib.suppress(OSError):
                state.set_note(_UNCONFIRMED)
        return result


def _files_before(waiting: state.Pending) -> Mapping[str, str]:
    """What the node's files said before the change that waits; nothing where there were none of ours.

    Only a node that has lost its generations has them from the kernel, and never rules of strangers.
    """
    kept = _generation(waiting.generation)
    if kept and state.intact(waiting.generation, kept):
        return kept
    held = parse(waiting.contents)
    ours = held.texts and not any(leftovers(rules) for rules in held.rules.values())
    return waiting.contents if ours else {}


def roll_back(directory: str = files.DIRECTORY, *, check: bool = False) -> Result:
    """Put back the generation before this one, in the kernel and in ``directory``: the next boot does not undo it."""
    with locked():
        now = state.active()
        target = state.previous(now)
        if not target:
            raise KernelError("there is no earlier generation to go back to")
        before = state.contents(target)
        if not state.intact(target, before):
            raise KernelError(f"generation {target} is not what was kept: somebody has edited it")
        if check:
            return apply(parse(before), check=True)
        state.set_active(target)
        try:
            result = _apply(parse(before))
        except KernelError:
            state.set_active(now)
            raise
        _put_files(directory, before)
        return result


_UNCONFIRMED = "it was not confirmed in time"


def _put_files(directory: str, contents: Mapping[str, str]) -> None:
    wanted: owned_files.Contents = {os.path.join(directory, name): contents.get(name) for name in files.NAMES}
    owned_files.write(owned_files.differing(wanted))


class _KernelChanged(Exception):
    """A step was refused, as it is when the kernel is not what the plan was made for."""


def _look(wanted: Wanted) -> Look:
    """How the kernel differs from what is wanted: from the record where that still holds, else from the kernel."""
    finish = _start_to_read(LEGACY)
    known = state.record()
    before = _generation(known.generation) if known else {}
    if known and state.digest(before) != known.digest:
        known = None
    legacy = finish()
    ipvs = _look_at_ipvs(wanted)
    now = Fingerprint(nft_generation(), _digest(legacy))
    if (
        known
        and (known.place, known.nft, known.legacy) == (state.place(), *now)
        and wanted.settings["iptables_variant"] in ("auto", known.variant)
    ):
        return _look_at_record(wanted, known, before, now)._replace(ipvs=ipvs)
    look = _look_at_kernel(wanted, now, legacy)
    return look._replace(ipvs=ipvs, before=lambda: _with_tables(look.before(), ipvs))


def _start_to_read(variant: str) -> Callable[[], dict[Tools, bytes]]:
    """Start to read both families' rules; what is returned waits for them."""
    waiting = {Tools(variant, family): Tools(variant, family).reading() for family in addresses.FAMILIES}
    return lambda: {tools: wait() for tools, wait in waiting.items()}


def _digest(texts: Mapping[Tools, bytes]) -> str:
    return state.digest({tools.name: text for tools, text in texts.items()})


def _look_at_ipvs(wanted: Wanted) -> IpvsLook | None:
    """How sets, servers and addresses differ, and which of ours the kernel holds. Nothing there counts its changes."""
    claims = state.claims()
    if not (wanted.settings["backend"] == "ipvs" or claims or ipvs_kernel.device_exists()):
        return None
    if wanted.settings["backend"] == "ipvs":
        ipvs_kernel.require()
    kernel = ipvs_kernel.read()
    texts = [wanted.contents.get(name, "") for name in (files.IPSET_FILE, files.IPVS_FILE, files.ADDRESSES_FILE)]
    with wanted.reading():
        # Somebody else's virtual server stands in the way also where it is the same as ours.
        names = ipvs_text.names(texts[1])
        sets = ipset_text.difference(kernel.sets, texts[0])
        servers = ipvs_text.difference(kernel.servers, texts[1], names - claims)
        prefixes = ipvs_text.parse_addresses(texts[2])
    # An address that comes to a device of the node's own may be bound there by others who move it (VRRP).
    taken = {prefix for prefix in prefixes if prefix.partition("/")[0] in kernel.own}
    bound = tuple(prefix for prefix in prefixes if prefix not in taken)
    ours = {frontend for frontend in servers[0] if frontend.text in claims}
    have, want = Tables(sets[0], servers[0], kernel.addresses), Tables(sets[1], servers[1], bound)
    found = ipvs_plan.plan(have, want, ours)
    if found.clashes:
        raise KernelError("; ".join(found.clashes))
    if drain.pending(found.after) and not found.before:
        found = found._replace(changes=())  # another backend serves already, connections end
    warnings = tuple(f"{prefix} is the node's own: it is not bound again" for prefix in prefixes if prefix in taken)
    return IpvsLook(found, lambda: kernel.ours(claims), names, warnings)


def _with_tables(contents: dict[str, str], ipvs: IpvsLook | None) -> dict[str, str]:
    """Files of rules that the kernel holds, with those of the tables that go with them."""
    holds = ipvs.holds() if ipvs else files.NO_TABLES
    if ipvs is None or holds == files.NO_TABLES or drain.pending(ipvs.plan.after):
        return contents
    wanted = parse(contents)
    tables = wanted.tables
    if tables != files.NO_TABLES and not ipvs_plan.plan(holds, tables, holds.servers).changes:
        return contents
    settings = {**wanted.settings, "backend": "ipvs"}
    return {**contents, files.SETTINGS_FILE: json.dumps(settings), **files.tables_files(holds)}


def _look_at_record(wanted: Wanted, known: state.Record, before: dict[str, str], now: Fingerprint) -> Look:
    """Nobody has changed a rule since the last apply, so the kernel holds what that one left."""
    old = parse(before).texts
    parts = []
    for family in addresses.FAMILIES:
        texts = old.get(family, ""), wanted.texts.get(family, "")
        if texts[0] != texts[1]:
            have, want = ruleset.difference(*texts)
            tools = Tools(known.variant, family)
            parts.append(Part(tools, plan(have, want, batches=known.variant != LEGACY)))
    return Look(known.variant, parts, [], now, lambda: before, known)


def _look_at_kernel(wanted: Wanted, now: Fingerprint, legacy: dict[Tools, bytes]) -> Look:
    """All rules, of both variants and families: ours may be in any of them. ``legacy`` has been read already."""
    texts = {**_start_to_read(NFT)(), **legacy}
    readings = {tools: ruleset.parse(text.decode()) for tools, text in texts.items() if tools.path("-restore")}
    variant = choose_variant(wanted.settings["iptables_variant"], readings)
    rules = wanted.rules
    parts: list[Part] = []
    warnings: list[str] = []
    held: dict[Tools, RuleSet] = {}
    # The wanted variant comes first: the new rules are there before the old ones let go.
    for tools in sorted(readings, key=lambda each: each.variant != variant):
        kernel, used = readings[tools], tools.variant == variant
        want = rules.get(tools.family, {}) if used else {}
        strange = leftovers(kernel)
        if strange and not wanted.settings["takeover"]:
            if want:
                raise KernelError(
                    f"a kube-proxy or a kubelet has left {strange[0]} and {len(strange) - 1} more chains here; "
                    "sluice_takeover: true says that they may be replaced"
                )
            # Not ours, in a variant or family that we do not use: not ours to remove.
            kernel = {table: chains for table, chains in kernel.items() if not leftovers({table: chains})}
        mine = owned(kernel)
        if mine:
            held[tools] = mine
            if not used and wanted.texts:
                warnings.append(f"rules of Sluice in iptables-{tools.variant} ({tools.family}) go: {variant} is used")
        parts.append(Part(tools, plan(kernel, want, batches=tools.variant != LEGACY)))
    needed = [part for part in parts if part.plan.changes]
    return Look(variant, needed, warnings, now, lambda: _as_kept(_files_of(held, wanted)))


def _files_of(held: dict[Tools, RuleSet], wanted: Wanted) -> dict[str, str]:
    """Rules that the kernel holds, as files that would bring them back, also those that ``wanted`` takes over."""
    families = [tools.family for tools in held]
    variant = next((tools.variant for tools in held), "auto")
    settings = {**NOTHING, "ip_families": families, "iptables_variant": variant}
    settings["takeover"] = wanted.settings["takeover"]
    rules = {files.RULES_FILES[tools.family]: ruleset.text(rules) for tools, rules in held.items()}
    return {files.SETTINGS_FILE: json.dumps(settings), **rules}


def _as_kept(found: dict[str, str]) -> dict[str, str]:
    """The generation in force, with all of its settings, where the kernel holds just its rules; else ``found``."""
    generation = state.active()
    kept = _generation(generation)
    if kept and state.intact(generation, kept) and parse(kept).rules == parse(found).rules:
        return kept
    return found


def _perform(wanted: Wanted, look: Look, seconds: int, *, keep: bool) -> Result:
    """Carry out what was planned, then keep what the next apply and a rollback need."""
    warnings: list[str] = []
    flows = 0
    now: Fingerprint | None = look.fingerprint
    # An apply that was killed may have left flows of the generation that is still said to be in force.
    unfinished = _generation(state.active()) if state.unfinished() else {}
    if look.changes:
        if seconds:
            _arm(look, seconds)
        state.forget_record()
        with contextlib.suppress(OSError):
            state.begin()
    legacy = _carry_out(wanted, look)
    if look.changes:
        now = _fingerprint_after(look, legacy)
    if unfinished or _touches_udp(look):
        flows = _forget_flows(wanted, [look.before(), unfinished], warnings)
    if keep:
        _keep(wanted, look, now, warnings)
    state.finish()
    # A change of an earlier run may still wait: this run is as good to confirm it.
    return _result(look, flows, warnings, pending=bool(seconds) and state.waits())


def _carry_out(wanted: Wanted, look: Look) -> str | None:
    """What rules refer to comes before them, what they referred to goes after them. Returns what ``_send`` does."""
    if not look.ipvs:
        return _send(look)
    # Claimed before they are there: whatever ends this, the next apply knows them for ours.
    claims = look.ipvs.wanted
    state.set_claims(state.claims() | claims)
    plan = look.ipvs.plan
    try:
        ipvs_kernel.carry_out(plan.before)
    except KernelError as error:
        raise _KernelChanged(str(error)) from None
    legacy = _send(look)
    serves = wanted.settings["backend"] == "ipvs"
    # Where another backend serves now, connections that IPVS still has end there first.
    later = plan.later if wanted.texts and not serves else ()
    ipvs_kernel.carry_out(step for step in plan.after if step not in later)
    frontends = look.ipvs.holds().servers if later else ()
    drain.update(plan.draining, wanted.settings["ipvs_drain_seconds"], later, frontends)
    if not drain.read():
        state.set_claims(claims)
        if not serves:
            ipvs_kernel.remove_device()
    return legacy


def _send(look: Look) -> str | None:
    """Carry out what was planned for iptables.

    Returns the digest of iptables-legacy's rules after it; None where somebody else may have changed them meanwhile.
    """
    for part in look.parts:
        for step in part.plan.steps:
            try:
                part.tools.restore(step, locked=look.lock is not None)
            except KernelError as error:
                raise _KernelChanged(str(error)) from None
    if all(part.tools.variant != LEGACY for part in look.parts):
        return look.fingerprint.legacy
    if look.lock is None:
        return None
    with look.lock:
        return _digest(_start_to_read(LEGACY)())


def _arm(look: Look, seconds: int) -> None:
    """Have the node take the change back by itself. An earlier change that still waits goes with this one."""
    waiting = state.pending()
    before, generation = look.before(), state.active()
    if waiting:
        before, generation = waiting.contents, waiting.generation
    change = f"{time.time_ns():x}"
    armed = ""
    try:
        # Armed before it is written down: a timer whose change does not wait does nothing.
        armed = timer.arm(seconds, change)
        deadline = time.time() + seconds
        state.set_pending(state.Pending(before, generation, change, deadline, armed, state.place()))
    except OSError as error:
        if armed:
            timer.disarm(armed)
        raise KernelError(f"{error.filename or state.ROOT}: {error.strerror}: nothing was changed") from None
    if waiting:
        timer.disarm(waiting.timer)


def _generation(number: int) -> dict[str, str]:
    """The files of a generation, none where it is not there."""
    try:
        return state.contents(number)
    except OSError:
        return {}


def _touches_udp(look: Look) -> bool:
    servers = (change.name for change in look.ipvs.plan.changes) if look.ipvs else ()
    return any(name.startswith("-u ") for name in servers) or conntrack.touches_udp(
        change for part in look.parts for change in part.plan.changes
    )


def _front_ends(contents: Mapping[str, str], family: str) -> conntrack.Frontends:
    """The UDP front ends that files hold."""
    rules = conntrack.frontends(ruleset.parse(contents.get(files.RULES_FILES[family], "")))
    return {**rules, **conntrack.virtual_servers(ipvs_text.parse(contents.get(files.IPVS_FILE, "")))}


def _forget_flows(wanted: Wanted, before: Iterable[Mapping[str, str]], warnings: list[str]) -> int:
    """Delete the UDP flows that are left of what was ``before``. A node without conntrack(8) gets a warning."""
    count = 0
    try:
        local = links.own_addresses(links.prefixes(), DEVICE)
        for family in wanted.texts or addresses.FAMILIES:
            flows, new = conntrack.udp_flows(family), _front_ends(wanted.contents, family)
            for contents in before if flows else ():
                moved = bool(contents) and parse(contents).settings["backend"] != wanted.settings["backend"]
                left = conntrack.stale(flows, _front_ends(contents, family), new, local, moved=moved)
                count += conntrack.delete(left)
                flows = [flow for flow in flows if flow not in left]
    except KernelError as error:
        warnings.append(str(error))
    return count


def _keep(wanted: Wanted, look: Look, now: Fingerprint | None, warnings: list[str]) -> None:
    """Keep this generation and what the kernel holds ``now``; without it the next apply is slower, not wrong."""
    if look.known and look.before() == wanted.contents:
        return
    try:
        digest, generation = state.digest(wanted.contents), state.active()
        same = look.known is not None and look.known.generation == generation
        if (look.before() if same else _generation(generation)) != wanted.contents:
            generation = state.keep(wanted.contents, digest, generation)
        if now:
            state.set_record(state.Record(state.place(), *now, look.variant, digest, generation))
    except OSError as error:
        warnings.append(f"{error.filename or state.ROOT}: {error.strerror}: the next apply has to read all rules")


def _fingerprint_after(look: Look, legacy: str | None) -> Fingerprint | None:
    """The fingerprint after the change, or None where somebody else may have changed a rule meanwhile.

    nf_tables counts transactions, so ours can be taken from the count. ``legacy`` is what ``_send`` says.
    """
    if legacy is None:
        return None
    steps = [step for part in look.parts if part.tools.variant == NFT for step in part.plan.steps]
    now = Fingerprint(look.fingerprint.nft + sum(step.count("\nCOMMIT\n") for step in steps), legacy)
    return now if nft_generation() == now.nft else None


def _result(look: Look, flows: int = 0, warnings: Iterable[str] = (), *, pending: bool = False) -> Result:
    told = (*look.warnings, *(look.ipvs.warnings if look.ipvs else ()), *warnings)
    plan = look.ipvs.plan if look.ipvs else None
    return Result(look.variant, tuple(look.parts), plan, flows, told, pending)
