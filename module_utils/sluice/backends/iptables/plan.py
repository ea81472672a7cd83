"""From what the kernel holds to a rule set: the smallest ordered change.

Three steps: new chains that nothing refers to yet; one transaction that changes the chains in use, the dispatch
and the jumps from built-in chains; then what nothing refers to any more goes. So no packet ever meets half a change.
Pure: the texts it yields are for iptables-restore(8) with ``--noflush``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from .ownership import is_ours, target_of
from .text import BUILT_IN, HOST_PORTS_CHAIN, OWNER_CHAIN, RuleSet

BATCH_CHAINS = 500
"""New chains per transaction. iptables-nft-restore --noflush takes time with the square of a transaction's chains
(57 s for 30,000 in one, 2 s in batches of 500)."""

SINGLE_LINES = 1000
"""Plans of up to this many lines are one transaction: each step less saves a process and a look at the kernel."""

MANY_CHAINS = 2000
"""Chains in use that change in one transaction: more take so long that they change in batches."""

SEARCHED = 250
"""Rules that iptables-nft-restore compares, to find one that goes, in the time in which it writes one. 10,000 that went
one by one from a chain of 20,000 took 83 s, the other 10,000 anew 0.6 s."""

Lines = dict[str, list[str]]
"""Lines for iptables-restore, by table."""


class ChainChange(NamedTuple):
    """What happens to one chain: ``verb`` is ``add``, ``change`` or ``remove``; rules removed and added."""

    table: str
    chain: str
    verb: str
    removed: tuple[str, ...]
    added: tuple[str, ...]


class Plan(NamedTuple):
    """An ordered change. ``steps`` are texts for iptables-restore, each atomic per table."""

    steps: tuple[str, ...]
    changes: tuple[ChainChange, ...]


def plan(kernel: RuleSet, wanted: RuleSet, *, batches: bool = True) -> Plan:
    """The plan that brings ``kernel`` to ``wanted``. Rules of others stay where they are.

    Whoever sends its steps may be killed between any two of them, or between two tables of one. So OWNER_CHAIN comes
    in the first transaction of its table and goes in the last.

    ``batches``: several transactions for what is new or goes, where it is much. iptables-legacy replaces a whole
    table each time, so there one transaction is both atomic and the fastest.
    """
    new: list[Lines] = []
    use: Lines = {}
    gone: list[Lines] = []
    changes: list[ChainChange] = []
    for table in dict.fromkeys([*wanted, *kernel]):
        have, want = kernel.get(table, {}), wanted.get(table, {})
        fresh = [chain for chain in want if is_ours(chain) and chain not in have]
        stale = [chain for chain in have if is_ours(chain) and chain not in want]
        order = _referred_first(fresh, want) if batches else fresh
        new += _batched(table, [_whole(chain, want[chain]) for chain in order])
        in_use: list[list[str]] = []
        if OWNER_CHAIN in stale and have[OWNER_CHAIN]:
            in_use.append(_whole(OWNER_CHAIN, []))  # somebody's rule in it would keep another chain from going
        for chain in dict.fromkeys([*want, *have]):
            if is_ours(chain):
                if chain not in have or chain not in want or have[chain] == want[chain]:
                    continue
                in_use.append(_rewritten(chain, have[chain], want[chain]))
                changes.append(_change(table, chain, "change", have[chain], want[chain]))
            else:
                mine = [rule for rule in have.get(chain, []) if is_ours(target_of(rule))]
                if chain not in BUILT_IN.get(table, ()):
                    # Somebody's own chain: its jump to ours is removed only along with the chain that it jumps to.
                    mine = [rule for rule in mine if target_of(rule) not in want]
                    if mine:
                        in_use.append([f"-D {chain} {rule}" for rule in mine])
                        changes.append(_change(table, chain, "change", mine, []))
                    continue
                lines = _jumps(chain, have.get(chain, []), want.get(chain, []))
                if lines:
                    in_use.append(lines)
                    changes.append(_change(table, chain, "change", mine, want.get(chain, [])))
        if batches and len(in_use) > MANY_CHAINS:
            # A setting that every Service depends on has changed. Each chain is right by itself before and after.
            new += _batched(table, in_use)
        else:
            use[table] = [line for block in in_use for line in block]
        # A chain goes after those that refer to it, and is emptied first: what goes may refer to what goes.
        stale = _referred_first(stale, have)[::-1]
        gone += _batched(table, [[f":{chain} - [0:0]"] for chain in stale], [f"-X {chain}" for chain in stale])
        changes += (ChainChange(table, chain, "add", (), tuple(want[chain])) for chain in fresh)
        changes += (ChainChange(table, chain, "remove", tuple(have[chain]), ()) for chain in stale)
    steps = [*new, use, *gone]
    if not batches or sum(len(lines) for step in steps for lines in step.values()) <= SINGLE_LINES:
        steps = [_merged(steps)]
    texts = (_text(step, by_chain=not batches) for step in steps)
    return Plan(tuple(text for text in texts if text), tuple(changes))


def _referred_first(fresh: Iterable[str], want: dict[str, list[str]]) -> list[str]:
    """``fresh`` in an order in which every chain comes after those that it jumps to, so it can be cut anywhere.

    OWNER_CHAIN comes before all.
    """
    waiting = dict.fromkeys(fresh)
    order: dict[str, None] = dict.fromkeys([OWNER_CHAIN] if OWNER_CHAIN in waiting else [])
    opened = set(order)
    for first in waiting:
        path = [first]
        while path:
            chain = path[-1]
            if chain in opened:
                order.setdefault(path.pop())
                continue
            opened.add(chain)
            targets = map(target_of, want[chain])
            path += [target for target in targets if target in waiting and target not in opened]
    return list(order)


def _whole(chain: str, rules: list[str]) -> list[str]:
    """A chain and all its rules; a chain that is there already is emptied first."""
    return [f":{chain} - [0:0]", *(f"-A {chain} {rule}".rstrip() for rule in rules)]


def _rewritten(chain: str, have: list[str], want: list[str]) -> list[str]:
    """The lines that make ``have`` into ``want``: single rules where that is less work than the whole chain."""
    whole = _whole(chain, want)
    edits = _edits(chain, have, want)
    if edits is None or len(edits) >= len(whole):
        return whole
    gone = sum(line.startswith("-D ") for line in edits)
    return whole if gone * len(have) > SEARCHED * len(want) else edits


def _edits(chain: str, have: list[str], want: list[str]) -> list[str] | None:
    """Deletions, then insertions at their final place; None where rules that stay have changed their order."""
    surplus, missing = Counter(have) - Counter(want), Counter(want) - Counter(have)
    lines: list[str] = []
    kept: list[str] = []
    for rule in have:
        if surplus[rule]:
            surplus[rule] -= 1
            # By its text, not its number: if somebody was quicker, this fails instead of hitting another rule.
            lines.append(f"-D {chain} {rule}")
        else:
            kept.append(rule)
    position = 0
    for place, rule in enumerate(want, 1):
        if position < len(kept) and kept[position] == rule:
            position += 1
        elif missing[rule]:
            missing[rule] -= 1
            lines.append(f"-I {chain} {place} {rule}")
        else:
            return None
    return lines


def _jumps(chain: str, have: list[str], want: list[str]) -> list[str]:
    """Our rules in a built-in chain, first and in their order; what is in place stays.

    The exception are jumps that a kubelet appends (host ports): they only have to come after the others.
    """
    mine = [rule for rule in have if is_ours(target_of(rule))]
    head = [rule for rule in want if target_of(rule) != HOST_PORTS_CHAIN]
    tail = [rule for rule in want if target_of(rule) == HOST_PORTS_CHAIN]
    if have[: len(head)] == head and mine == want:
        return []
    lines = [f"-D {chain} {rule}" for rule in mine]
    lines += [f"-I {chain} {place} {rule}" for place, rule in enumerate(head, 1)]
    return lines + [f"-A {chain} {rule}" for rule in tail]


def _change(table: str, chain: str, verb: str, have: list[str], want: list[str]) -> ChainChange:
    """What is removed and what is added; a rule that only moves is both."""
    removed, added = Counter(have) - Counter(want), Counter(want) - Counter(have)
    if not removed and not added:
        return ChainChange(table, chain, verb, tuple(have), tuple(want))
    return ChainChange(table, chain, verb, _of(have, removed), _of(want, added))


def _of(rules: Iterable[str], wanted: Counter[str]) -> tuple[str, ...]:
    left, found = wanted.copy(), []
    for rule in rules:
        if left[rule]:
            left[rule] -= 1
            found.append(rule)
    return tuple(found)


def _batched(table: str, blocks: list[list[str]], last: Iterable[str] = ()) -> list[Lines]:
    """``blocks`` of lines, BATCH_CHAINS per transaction. ``last`` are closing lines, one per block."""
    closing = list(last)
    found: list[Lines] = []
    for begin in range(0, len(blocks), BATCH_CHAINS):
        end = begin + BATCH_CHAINS
        found.append({table: [line for block in blocks[begin:end] for line in block] + closing[begin:end]})
    return found


def _merged(steps: Iterable[Lines]) -> Lines:
    merged: Lines = {}
    for step in steps:
        for table, lines in step.items():
            merged.setdefault(table, []).extend(lines)
    return merged


def _text(step: Lines, *, by_chain: bool) -> str:
    return "".join(
        f"*{table}\n" + "\n".join(_ordered(lines, by_chain)) + "\nCOMMIT\n" for table, lines in step.items() if lines
    )


def _ordered(lines: list[str], by_chain: bool) -> list[str]:
    """Chains are created or emptied first, then come rules, then removals; iptables-restore is faster that way.

    The transaction is atomic, so no packet meets an emptied chain. ``by_chain``: rules sorted by chain name, as
    iptables-legacy stores them; the lines of one chain keep their order.
    """
    made = [line for line in lines if line[0] == ":"]
    gone = [line for line in lines if line.startswith("-X ")]
    rules = [line for line in lines if line[0] != ":" and not line.startswith("-X ")]
    if by_chain:
        made.sort()
        rules.sort(key=lambda line: line.split(" ", 2)[1])
    return made + rules + gone
