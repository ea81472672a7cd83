"""Recorded dumps of a healthy node, to plant faults into."""

from __future__ import annotations

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


def replaced(text: str, old: str, new: str) -> str:
    """A dump in which something else stands once."""
    assert old in text, old
    return text.replace(old, new, 1)


def odd(*texts: str) -> list[Oddity]:
    """What is odd in dumps."""
    return list(explain(snapshot((f"dump{number}", text) for number, text in enumerate(texts))).oddities)


def said(*texts: str) -> str:
    """What is odd in dumps, in one text."""
    return "\n".join(f"{'!' if each.hurts else '-'} {each.what}: {each.where}: {each.effect}" for each in odd(*texts))
