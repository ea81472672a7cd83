"""Bring a node's kernel to what its files say. The one way that Ansible, the boot unit and a person use."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from typing import Any, Iterator, Mapping, NamedTuple

from . import addresses, files, ruleset
from .iptables_kernel import LEGACY, VARIANTS, KernelError, Tools, choose_variant, lock_holder
from .plan import Change, Plan, diff, leftovers, owned, plan
from .ruleset import RuleSet

LOCK_FILE = "/run/sluice.lock"
LOCK_SECONDS = 60


class Part(NamedTuple):
    """The plan for one variant of iptables in one family."""

    tools: Tools
    plan: Plan


class Result(NamedTuple):
    """What an apply changed, or in check mode would change. ``lines`` and ``size`` (bytes) went to the kernel."""

    variant: str
    changes: tuple[Change, ...]
    diff: tuple[str, ...]
    lines: int
    size: int
    warnings: tuple[str, ...]

    @property
    def changed(self) -> bool:
        return bool(self.changes)

    def counts(self) -> dict[str, int]:
        """Numbers by what happened: chains added, changed, removed; lines and bytes sent."""
        verbs = [change.verb for change in self.changes]
        return {
            "added": verbs.count("add"),
            "modified": verbs.count("change"),
            "removed": verbs.count("remove"),
            "lines": self.lines,
            "bytes": self.size,
        }

    def summary(self) -> str:
        """The last line of ``sluice apply``."""
        details = " ".join(f"{name}={count}" for name, count in self.counts().items())
        return f"changed={len(self.changes)} {details}" if self.changed else "changed=0"


class Wanted(NamedTuple):
    """What a node is to be: its settings, and the rule set of each family."""

    settings: dict[str, Any]
    rules: dict[str, RuleSet]


def load(directory: str) -> Wanted:
    """What the files in ``directory`` say. Raises KernelError where one is missing or is not what Sluice writes."""
    contents = {}
    for name in (files.SETTINGS_FILE, *files.RULES_FILES.values()):
        path = os.path.join(directory, name)
        try:
            with open(path, encoding="utf-8") as stream:
                contents[name] = stream.read()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise KernelError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return parse(contents, directory)


def parse(contents: Mapping[str, str], source: str = "files") -> Wanted:
    """What files with these ``contents`` (by name) say. Raises KernelError, with ``source`` in its message."""
    try:
        settings = json.loads(contents[files.SETTINGS_FILE])
        rules = {family: ruleset.parse(contents[files.RULES_FILES[family]]) for family in settings["ip_families"]}
        return Wanted(settings, rules)
    except KeyError as error:
        raise KernelError(f"{source}: there is no {error.args[0]}") from None
    except (ValueError, TypeError) as error:
        raise KernelError(f"{source}: not what Sluice wrote: {error}") from None


def apply(wanted: Wanted, *, check: bool = False) -> Result:
    """Bring the kernel to what is ``wanted``; with ``check``, only say what that would change.

    Raises KernelError: what was asked cannot be done, and why.
    """
    variant = choose_variant(wanted.settings["iptables_variant"], tuple(wanted.rules))
    return _bring(variant, wanted.rules, takeover=wanted.settings["takeover"], check=check)


def remove(*, check: bool = False) -> Result:
    """Take everything of Sluice out of the kernel, whichever variant holds it. Other people's rules stay."""
    return _bring("", {}, takeover=False, check=check)


def _bring(variant: str, wanted: dict[str, RuleSet], *, takeover: bool, check: bool) -> Result:
    with contextlib.nullcontext() if check else locked():
        parts, warnings = _parts(variant, wanted, takeover)
        if not check:
            for part in parts:
                for step in part.plan.steps:
                    part.tools.restore(step)
    changes = tuple(change for part in parts for change in part.plan.changes)
    lines = tuple(line for part in parts for line in diff(part.plan.changes, part.tools.name))
    return Result(
        variant=variant,
        changes=changes,
        diff=lines,
        lines=sum(part.plan.lines for part in parts),
        size=sum(part.plan.size for part in parts),
        warnings=tuple(warnings),
    )


def _parts(variant: str, wanted: dict[str, RuleSet], takeover: bool) -> tuple[list[Part], list[str]]:
    """A plan for each variant and family: the wanted one first, so that the old lets go when the new is there."""
    parts: list[Part] = []
    warnings: list[str] = []
    strangers: list[str] = []
    for used in sorted(VARIANTS, key=lambda each: each != variant):
        for family in addresses.FAMILIES:
            tools = Tools(used, family)
            if not tools.path("-restore"):
                continue
            kernel = tools.read()
            mine = wanted.get(family, {}) if used == variant else {}
            strange = leftovers(kernel)
            if strange and not takeover:
                if used == variant:
                    strangers += strange
                # What is not ours in a variant or family that we do not use is not ours to remove.
                kernel = {table: chains for table, chains in kernel.items() if not leftovers({table: chains})}
            elif not mine and used != variant and variant and owned(kernel):
                warnings.append(f"rules of Sluice in iptables-{used} ({family}) are removed: {variant} is used now")
            parts.append(Part(tools, plan(kernel, mine, batches=used != LEGACY)))
    if strangers:
        raise KernelError(
            f"a kube-proxy or a kubelet has left {strangers[0]} and {len(strangers) - 1} more of its chains here; "
            "sluice_takeover: true says that they may be replaced"
        )
    return parts, warnings


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One apply at a time on a node. Waits, and says who holds the lock when time runs out."""
    with open(LOCK_FILE, "a", encoding="ascii") as stream:
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    holder = lock_holder(LOCK_FILE)
                    raise KernelError(f"another apply is running: {holder} holds {LOCK_FILE}") from None
                time.sleep(0.05)
        yield
