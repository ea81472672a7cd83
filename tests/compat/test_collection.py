"""The collection as it is released, installed, with the oldest ansible-core that it is for, ours and the newest."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import release_tree

HERE = Path(__file__).parent
ROOT = release_tree.ROOT
NETWORK = ROOT / "lab/network.py"
INVENTORY = HERE / "hosts.yml"
SAMPLE = ROOT / "inventory/sample"
OLDEST, NEWEST = HERE / "requirements-2.16.txt", HERE / "requirements-2.21.txt"
NEEDED = (3, 12)
"""The Python that the newest one asks for."""
PAGE = ROOT / "docs/collection.md"
LAB = HERE / "page.yml"
"""The hosts of that page, as namespaces."""
FETCH = "import urllib.request as web; print(web.urlopen('http://ADDRESS', timeout=10).read().decode())"
"""For the system's Python, on a host of the lab."""


class Ansible(NamedTuple):
    """One ansible-core, its programs, and a folder where nothing but the collection is known to it."""

    version: str
    programs: Path
    folder: Path

    def run(self, program: str, *arguments: str | Path) -> str:
        """What a program of this ansible-core prints."""
        return output([self.programs / program, *arguments], self.environment(), self.folder)

    def shell(self, command: str, folder: Path) -> str:
        """What a line of a shell prints in a folder with an ansible.cfg; these programs come before the project's."""
        path = f"{self.programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        configured = {"ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "PATH": path}
        return output(["sh", "-c", command], self.environment() | configured, folder)

    def lab(self, *arguments: str | Path, first: Path = INVENTORY) -> str:
        """What lab/network.py prints, about hosts that are this one's alone."""
        return output([sys.executable, NETWORK, "--inventory", first, *arguments], self.environment(), self.folder)

    def environment(self) -> dict[str, str]:
        others = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        return {
            **others,
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),  # an empty one
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
            "SLUICE_LAB_STATE": str(self.folder / "lab"),
        }


