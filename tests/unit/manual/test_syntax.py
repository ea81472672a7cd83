"""What a parser takes is read from it, in its order."""

from __future__ import annotations

import argparse

from sluice.manual import syntax


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="tap")
    made.add_argument("--version", action="version", version="1")
    commands = made.add_subparsers()
    pour = commands.add_parser("pour", help="let it run")
    pour.add_argument("-o", "--out", required=True, metavar="DIR", help="where it goes")
    pour.add_argument("--how", choices=("slow", "fast"), default="slow", help="default: %(default)s")
    pour.add_argument("--again", nargs="?", metavar="TIMES")
    pour.add_argument("--dry", action="store_true")
    pour.add_argument("manifests", nargs="+", metavar="MANIFEST")
    commands.add_parser("stop", help="no more")
    return made


def test_commands_and_arguments() -> None:
    pour, stop = syntax.commands(parser())
    assert (pour.name, pour.summary) == ("pour", "let it run")
    assert (stop.name, stop.arguments) == ("stop", ())
    assert [each.flags for each in syntax.arguments(parser())] == [("--version",)]
    assert [each.values for each in pour.options] == ["DIR", "slow|fast", "[TIMES]", ""]
    assert [(each.values, each.kind) for each in pour.operands] == [("MANIFEST ...", syntax.FILES)]
    out, how, _again, _dry = pour.options
    assert (out.flags, out.kind, out.required) == (("-o", "--out"), syntax.FOLDERS, True)
    assert (how.words, how.help) == (("slow", "fast"), "default: slow")
