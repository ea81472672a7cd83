"""Each command has examples that it takes, and says what its exit codes mean."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from sluice import command
from sluice.manual import syntax, usage

COMMANDS = [each.name for each in syntax.commands(command._parser())]


def test_every_command_is_described() -> None:
    assert set(usage.USAGES) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_taken(name: str) -> None:
    described = usage.USAGES[name]
    assert described.examples
    for example, purpose in described.examples:
        program, *words = shlex.split(example)
        assert (program, words[0]) == ("sluice", name)
        command._arguments(words)
        assert purpose


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_ends_with_them(name: str) -> None:
    words = [sys.executable, "-m", "sluice", *filter(None, [name]), "--help"]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert printed.rstrip().endswith(usage.epilog(name))
    assert "\nexit codes:\n  0  " in printed
    assert max(map(len, printed.splitlines())) <= 100
