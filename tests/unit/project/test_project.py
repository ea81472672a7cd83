"""What holds the project's own files together: pins, versions, links, and that nothing depends on one machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import sluice

ROOT = Path(__file__).resolve().parents[3]

LINKS = {
    "plugins/action": "../action_plugins",
    "plugins/callback": "../callback_plugins",
    "plugins/module_utils": "../module_utils",
    "plugins/modules": "../library",
    "plugins/filter": "../filter_plugins",
    "plugins/connection": "../connection_plugins",
    "collections/ansible_collections/sluice/lb": "../../..",
}


def project_files() -> list[Path]:
    """Files that are, or could be, committed; recorded data and links left out."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".", ":!tests/golden"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = (ROOT / name for name in names.split("\0") if name)
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def pins(name: str) -> set[str]:
    """The requirements of a file, without comments and included files."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return {line for line in lines if line and not line.startswith("-r ")}


REQUIREMENTS = ["requirements.txt", "requirements-dev.txt", "constraints.txt", "tests/compat/requirements-2.16.txt"]


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_requirements_are_exact(name: str) -> None:
    loose = [pin for pin in pins(name) if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9.]*(post[0-9]+)?", pin)]
    assert not loose


def test_constraints_hold_the_requirements() -> None:
    assert pins("requirements.txt") | pins("requirements-dev.txt") <= pins("constraints.txt")


def test_one_version() -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    assert galaxy["version"] == sluice.__version__
    assert sluice.__version__ in yaml.safe_load((ROOT / "changelogs/changelog.yaml").read_text())["releases"]


def test_changelog_is_what_its_data_says(tmp_path: Path) -> None:
    written = tmp_path / "CHANGELOG.md"
    command = [Path(sys.executable).with_name("antsibull-changelog"), "generate", "--output", written]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert (ROOT / "CHANGELOG.md").read_text() == written.read_text()


def test_oldest_ansible_is_the_one_that_is_tested() -> None:
    requires = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["requires_ansible"]
    oldest = requires.removeprefix(">=").removesuffix(".0")
    (tested,) = (pin for pin in pins("tests/compat/requirements-2.16.txt") if pin.startswith("ansible-core=="))
    assert tested.startswith(f"ansible-core=={oldest}.")
    for role in (ROOT / "roles").glob("*/meta/main.yml"):
        minimum = yaml.safe_load(role.read_text())["galaxy_info"]["min_ansible_version"]
        assert minimum == oldest, role


@pytest.mark.parametrize(("link", "target"), LINKS.items())
def test_tree_is_a_collection(link: str, target: str) -> None:
    path = ROOT / link
    assert path.is_symlink()
    assert str(path.readlink()) == target
    assert path.is_dir()


@pytest.mark.parametrize("playbook", ["drain", "remove", "rollback"])
def test_what_takes_something_away_wants_an_inventory(playbook: str) -> None:
    """Without -i a run is about the lab, and nobody may take that for a run about one's own hosts."""
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), f"playbooks/{playbook}.yml", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no inventory was named, and these are the lab's hosts" in done.stdout


def test_a_run_says_which_inventory_it_is_about() -> None:
    for playbook in (ROOT / "playbooks").glob("[!l]*.yml"):
        plays = yaml.safe_load(playbook.read_text())
        named = [play["name"] for play in plays if "ansible_inventory_sources" in play["name"]]
        assert named or "site.yml" in [play.get("ansible.builtin.import_playbook") for play in plays], playbook.name


def test_the_lab_s_hosts_are_nobody_else_s() -> None:
    def hosts(name: str) -> set[str]:
        groups = yaml.safe_load((ROOT / "inventory" / name / "hosts.yml").read_text())["all"]["children"]
        return {host for group in groups.values() for host in group["hosts"]}

    assert not hosts("lab") & hosts("sample")


def test_what_a_user_and_a_run_put_beside_the_project_is_ignored() -> None:
    mine = [
        "inventory/mine/hosts.yml",
        "inventory/mine/allocations.yml",
        "inventory/sample/rendered/edge1/settings.json",
    ]
    mine += ["inventory/lab/.sluice/catalogue.json"]
    kept = ["inventory/lab/allocations.yml", "inventory/sample/allocations.yml", "docs/mine.md"]
    asked = subprocess.run(["git", "check-ignore", *mine, *kept], cwd=ROOT, capture_output=True, text=True, check=False)
    assert asked.stdout.splitlines() == mine


def test_engine_is_standard_library_only() -> None:
    """Nodes have Python and nothing else; PyYAML is the controller's, imported where a manifest is read."""
    imported = re.compile(r"^(?:from|import) (ansible\w*|yaml|jinja2)\b", re.MULTILINE)
    for path in (ROOT / "module_utils" / "sluice").rglob("*.py"):
        assert not imported.search(path.read_text()), path


def test_no_path_of_one_machine() -> None:
    """No home directory and not the place of this checkout."""
    own = re.compile(rf"/(?:home|Users)/\w|(?<![\w./])/root/[\w.]|(?<![\w./]){re.escape(str(ROOT))}/")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in project_files()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if own.search(line)
    ]
    assert not found, "\n".join(found)


def test_each_molecule_scenario_is_a_step_of_the_tests() -> None:
    scenarios = {f"molecule-{path.parent.name}" for path in (ROOT / "molecule").glob("*/molecule.yml")}
    for target in ("test", "molecule"):
        run = subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True, text=True)
        assert set(re.findall(r"molecule-[a-z]+", run.stdout)) == scenarios


def test_scripts_are_executable() -> None:
    scripts = [path for path in project_files() if path.read_bytes()[:2] == b"#!" and path.suffix != ".py"]
    assert scripts
    for path in scripts:
        assert path.stat().st_mode & 0o111, path
