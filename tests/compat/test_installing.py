"""A controller as README says to make one: without root, without Debian's packages, from a checkout or by pip."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import release_tree

ROOT = release_tree.ROOT
PYTHON = "/usr/bin/python3"


class User:
    """Somebody who is not root, has a checkout of the project, and a computer that knows nothing of apt."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.checkout = home / "checkout"
        for name in release_tree.tracked(ROOT, "."):
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self.checkout / name, follow_symlinks=False)
        (home / "bin").mkdir()
        for program in Path("/usr/bin").iterdir():
            if not program.name.startswith(("apt", "dpkg")):
                (home / "bin" / program.name).symlink_to(program)
        # Root runs the commands as somebody else; whoever is not root, as himself.
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self.own(home)

    def own(self, folder: Path) -> None:
        """Give the user what was put there."""
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.user.pw_uid, self.user.pw_gid, follow_symlinks=False)

    def run(self, *command: str | Path, where: str = "checkout") -> subprocess.CompletedProcess[str]:
        """Run a command below the user's home; what it printed is in ``stdout``."""
        others = ("ANSIBLE_", "MAKE", "PYTHON", "VIRTUAL_ENV")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        return subprocess.run(
            command,
            cwd=self.home / where,
            env={**kept, "HOME": str(self.home), "LC_ALL": "C.UTF-8", "PATH": str(self.home / "bin")},
            **({"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def printed(self, *command: str | Path, where: str = "checkout") -> str:
        """What a command prints; it has to succeed."""
        done = self.run(*command, where=where)
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with tempfile.TemporaryDirectory() as home:  # where others may go, unlike to pytest's own
        yield User(Path(home))


def test_make_install(user: User) -> None:
    said = user.printed("make", "install", f"PYTHON={PYTHON}")
    assert "apt" not in said
    following = said[said.index("Next:") :].splitlines()
    assert len(following) <= 4
    programs = user.checkout / ".venv/bin"
    assert user.printed(programs / "sluice", "--version").startswith("sluice ")
    assert "cp -r inventory/sample inventory/mine" in said
    user.printed("cp", "-r", "inventory/sample", "inventory/mine")
    user.printed(programs / "ansible-playbook", "-i", "inventory/mine/hosts.yml", "playbooks/render.yml")
    assert "192.0.2.22:8080" in (user.checkout / "inventory/mine/rendered/edge1/iptables.rules").read_text()


@pytest.mark.parametrize(("target", "package"), [("lab", "iproute2"), ("test", "podman"), ("bench", "podman")])
def test_what_needs_packages_says_which(target: str, package: str, user: User) -> None:
    done = user.run("make", target, f"PYTHON={PYTHON}")
    assert done.returncode != 0
    assert f" {package}" in done.stdout
    assert len(done.stdout.splitlines()) <= 4, done.stdout


def test_a_python_that_is_too_old_is_told(user: User) -> None:
    old = user.home / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    shutil.rmtree(user.checkout / ".venv", ignore_errors=True)
    done = user.run("make", "install", f"PYTHON={old}")
    assert done.returncode != 0
    assert "Python 3.11" in done.stdout
    assert not (user.checkout / ".venv").exists()


@pytest.fixture(scope="module")
def pip(user: User) -> Path:
    """The programs of a virtual environment into which the project was installed by pip, in a folder of its own."""
    folder = user.home / "by-pip"
    folder.mkdir()
    user.own(folder)
    user.printed(PYTHON, "-m", "venv", "venv", where="by-pip")
    quietly = ("--quiet", "--no-input", "--disable-pip-version-check")
    before = set(user.checkout.rglob("*"))
    user.printed("venv/bin/python", "-m", "pip", *quietly, "install", f"{user.checkout}[ansible]", where="by-pip")
    left = set(user.checkout.rglob("*")) - before
    assert not {path.parts[len(user.checkout.parts)] for path in left} - {".cache", "sluice_lb.egg-info"}
    return folder / "venv/bin"


def test_pip_installs_what_is_there_to_be_read(pip: Path, user: User) -> None:
    share = pip.parent / "share"
    complete = f"source {share}/bash-completion/completions/sluice.bash; complete -p sluice"
    assert user.printed("bash", "-c", complete) == "complete -F _sluice sluice\n"
    assert (share / "zsh/site-functions/_sluice").is_file()
    assert (share / "man/man1/sluice.1").read_text() == (ROOT / "docs/sluice.1").read_text()


def test_pip_and_the_collection(pip: Path, user: User, tarball: Path) -> None:
    shutil.copytree(ROOT / "inventory/sample", user.home / "by-pip/mine")
    shutil.copy(tarball, user.home / "by-pip")
    user.own(user.home / "by-pip")
    get = (pip / "sluice", "get", "services", "-A", "-i", "mine/hosts.yml", "-o", "name")

    done = user.run(*get, where="by-pip")
    assert (done.returncode, len(done.stdout.splitlines())) == (2, 1)
    assert "collection sluice.lb" in done.stdout
    assert "ansible-galaxy collection install" in done.stdout

    user.printed(pip / "ansible-galaxy", "collection", "install", "--offline", tarball.name, where="by-pip")
    assert "service/web" in user.printed(*get, where="by-pip")
    user.printed(pip / "ansible-playbook", "-i", "mine/hosts.yml", "sluice.lb.render", where="by-pip")
    assert "192.0.2.22:8080" in (user.home / "by-pip/mine/rendered/edge1/iptables.rules").read_text()
