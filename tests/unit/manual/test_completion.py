"""What bash completes, asked of bash itself; zsh is given what _arguments takes."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from sluice import command
from sluice.manual import completion, syntax


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "web.yml").touch()
    (tmp_path / "two words.yml").touch()
    (tmp_path / "services").mkdir()
    (tmp_path / "sluice.bash").write_text(completion.bash(command._parser()))
    return tmp_path


def completed(folder: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words after ``sluice``."""
    script = f"""
        source ./sluice.bash
        COMP_WORDS=(sluice {shlex.join(words)}) COMP_CWORD={len(words)}
        _sluice
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-euc", script], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return sorted(filter(None, done.stdout.split("\n")))


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["va"], ["validate"]),
        (["--v"], ["--version"]),
        (["apply", "--ex"], ["--exit-code"]),
        (["apply", "--check", "--ex"], ["--exit-code"]),
        (["apply", "--confirm", ""], []),
        (["render", "--backend", "ip"], ["iptables", "ipvs"]),
        (["render", "--backend", "=", "ipv"], ["ipvs"]),
        (["render", "--backend", "="], ["iptables", "ipvs", "nftables"]),
        (["render", "--out", "s"], ["services"]),
        (["validate", "--settings", "w"], ["web.yml"]),
        (["validate", "--settings", "web.yml", "t"], ["two words.yml"]),
        (["validate", "--al"], ["--allocations"]),
        (["get", ""], ["endpoints", "nodes", "services"]),
        (["get", "-o", "y"], ["yaml"]),
        (["get", "svc", "s"], ["services", "sluice.bash"]),
        (["rollback", "--unconfirmed", "--ch"], ["--check"]),
        (["nonsense", ""], []),
    ],
)
def test_bash(words: list[str], offered: list[str], folder: Path) -> None:
    assert completed(folder, *words) == offered


def test_bash_offers_every_command_and_option(folder: Path) -> None:
    commands = list(syntax.commands(command._parser()))
    assert completed(folder, "") == sorted([*(each.name for each in commands), "--help", "--version"])
    for each in commands:
        flags = [flag for option in each.options for flag in option.flags]
        assert completed(folder, each.name, "-") == sorted([*flags, "--help"])


def test_bash_is_told_what_it_is_for(folder: Path) -> None:
    told = subprocess.run(
        ["bash", "-c", "source ./sluice.bash; complete -p sluice"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "complete -F _sluice sluice\n"


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="NOT TESTED: no shellcheck")
def test_bash_has_no_faults(folder: Path) -> None:
    done = subprocess.run(["shellcheck", folder / "sluice.bash"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_zsh_has_every_option() -> None:
    text = completion.zsh(command._parser())
    assert text.startswith("#compdef sluice\n")
    for each in syntax.commands(command._parser()):
        assert f"    '{each.name}:" in text
        (part,) = [part for part in text.split(" ;;\n") if f" {each.name}) _arguments " in part]
        assert all(flag in part for option in each.options for flag in option.flags)
    assert "'*:MANIFEST:_files'" in text
    assert "'--out[where the files go]:DIR:_files -/'" in text
    assert ":KIND:(services endpoints nodes)'" in text
