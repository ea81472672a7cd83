"""Lay out the collection as it is released: release_tree.py FOLDER writes FOLDER/ansible_collections/sluice/lb.

The project keeps its plugins where Ansible finds them beside a playbook (library/, filter_plugins/, ...), and plugins/
links there. In a release plugins/ has real folders. Only what git tracks is laid out: an inventory, a cache or rendered
files that lie in the checkout are nobody else's business.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
PLACE = "ansible_collections/sluice/lb"
RELEASED = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "changelogs",
    "docs",
    "galaxy.yml",
    "inventory/sample",
    "meta",
    "playbooks",
    "plugins",
    "roles",
    "tests/sanity",
    ":!playbooks/lab*.yml",  # the lab is the checkout's
)
"""What belongs to the collection, as git's pathspecs."""


def tracked(project: Path, *pathspecs: str) -> list[str]:
    """Names of the files that git tracks there and that have not been removed since, links included."""
    command = ["git", "ls-files", "-z", "--", *pathspecs]
    names = subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout
    return [name for name in names.split("\0") if name and ((project / name).exists() or (project / name).is_symlink())]


def layout(project: Path) -> dict[str, Path]:
    """The files of the project by their names in the collection. A link to a folder becomes that folder."""
    found: dict[str, Path] = {}
    for name in tracked(project, *RELEASED):
        link = project / name
        if not link.is_symlink():
            found[name] = link
            continue
        folder = PurePosixPath(link.resolve().relative_to(project.resolve()))
        for inner in tracked(project, str(folder)):
            found[str(name / PurePosixPath(inner).relative_to(folder))] = project / inner
    return found


def write(project: Path, folder: Path) -> Path:
    """Write the collection below ``folder``, in place of one of before; the path of it."""
    place = folder / PLACE
    shutil.rmtree(place, ignore_errors=True)
    for name, file in layout(project).items():
        target = place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)  # with its mode
    # Tools that ask git for a collection's files would get those of a project around, which may ignore this folder.
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", place], check=True)
    return place


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the tree is made below it, in place of one of before")
    write(ROOT, parser.parse_args(arguments).folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
