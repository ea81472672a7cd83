"""The tree that a release is built from: real folders, and nothing that is not the project's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import release_tree


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout in which somebody works: half of what lies there is nobody else's business."""
    root = tmp_path / "checkout"
    tracked = [
        "README.md",
        "action_plugins/files.py",
        "inventory/mine-too/hosts.yml",
        "inventory/sample/hosts.yml",
        "lab/network.py",
        "library/apply.py",
        "library/gone.py",
        "playbooks/lab.yml",
        "playbooks/site.yml",
        "plugins/doc_fragments/node.py",
        "roles/node/tasks/main.yml",
    ]
    untracked = [
        "inventory/mine/hosts.yml",
        "inventory/sample/rendered/lb1/iptables.rules",
        "library/__pycache__/apply.pyc",
        "library/notes.txt",
        "playbooks/.sluice/catalogue",
    ]
    for name in tracked:
        write(root / name)
    (root / "plugins/modules").symlink_to("../library")
    (root / "plugins/action").symlink_to("../action_plugins")
    (root / "plugins/filter").symlink_to("../filter_plugins")  # a folder that is not there
    git(root, "init", "--quiet")
    git(root, "add", ".")
    for name in untracked:
        write(root / name)
    (root / "library/gone.py").unlink()
    return root


def write(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(file.name)


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


EXPECTED = {
    "README.md",
    "inventory/sample/hosts.yml",
    "playbooks/site.yml",
    "plugins/action/files.py",
    "plugins/doc_fragments/node.py",
    "plugins/modules/apply.py",
    "roles/node/tasks/main.yml",
}


def test_only_what_git_tracks_and_a_user_needs(project: Path, tmp_path: Path) -> None:
    place = release_tree.write(project, tmp_path / "release")
    files = {str(file.relative_to(place)) for file in place.rglob("*") if not file.is_dir()}
    assert {name for name in files if not name.startswith(".git/")} == EXPECTED
    assert not [file for file in place.rglob("*") if file.is_symlink()]
    assert (place / "plugins/modules/apply.py").read_text() == "apply.py"


def test_tree_of_before_is_replaced(project: Path, tmp_path: Path) -> None:
    place = release_tree.write(project, tmp_path / "release")
    write(place / "roles/node/tasks/leftover.yml")
    assert release_tree.write(project, tmp_path / "release") == place
    assert not (place / "roles/node/tasks/leftover.yml").exists()


def test_git_takes_the_tree_for_a_checkout_of_its_own(project: Path) -> None:
    place = release_tree.write(project, project / ".cache")
    assert set(git(place, "ls-files", "--others").splitlines()) == EXPECTED


@pytest.mark.parametrize("kind", ["action", "connection", "filter", "module_utils", "modules"])
def test_every_kind_of_plugin_is_there(kind: str) -> None:
    assert [name for name in release_tree.layout(release_tree.ROOT) if name.startswith(f"plugins/{kind}/")]
