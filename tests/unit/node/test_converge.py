"""One loop over layers and phases, and what is kept of it: with a kernel that is a folder."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import folder_backend
import pytest

from sluice.backends import registry
from sluice.backends.interface import Form, KernelChanged, Leftover, Memory, Phase
from sluice.node import converge, files, rivals, state
from sluice.node.result import Result
from sluice.system import owned_files
from sluice.system.tools import NodeError

LOOK = folder_backend.FolderLook


def wanted(text: str) -> files.Wanted:
    return files.parse({"settings.json": json.dumps({"backend": "folder"}), folder_backend.FILE: text})


def held(kernel: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in kernel.glob("*")}


def applied(text: str, confirm: int = 0) -> Result:
    return converge.converge(wanted(text), confirm).finish()


def test_who_is_quicker_is_looked_at_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = iter([True, True, False])
    send = LOOK.send

    def once_refused(look: folder_backend.FolderLook, phase: Phase) -> None:
        if phase == Phase.PREPARE and next(refused):
            (folder / "web").parent.mkdir(exist_ok=True)
            (folder / "web").write_text("x\n")
            raise KernelChanged("somebody was quicker")
        send(look, phase)

    monkeypatch.setattr(LOOK, "send", once_refused)
    assert applied("web a\n").diff() == ["change folder web", "  - x", "  + a"]
    assert held(folder) == {"web": "a\n"}
    assert not state.unfinished()


def test_who_is_always_quicker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[Phase] = []

    def refused(_look: folder_backend.FolderLook, phase: Phase) -> None:
        attempts.append(phase)
        raise KernelChanged("somebody was quicker")

    monkeypatch.setattr(LOOK, "send", refused)
    with pytest.raises(NodeError, match=r"^somebody was quicker$"):
        applied("web a\n")
    assert attempts == [Phase.PREPARE] * converge.ATTEMPTS
    assert (state.active(), state.unfinished()) == (0, True)


@pytest.fixture
def proxy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node has Services, and then another proxy runs on it."""
    applied("web a\n")
    monkeypatch.setattr(rivals, "running", lambda *, by_port: ["kube-proxy (pid 7) programs Services"])


@pytest.mark.usefixtures("proxy")
def test_another_proxy_that_runs(folder: Path) -> None:
    """Where nothing is going to change, nobody undoes anything."""
    assert not applied("web a\n").changed
    for ask in (lambda: applied("web b\n"), lambda: converge.compare(wanted("web b\n")), lambda: applied_nothing()):
        with pytest.raises(NodeError, match=r"^kube-proxy \(pid 7\) programs Services$"):
            ask()
    assert held(folder) == {"web": "a\n"}


def applied_nothing() -> Result:
    return converge.converge(files.of_nothing()).finish()


@pytest.mark.usefixtures("proxy")
def test_what_another_proxy_has_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All faults are told at once; where Sluice goes, what is another one's stays and is told."""
    monkeypatch.setattr(LOOK, "leftovers", [Leftover("the table x", "IPv4")])
    with pytest.raises(NodeError) as refused:
        applied("web b\n")
    assert [line.partition(" ")[0] for line in str(refused.value).split("; ")] == [
        "a",
        "sluice_takeover:",
        "kube-proxy",
    ]
    assert applied_nothing().warnings == ("left by another Service proxy, and stays: the table x",)
    assert held(folder) == {}


ORDER: list[tuple[str, Phase]] = []


class OrderedLook(folder_backend.FolderLook):
    """Writes down which layer is sent what."""

    def __init__(self, layer: str, wanted: Mapping[str, str]) -> None:
        super().__init__(dict(wanted), claimed=False)
        self.layer = layer

    def send(self, phase: Phase) -> None:
        ORDER.append((self.layer, phase))

    def memory(self) -> Memory:
        return Memory()


