"""Tests are where one looks: tests/unit is the engine's tree again, with a file for each filter and Ansible module."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ENGINE, UNIT = ROOT / "module_utils/sluice", ROOT / "tests/unit"


def modules() -> dict[str, Path]:
    """Each module that needs tests, with the file in which they have to be.

    An ``__init__`` has no code here, and ``__main__`` only calls ``command.main()``.
    """
    engine = [path.relative_to(ENGINE).with_suffix("") for path in ENGINE.rglob("*.py") if path.stem[:2] != "__"]
    found = {str(module): UNIT / module.parent / f"test_{module.name}.py" for module in engine}
    for folder, place in (("filter_plugins", "filters"), ("library", "modules")):
        for path in (ROOT / folder).glob("*.py"):
            found[f"{folder}/{path.name}"] = UNIT / "plugins" / place / f"test_{path.name}"
    return found


MODULES = modules()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_each_module_has_tests(module: str) -> None:
    path = MODULES[module]
    assert path.is_file(), f"the tests of {module} belong into {path.relative_to(ROOT)}"
    tree = ast.parse(path.read_text())
    assert any(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in tree.body)
    assert ast.get_docstring(tree), "say what they prove"


def test_each_test_has_a_module() -> None:
    found = {path for path in UNIT.rglob("test_*.py") if path.parent.name != "project"}
    assert found - set(MODULES.values()) == set()
