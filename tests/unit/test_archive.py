"""A module's engine is taken from where the node has it installed, if that is the same one and nobody else's."""

from __future__ import annotations

import compileall
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import sluice

ENGINE = Path(sluice.__file__).parent
ASKED = """
import sys
sys.path.insert(0, sys.argv[1])
import collection.sluice as package
from collection.sluice import archive, names
print(names.__file__)
print(*sorted(archive.sources(package)))
"""


class Node:
    """The engine installed below a folder, and an archive with the same one as Ansible would bring it."""

    def __init__(self, root: Path) -> None:
        self.library = root / "library"
        self.installed = self.library / "sluice"
        self.came = root / "came" / "collection" / "sluice"
        self.zip = root / "payload.zip"
        shutil.copytree(ENGINE, self.came, ignore=shutil.ignore_patterns("__pycache__"))
        archive = self.came / "archive.py"
        archive.write_text(archive.read_text().replace('"/usr/local/lib/sluice"', f'"{self.library}"'))
        shutil.copytree(self.came, self.installed)
        compileall.compile_dir(self.installed, quiet=2)

    def asked(self) -> str:
        """The file that a module of the engine is taken from. What came is said to be all that did."""
        with zipfile.ZipFile(self.zip, "w") as packed:
            packed.writestr("collection/__init__.py", "")
            for path in sorted(self.came.rglob("*.py")):
                packed.write(path, path.relative_to(self.came.parents[1]))
        done = subprocess.run(
            [sys.executable, "-c", ASKED, str(self.zip)], capture_output=True, text=True, check=True, cwd="/"
        )
        file, names = done.stdout.splitlines()
        assert names.split() == sorted(str(path.relative_to(self.came)) for path in self.came.rglob("*.py"))
        return file


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_the_same_engine_is_taken_from_where_it_is_compiled(node: Node) -> None:
    (node.installed / "of_another_module.py").write_text("")
    assert node.asked() == str(node.installed / "names.py")


@pytest.mark.parametrize("name", ["names.py", "__init__.py", "system/tools.py"])
def test_another_engine_is_not(name: str, node: Node) -> None:
    came = node.came / name
    came.write_text(f"{came.read_text()}\n# newer\n")
    assert node.asked() == str(node.zip / "collection/sluice/names.py")


def test_nor_is_a_part_of_it(node: Node) -> None:
    (node.installed / "system" / "tools.py").unlink()
    assert node.asked() == str(node.zip / "collection/sluice/names.py")


def test_nor_is_what_others_could_have_written(node: Node) -> None:
    cache = node.installed / "__pycache__"
    for path, mode in ((cache, 0o777), (next(cache.glob("names.*.pyc")), 0o666)):
        before = path.stat().st_mode & 0o777
        path.chmod(mode)
        assert node.asked() == str(node.zip / "collection/sluice/names.py")
        path.chmod(before)
    assert node.asked() == str(node.installed / "names.py")


def test_a_node_without_it_takes_the_archive(node: Node) -> None:
    shutil.rmtree(node.library)
    assert node.asked() == str(node.zip / "collection/sluice/names.py")
