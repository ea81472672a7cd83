"""The engine's rooms: who may import from whom. The order stands in the engine's own docstring, and nowhere else."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import sluice
from sluice.backends import registry

ROOT = Path(__file__).resolve().parents[3]
ENGINE = ROOT / "module_utils" / "sluice"
MODULES = sorted(path.relative_to(ENGINE).with_suffix("") for path in ENGINE.rglob("*.py"))
AMONG_BACKENDS = {("ipvs", "iptables")}
DOING = ("backend", "kernel", "layer", "netlink", "plan")
"""Modules of a backend that change a kernel, or plan it: not for who only reads what is written."""

PLUGINS = ("library", "filter_plugins", "action_plugins", "connection_plugins")


def rooms() -> dict[str, int]:
    """Each room's floor, from the table in the docstring; the highest number is the lowest floor."""
    table = re.findall(r"^    (\w+) +(\S.*(?:\n {8,}\S.*)*)$", str(sluice.__doc__), re.MULTILINE)
    floors = {name: floor for floor, (name, _) in enumerate(table)}
    words = dict(table)["words"].partition(":")[0].split()
    return {**floors, **dict.fromkeys(words, floors["words"]), "__init__": floors["archive"]}


FLOORS = rooms()


def imports(module: Path) -> Iterator[tuple[str, ...]]:
    """What a module of the engine imports from the engine, within functions as well, as paths from its root."""
    for node in ast.walk(ast.parse((ENGINE / module).with_suffix(".py").read_text())):
        assert not isinstance(node, ast.Import) or not any(name.name.startswith("sluice") for name in node.names)
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*module.parent.parts][: len(module.parent.parts) - node.level + 1]
            base += node.module.split(".") if node.module else []
            for name in node.names:
                path = (*base, name.name)
                yield path if is_module(path) else tuple(base)


def is_module(path: tuple[str, ...]) -> bool:
    return ENGINE.joinpath(*path).with_suffix(".py").is_file() or ENGINE.joinpath(*path, "__init__.py").is_file()


def room_of(path: tuple[str, ...]) -> str:
    return path[0] if path else "__init__"


def test_every_module_has_a_room() -> None:
    assert {path.parts[0] for path in MODULES} - {"__main__"} == set(FLOORS) - {"words"}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_nobody_imports_upwards(module: Path) -> None:
    for path in imports(module):
        if path and module.parts[0] != "__main__":
            assert FLOORS[module.parts[0]] <= FLOORS[path[0]], f"{module} imports {'.'.join(path)}"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_backends_are_met_through_their_interface(module: Path) -> None:
    for path in imports(module):
        if path[:1] != ("backends",) or path == ("backends",):
            continue
        inside = module.parts[0] == "backends"
        if module.parts[0] == "observe":
            assert path[1] in ("interface", "registry") or path[-1] not in DOING, f"{module} imports {'.'.join(path)}"
        elif not inside:
            assert path[1] in ("interface", "registry"), f"{module} imports {'.'.join(path)}"
        elif len(module.parts) == 3 and path[1] not in ("interface", "shared", module.parts[1]):
            assert (module.parts[1], path[1]) in AMONG_BACKENDS, f"{module} imports {'.'.join(path)}"
        elif module.parts[1] == "interface":
            raise AssertionError(f"the interface imports {'.'.join(path)}")


def test_there_is_no_circle() -> None:
    """A module that is imported alone, first, imports all that it needs."""
    graph = {path.parts: set(imports(path)) for path in MODULES}
    done: set[tuple[str, ...]] = set()

    def visit(module: tuple[str, ...], way: tuple[tuple[str, ...], ...]) -> None:
        assert module not in way, " -> ".join(map(".".join, (*way, module)))
        if module in graph and module not in done:
            for path in graph[module]:
                visit(path, (*way, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def compared_constants(tree: ast.AST) -> Iterator[object]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for part in (node.left, *node.comparators):
                yield from (each.value for each in ast.walk(part) if isinstance(each, ast.Constant))


def test_nobody_asks_for_a_backend_by_name() -> None:
    """What differs between backends is in their folders: no ``if backend ==``, in Python, YAML or Jinja."""
    python = [*ENGINE.rglob("*.py"), *(path for folder in PLUGINS for path in (ROOT / folder).glob("*.py"))]
    for path in python:
        found = set(registry.BACKENDS) & {*map(str, compared_constants(ast.parse(path.read_text())))}
        assert not found, f"{path.relative_to(ROOT)} compares with {found}"
    names = "|".join(registry.BACKENDS)
    asked = re.compile(rf"[=!]= *['\"](?:{names})['\"]|in *\[[^\]]*['\"](?:{names})['\"]|['\"](?:{names})['\"] *:")
    for folder in ("roles", "playbooks"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".yml", ".j2"):
                assert not asked.search(path.read_text()), path.relative_to(ROOT)


def test_each_backend_has_a_role() -> None:
    for name in registry.BACKENDS:
        assert (ROOT / "roles" / name / "meta" / "argument_specs.yml").is_file()
    specs = yaml.safe_load((ROOT / "roles/node/meta/argument_specs.yml").read_text())["argument_specs"]
    assert specs["main"]["options"]["sluice_backend"]["choices"] == list(registry.BACKENDS)


def test_an_apply_imports_nothing_that_only_renders() -> None:
    """It runs at boot and in timers, where every tenth of a second counts."""
    script = "import sys, sluice.command; print(*(name for name in sys.modules if name.startswith('sluice.')))"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ENGINE.parent)})
    loaded = set(done.stdout.split())
    assert "sluice.node.apply" in loaded
    only_rendering = ("view", "settings", "render", "catalogue", "release", "names")
    rendering_files = ("rules", "common", "chains", "layout_ext", "layout_xlb", "dispatch")
    assert not loaded & {f"sluice.{name}" for name in only_rendering}
    assert not [name for name in loaded if name.startswith("sluice.backends.") and name.endswith(rendering_files)]