class OrderedLayer(folder_backend.FolderLayer):
    remembers: Mapping[str, Form] = {}

    def __init__(self, name: str) -> None:
        self.name = name

    def files(self, families: Sequence[str]) -> Sequence[str]:
        return (f"{self.name}.conf",)

    @contextlib.contextmanager
    def look(self, wanted: Mapping[str, str], *_rest: Any, check: bool) -> Iterator[OrderedLook]:
        yield OrderedLook(self.name, wanted)


@pytest.fixture
def two_backends(node_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    backend = folder_backend.BACKEND
    backends = {name: backend._replace(name=name, layers=(OrderedLayer(name),)) for name in "ab"}
    monkeypatch.setattr(registry, "BACKENDS", backends)
    yield
    ORDER.clear()


@pytest.mark.parametrize(("backend", "order"), [("a", "ab"), ("b", "ba")])
@pytest.mark.usefixtures("two_backends")
def test_every_layer_has_sent_a_phase_before_the_next(backend: str, order: str) -> None:
    """Layers that are used come first: what is added is there before what is removed goes."""
    settings = json.dumps({"backend": backend})
    converge.converge(files.parse({"settings.json": settings, f"{backend}.conf": "x"}))
    assert [(layer, phase) for phase in Phase for layer in order] == ORDER


@pytest.fixture
def read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was kept before can be read, and nothing below the folder of the state can be written."""
    applied("web a\n")
    write, make_folder, unlink = owned_files.write, owned_files.make_folder, os.unlink

    def refuse(path: object) -> None:
        if str(path).startswith(state.ROOT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    def written(contents: owned_files.Contents, **rest: Any) -> None:
        for path, text in contents.items():
            if text is not None or os.path.lexists(path):
                refuse(path)
        write(contents, **rest)

    monkeypatch.setattr(owned_files, "write", written)
    monkeypatch.setattr(owned_files, "make_folder", lambda path: refuse(path) or make_folder(path))
    monkeypatch.setattr(os, "unlink", lambda path, **rest: refuse(path) or unlink(path, **rest))
    monkeypatch.setattr(os, "rename", lambda path, _to: refuse(path))


@pytest.mark.usefixtures("read_only")
def test_a_state_that_cannot_be_written_is_a_warning(folder: Path) -> None:
    result = applied("web b\n")
    assert result.changed
    assert held(folder) == {"web": "b\n"}
    assert [line.partition(" cannot be written")[0] for line in result.warnings] == [state.ROOT], "once"


@pytest.mark.usefixtures("read_only", "command")
def test_without_a_state_nothing_is_to_be_confirmed(folder: Path) -> None:
    """Nobody could take it back."""
    with pytest.raises(NodeError, match=r"Read-only file system: nothing was changed$"):
        applied("web b\n", confirm=3600)
    assert held(folder) == {"web": "a\n"}


@pytest.mark.usefixtures("folder")
def test_what_is_damaged_is_set_aside_and_the_apply_goes_on() -> None:
    applied("web a\n")
    for name in ("active", folder_backend.CLAIM):
        (Path(state.ROOT) / name).write_text("{")
    (Path(state.ROOT) / "generations" / "1" / folder_backend.FILE).write_text("web x\n")
    compared = converge.compare(wanted("web b\n"))
    assert [line.rpartition(";")[2] for line in compared.warnings] == [" the next apply sets it aside"] * 2
    assert applied("web b\n").warnings == tuple(
        f"{state.ROOT}/{name} was damaged: it is set aside as {state.ROOT}/{name}.damaged"
        for name in ("active", folder_backend.CLAIM, "generations/1")
    )
    assert not applied("web b\n").warnings
    assert (state.active(), state.contents(1)[folder_backend.FILE]) == (1, "web b\n")


@pytest.mark.usefixtures("folder")
def test_what_a_killed_apply_has_left_is_done_once() -> None:
    """By the next one, whatever it has to change itself."""
    applied("web a\n")
    state.begin("killed")
    assert not applied("web a\n").changed
    assert not state.unfinished()
