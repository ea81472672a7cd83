"""The manual page is one that man(1) can show, and has all that the parser takes."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from sluice import command
from sluice.manual import page, syntax

PAGE = page.page(command._parser())


def test_every_command_and_option_is_in_it() -> None:
    plain = PAGE.replace("\\-", "-")
    for each in syntax.commands(command._parser()):
        part = re.search(rf'^\.SS "sluice {each.name}\b.*?(?=^\.S)', plain, re.DOTALL | re.MULTILINE)
        assert part
        for argument in each.arguments:
            assert all(f"\\fB{flag}\\fR" in part[0] for flag in argument.flags)
            assert argument.values in part[0]
        assert "Exit status:" in part[0]
        assert "Example, " in part[0]


@pytest.mark.skipif(not shutil.which("groff"), reason="NOT TESTED: no groff to show it with")
def test_it_can_be_shown() -> None:
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tascii", "-P-cbou"], input=PAGE, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "sluice - Services for plain Linux hosts" in done.stdout
    assert "sluice apply --check --exit-code" in done.stdout


def test_no_line_is_taken_for_a_request() -> None:
    """What begins with a dot or an apostrophe, and a backslash, would be roff's."""
    assert page._text('.SH it\'s "C:\\dir" -x') == "\\&.SH it's \\(dqC:\\edir\\(dq \\-x"
    assert page._text("'quoted'") == "\\&'quoted'"
