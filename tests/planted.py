"""Recorded dumps of a healthy node, to plant faults into."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from sluice.observe.explain import explain
from sluice.observe.oddity import Oddity
from sluice.observe.snapshot import snapshot

GOLDEN = Path(__file__).parent / "golden"


def recorded(case: str, mode: str = "iptables", version: str = "1.36") -> dict[str, str]:
    """The dumps of a case, by suffix."""
    found = sorted((GOLDEN / version / mode).glob(f"{case}.*"))
    return {path.suffix: path.read_text() for path in found if path.suffix != ".held"}


def without(text: str, part: str) -> str:
    """A dump without the lines in which that stands; at least one has to be there."""
    left = [line for line in text.splitlines(keepends=True) if part not in line]
    assert len(left) < text.count("\n"), part
    return "".join(left)


CASES = sorted({(path.stem, path.parent.name, path.parents[1].name) for path in GOLDEN.glob("[0-9]*/*/*.rules")})
"""Every recorded node: case, mode and release."""


def each_spoilt(
    held: dict[str, str], how: Callable[[list[str], int], list[str] | None]
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """The dumps of a node with one line spoilt, for each line of rules that ``how`` spoils: suffix, line and dumps."""
    for suffix, text in held.items():
        lines = text.splitlines(keepends=True)
        for at, line in enumerate(lines):
            left = how(lines, at)
            if left is not None:
                yield suffix, line.rstrip("\n"), {**held, suffix: "".join(left)}


def replaced(text: str, old: str, new: str) -> str:
    """A dump in which something else stands once."""
    assert old in text, old
    return text.replace(old, new, 1)


def spoilt(text: str, pattern: str, new: str) -> str:
    """A dump in which the first line that the pattern finds is another one; empty: it is gone."""
    lines = text.splitlines(keepends=True)
    at = next(at for at, line in enumerate(lines) if re.search(pattern, line))
    changed = re.sub(pattern, new, lines[at]) if new else ""
    assert changed != lines[at], "nothing was planted"
    return "".join([*lines[:at], changed, *lines[at + 1 :]])


def moved(text: str, pattern: str, behind: str) -> str:
    """A dump in which the first line that the pattern finds stands behind the last one that ``behind`` finds."""
    lines = text.splitlines(keepends=True)
    line = lines.pop(next(at for at, line in enumerate(lines) if re.search(pattern, line)))
    lines.insert(max(at for at, each in enumerate(lines) if re.search(behind, each)) + 1, line)
    assert "".join(lines) != text, "nothing was planted"
    return "".join(lines)


def odd(*texts: str) -> list[Oddity]:
    """What is odd in dumps."""
    return list(explain(snapshot((f"dump{number}", text) for number, text in enumerate(texts))).oddities)


def said(*texts: str) -> str:
    """What is odd in dumps, in one text."""
    return "\n".join(f"{'!' if each.hurts else '-'} {each.what}: {each.where}: {each.effect}" for each in odd(*texts))


FOREIGN = Path(__file__).parent / "foreign"
"""What other programs put beside a proxy's rules: a file for each, whole tables as iptables-save prints them."""


def beside(text: str, rules: str, *, first: bool) -> str:
    """A dump of iptables with rules of another program in it, that stand ``first`` in built-in chains, or last."""
    for table, part in re.findall(r"^\*(\w+)\n(.*?)^COMMIT$", rules, re.MULTILINE | re.DOTALL):
        head = f"*{table}\n"
        if head not in text:
            text += f"{head}{part}COMMIT\n"
            continue
        before, _table, held = text.partition(head)
        held, _commit, behind = held.partition("COMMIT\n")
        lines = [*part.splitlines(keepends=True), "\n", *held.splitlines(keepends=True)]
        at = lines.index("\n")
        parts = [lines[:at], lines[at + 1 :]] if first else [lines[at + 1 :], lines[:at]]
        ordered = [line for kind in (":", "-") for each in parts for line in each if line.startswith(kind)]
        # What both programs make is there once.
        text = f"{before}{head}{''.join(dict.fromkeys(ordered))}COMMIT\n{behind}"
    return text