def output(command: list[str | Path], environment: Mapping[str, str], folder: Path) -> str:
    """What a command prints; it has to succeed."""
    done = subprocess.run(
        command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def pinned(requirements: Path) -> str:
    """The version of ansible-core that a file of requirements names."""
    return re.search(r"^ansible-core==(.*)", requirements.read_text(), re.MULTILINE)[1]


def installed(requirements: Path, python: str | Path) -> Path:
    """The programs of a file of requirements; its virtual environment is kept, named after what is in it."""
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    venv = ROOT / f".cache/compat/{requirements.stem}-{digest}"
    complete = venv / "complete"
    if not complete.exists():
        shutil.rmtree(venv, ignore_errors=True)
        subprocess.run([python, "-m", "venv", venv], check=True)
        pip = [venv / "bin/python", "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "-r", requirements], check=True)
        complete.touch()
    return venv / "bin"


def newer_python() -> Path | None:
    """A Python of this machine, or one that pyenv has installed, that the newest ansible-core runs on."""
    named = [shutil.which(f"python3.{minor}") for minor in range(NEEDED[1], NEEDED[1] + 4)]
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.*/bin/python3")
    asked = f"import sys, venv, ensurepip; sys.exit(sys.version_info < {NEEDED})"
    for python in [*filter(None, named), *sorted(kept)]:
        if subprocess.run([python, "-c", asked], capture_output=True, check=False).returncode == 0:
            return Path(python)
    return None


@pytest.fixture(scope="module", params=["oldest", "ours", "newest"])
def ansible(request: pytest.FixtureRequest, tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Ansible:
    """Each of them, with the collection installed."""
    folder = tmp_path_factory.mktemp("ansible")
    (folder / "ansible.cfg").touch()
    if request.param == "ours":
        found = Ansible(pinned(ROOT / "requirements.txt"), Path(sys.executable).parent, folder)
    elif request.param == "oldest":
        found = Ansible(pinned(OLDEST), installed(OLDEST, sys.executable), folder)
    else:
        python = newer_python()
        if python is None:
            pytest.skip(
                f"NOT TESTED WITH ansible-core {pinned(NEWEST)}: no Python {'.'.join(map(str, NEEDED))} is here"
            )
        found = Ansible(pinned(NEWEST), installed(NEWEST, python), folder)
    found.run("ansible-galaxy", "collection", "install", "--offline", "-p", folder / "collections", tarball)
    return found


@pytest.fixture
def lab(ansible: Ansible, needs_root: None) -> Iterator[None]:
    """The hosts of hosts.yml. Nothing of them is seen outside of their namespaces: a lab that is up is not met."""
    try:
        ansible.lab("up")
        yield
    finally:
        ansible.lab("down")


def test_version_is_the_one_that_is_tested(ansible: Ansible) -> None:
    assert f"[core {ansible.version}]" in ansible.run("ansible-playbook", "--version")


@pytest.mark.parametrize(
    ("kind", "name"), [("module", "apply"), ("filter", "node_files"), ("connection", "netns"), ("role", "node")]
)
def test_documentation_is_found(ansible: Ansible, kind: str, name: str) -> None:
    assert f"sluice.lb.{name}" in ansible.run("ansible-doc", "--type", kind, f"sluice.lb.{name}").lower()


def test_playbook_renders_the_sample(ansible: Ansible) -> None:
    inventory = shutil.copytree(SAMPLE, ansible.folder / "sample")
    ansible.run("ansible-playbook", "-i", inventory / "hosts.yml", "sluice.lb.render")
    for name in ("edge1", "edge2"):
        assert "192.0.2.22:8080" in (inventory / "rendered" / name / "iptables.rules").read_text()


@pytest.mark.usefixtures("lab")
def test_playbook_programs_a_node(ansible: Ansible) -> None:
    playbook = ("ansible-playbook", "-i", INVENTORY, "sluice.lb.site")
    assert changed(ansible.run(*playbook)) > 0
    assert fetched(ansible, "10.96.0.10") == "web1"
    assert changed(ansible.run(*playbook)) == 0


def blocks(kind: str) -> list[str]:
    """What the page has in blocks of a kind, in their order."""
    return re.findall(rf"^```(?:{kind})\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def project(ansible: Ansible, needs_root: None) -> Iterator[Path]:
    """The files of the page in a folder, and its hosts."""
    folder = ansible.folder / "project"
    for block in blocks("yaml|ini"):
        file = folder / re.match(r"# (\S+)\n", block)[1]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block)
    # How to reach namespaces, which is nothing for a page.
    (folder / "group_vars").mkdir()
    reached = {"ansible_connection": "sluice.lb.netns", "ansible_python_interpreter": "/usr/bin/python3"}
    (folder / "group_vars/all.yml").write_text(json.dumps(reached))
    try:
        ansible.lab("--inventory", LAB, "up", first=folder / "hosts.yml")
        yield folder
    finally:
        ansible.lab("down")


def test_the_page_runs_as_printed(ansible: Ansible, project: Path) -> None:
    commands = blocks("sh")[-1].splitlines()
    printed = [ansible.shell(command, project) for command in commands]
    assert "203.0.113.10" in printed[-1]
    assert changed(printed[2]) > 0
    ends = [[line for line in run.splitlines() if line.startswith("sluice: ")] for run in printed[:3]]
    there = "sluice: 1 Service, 2 endpoints"
    held = "lb1 iptables generation 1: 1 Service"
    assert ends == [[there], [f"{there}; lb1 iptables: 1 Service would be added"], [f"{there}; {held} added"]]
    assert {fetched(ansible, "203.0.113.10") for _ in range(40)} == {"web1", "web2"}
    assert changed(ansible.shell(commands[2], project)) == 0


def fetched(ansible: Ansible, address: str) -> str:
    """Who answers the client at an address."""
    words = ["enter", "client", "/usr/bin/python3", "-c", FETCH.replace("ADDRESS", address)]
    return ansible.lab(*words).split()[0]


def changed(recap: str) -> int:
    """How many tasks changed something on lb1."""
    return int(re.search(r"^lb1 .* changed=(\d+) ", recap, re.MULTILINE)[1])
