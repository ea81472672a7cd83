"""What a parser of arguments takes, as data: what the manual page and the completion of shells are written from."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

FILES, FOLDERS = "files", "folders"

_KINDS = {"FILE": FILES, "MANIFEST": FILES, "PATH": FILES, "DIR": FOLDERS}
_WORDS = {"KIND": ("services", "endpoints", "nodes")}
"""What is completed, by the metavar of an argument."""


class Argument(NamedTuple):
    """An option, or what stands for itself (without ``flags``).

    ``value``: the name of what it takes, or "". ``values``: how it is written in a synopsis, brackets included.
    ``words``: the only ones that it takes. ``kind``: FILES, FOLDERS or "".
    """

    flags: tuple[str, ...]
    value: str
    values: str
    words: tuple[str, ...]
    kind: str
    required: bool
    help: str


class Command(NamedTuple):
    """A command with its arguments in their order."""

    name: str
    summary: str
    arguments: tuple[Argument, ...]

    @property
    def options(self) -> list[Argument]:
        return [each for each in self.arguments if each.flags]

    @property
    def operands(self) -> list[Argument]:
        return [each for each in self.arguments if not each.flags]


def arguments(parser: argparse.ArgumentParser) -> tuple[Argument, ...]:
    """Those of a parser itself; neither what its commands take nor --help, which all of them have."""
    others = (argparse._SubParsersAction, argparse._HelpAction)
    return tuple(_argument(each) for each in parser._actions if not isinstance(each, others))


def commands(parser: argparse.ArgumentParser) -> Iterator[Command]:
    """The commands of a parser, in their order."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            summaries = {each.dest: each.help or "" for each in action._choices_actions}
            for name, inner in action.choices.items():
                yield Command(name, summaries[name], arguments(inner))


def _argument(action: argparse.Action) -> Argument:
    takes = action.nargs != 0
    value = str(action.metavar or "|".join(map(str, action.choices or ())) or action.dest.upper()) if takes else ""
    forms = {"?": f"[{value}]", "*": f"[{value} ...]", "+": f"{value} ..."}
    return Argument(
        flags=tuple(action.option_strings),
        value=value,
        values=forms.get(str(action.nargs), value),
        words=_WORDS.get(value) or tuple(map(str, action.choices or ())),
        kind=_KINDS.get(value, ""),
        required=action.required,
        help=(action.help or "") % vars(action),
    )
