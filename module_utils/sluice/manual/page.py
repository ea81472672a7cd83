"""The manual page of the command, in the macros of man(7)."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from .. import __version__
from ..node import files, state
from . import syntax, usage

_ABOUT = """\
makes a plain Linux host a load balancer for Services, with the data plane of kube-proxy and without Kubernetes. It
renders a node's files from manifests of Kubernetes, brings the kernel to them and says what there is.

render, validate, allocate and get work on any computer. The other commands are for a node, and for root.

Each command says with --help what it takes. Errors and warnings go to stderr, one a line. Those of a manifest begin
with its name and the line."""
_FILES = {
    files.DIRECTORY: "what the node is to be: settings, rules, and the catalogue that they were made of",
    state.ROOT: "the node's memory: the last generations of files, and a change that waits for its confirmation",
}
_SEE = "iptables(8), iptables-save(8), ipset(8), ipvsadm(8), conntrack(8), ansible-playbook(1)"


def page(parser: argparse.ArgumentParser) -> str:
    """The page of a parser with commands, in the section 1."""
    return "\n".join(_lines(parser)) + "\n"


def _lines(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield '.\\" Written by Sluice from the options of the command.'
    yield f'.TH {parser.prog.upper()} 1 "" "{parser.prog} {__version__}"'
    yield ".SH NAME"
    yield f"{parser.prog} \\- {_text((parser.description or '').rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield f".B {parser.prog}"
    yield ".I COMMAND"
    yield "[\\fIOPTION\\fR ...] [\\fIARGUMENT\\fR ...]"
    yield ".SH DESCRIPTION"
    yield f".B {parser.prog}"
    yield from (_text(line) or ".PP" for line in _ABOUT.splitlines())
    yield from _arguments(list(syntax.arguments(parser)))
    yield ".SH COMMANDS"
    for command in syntax.commands(parser):
        yield from _command(parser.prog, command)
    yield ".SH EXIT STATUS"
    yield from _codes(usage.CODES)
    yield ".SH FILES"
    for path, meaning in _FILES.items():
        yield from _entry(f"\\fI{_text(path)}\\fR", f"{meaning}.")
    yield ".SH SEE ALSO"
    yield re.sub(r"([\w-]+)\((\d)\)", lambda found: f"\\fB{_text(found[1])}\\fR({found[2]})", _SEE)


def _command(program: str, command: syntax.Command) -> Iterator[str]:
    needed = [f"{each.flags[-1]} {each.values}" for each in command.options if each.required]
    operands = [each.values for each in command.operands]
    words = [program, command.name, *needed, "[OPTION ...]", *operands]
    yield f'.SS "{_text(" ".join(words))}"'
    yield _text(f"{command.summary[0].upper()}{command.summary[1:]}.")
    yield from _arguments([*command.operands, *command.options])
    described = usage.USAGES.get(command.name)
    if described:
        for example, purpose in described.examples:
            yield from (".PP", f"Example, {_text(purpose)}:", ".PP", ".RS 4", ".nf", _text(example), ".fi", ".RE")
        yield from (".PP", "Exit status:")
        yield from _codes(described.codes)


def _arguments(arguments: list[syntax.Argument]) -> Iterator[str]:
    for each in arguments:
        flags = ", ".join(f"\\fB{_text(flag)}\\fR" for flag in each.flags)
        value = f"\\fI{_text(each.values)}\\fR" if each.values else ""
        yield from _entry(f"{flags} {value}".strip(), f"{each.help}.")


def _codes(codes: dict[int, str]) -> Iterator[str]:
    for code, meaning in codes.items():
        yield from _entry(str(code), f"{meaning}.")


def _entry(term: str, meaning: str) -> Iterator[str]:
    yield from (".TP", term, _text(meaning))


def _text(text: str) -> str:
    """``text`` without any meaning for roff(7); hyphens stay what can be copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
