"""What shells complete after the name of the command: functions of bash and of zsh that need nothing else."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from . import syntax
from .syntax import Argument, Command

_BASH = """\
# shellcheck shell=bash
# Completion of {program} for bash. Written by Sluice from the options of the command.
_{program}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command="" words="" kind="" each
    # bash takes --option=value for three words.
    if [[ $word == "=" ]]; then
        word=""
    elif [[ $before == "=" ]]; then
        before=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    for each in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        [[ $each == -* ]] || {{ command=$each; break; }}
    done
    case "$command $before" in
{values}
        *) case $command in
{commands}
        esac ;;
    esac
    COMPREPLY=()
    [[ -z $words ]] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    if [[ -n $kind && ${{#COMPREPLY[@]}} == 0 ]]; then
        compopt -o filenames 2>/dev/null || true  # where nobody completes, it is an error
        mapfile -t COMPREPLY < <(compgen "$kind" -- "$word")
    fi
}}
complete -F _{program} {program}
"""

_ZSH = """\
#compdef {program}
# Completion of {program} for zsh. Written by Sluice from the options of the command.
local context state state_descr line
local -A opt_args
local -a commands=(
{commands}
)
_arguments -C \\
{options}
    '1:command:->command' '*::argument:->argument' && return
case $state in
    command) _describe -t commands command commands ;;
    argument) case $words[1] in
{arguments}
    esac ;;
esac
"""


def bash(parser: argparse.ArgumentParser) -> str:
    """The completion of bash(1), Programmable Completion."""
    commands = list(syntax.commands(parser))
    own = [flag for each in syntax.arguments(parser) for flag in each.flags]
    names = f'            "") {_bash_words([*(command.name for command in commands), *own, "--help"])} ;;'
    return _BASH.format(
        program=parser.prog,
        values="\n".join(line for command in commands for line in _bash_values(command)),
        commands="\n".join([names, *map(_bash_command, commands)]),
    )


def _bash_values(command: Command) -> Iterator[str]:
    """A line for each option that takes something."""
    for option in command.options:
        if option.value and not option.values.startswith("["):
            places = " | ".join(f'"{command.name} {flag}"' for flag in option.flags)
            yield f"        {places}) {_bash_wanted(option)} ;;"


def _bash_command(command: Command) -> str:
    """The case of a command: its options where one is begun or where it takes nothing else, else its operands."""
    options = _bash_words([*(flag for option in command.options for flag in option.flags), "--help"])
    if not command.operands:
        return f"            {command.name}) {options} ;;"
    *first, last = map(_bash_wanted, command.operands)
    lines = [f"if [[ $word == -* ]]; then {options}"]
    lines += [f"elif [[ $before == {command.name} ]]; then {wanted}" for wanted in first]
    lines += [f"else {last}; fi ;;"]
    return "\n                ".join([f"            {command.name})", *lines])


def _bash_wanted(argument: Argument) -> str:
    kinds = {syntax.FILES: "kind=-f", syntax.FOLDERS: "kind=-d"}
    return _bash_words(argument.words) if argument.words else kinds.get(argument.kind, ":")


def _bash_words(words: Sequence[str]) -> str:
    return f"words='{' '.join(words)}'"


def zsh(parser: argparse.ArgumentParser) -> str:
    """The completion of zsh, by _arguments (zshcompsys(1))."""
    commands = list(syntax.commands(parser))
    return _ZSH.format(
        program=parser.prog,
        commands="\n".join(f"    {_quoted(f'{each.name}:{each.summary}')}" for each in commands),
        options="\n".join(f"    {each} \\" for each in [*map(_zsh, syntax.arguments(parser)), _ZSH_HELP]),
        arguments="\n".join(map(_zsh_command, commands)),
    )


def _zsh_command(command: Command) -> str:
    words = [_zsh(each) for each in command.arguments] + [_ZSH_HELP]
    return f"        {command.name}) " + " \\\n            ".join(["_arguments", *words]) + " ;;"


def _zsh(argument: Argument) -> str:
    """An argument as _arguments takes it."""
    value = f"{argument.value}:{_zsh_wanted(argument)}"
    if not argument.flags:
        return _quoted(f"{'*' if '...' in argument.values else ''}:{value}")
    optional = ":" if argument.values.startswith("[") else ""
    rest = f"[{argument.help.translate(_ZSH_ESCAPES)}]" + (f":{optional}{value}" if argument.value else "")
    if len(argument.flags) == 1:
        return _quoted(f"{argument.flags[0]}{rest}")
    return f"'({' '.join(argument.flags)})'{{{','.join(argument.flags)}}}{_quoted(rest)}"


_ZSH_HELP = "'(-h --help)'{-h,--help}'[say how it is used]'"
_ZSH_ESCAPES = str.maketrans({"[": "\\[", "]": "\\]", ":": "\\:"})


def _zsh_wanted(argument: Argument) -> str:
    if argument.words:
        return f"({' '.join(argument.words)})"
    return {syntax.FILES: "_files", syntax.FOLDERS: "_files -/"}.get(argument.kind, " ")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
