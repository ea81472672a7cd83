"""One loop over layers and phases, and what is kept of it: with a kernel that is a folder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import folder_backend
import pytest

from sluice.backends import registry
from sluice.backends.interface import KernelChanged, Memory, Phase
from sluice.node import apply, files, state
from sluice.system.tools import NodeError

SETTINGS = json.dumps({"backend": "folder"})
LOOK = folder_backend.FolderLook


def wanted(text: str, settings: str = SETTINGS) -> files.Wanted:
    return files.parse({"settings.json": settings, folder_backend.FILE: text})


def held(kernel: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in kernel.glob("*")}


def test_check_says_what_an_apply_does(folder: Path) -> None:
    predicted = apply.apply(wanted("web a b\n"), check=True)
    assert (held(folder), state.active()) == ({}, 0)
    assert apply.apply(wanted("web a b\n")) == predicted
    assert held(folder) == {"web": "a\nb\n"}
    assert predicted.diff() == ["add folder web", "  + a", "  + b"]


def test_a_second_one_has_nothing_to_do(folder: Path) -> None:
    apply.apply(wanted("web a\n"))
    kept = {path: path.stat().st_mtime_ns for path in Path(state.ROOT).rglob("*")}
    assert not apply.apply(wanted("web a\n")).changed
    assert {path: path.stat().st_mtime_ns for path in Path(state.ROOT).rglob("*")} == kept


def test_each_change_is_a_generation(folder: Path) -> None:
    apply.apply(wanted("web a\n"))
    apply.apply(wanted("web b\n"))
    assert (state.active(), state.previous(2)) == (2, 1)
    assert state.contents(1)[folder_backend.FILE] == "web a\n"
    apply.apply(wanted("web b\n", json.dumps({"backend": "folder", "confirm_timeout": 1})))
    assert state.active() == 3, "files that change no rule are to be rolled back to as well"


def test_removal(folder: Path) -> None:
    apply.apply(wanted("web a\n"))
    assert [change.verb for change in apply.remove(check=True).changes] == ["remove"]
    assert held(folder) == {"web": "a\n"}
    apply.remove()
    assert held(folder) == {}
    assert not apply.remove().changed


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
    assert apply.apply(wanted("web a\n")).diff() == ["change folder web", "  - x", "  + a"]
    assert held(folder) == {"web": "a\n"}
    assert not state.unfinished()


def test_who_is_always_quicker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[Phase] = []

    def refused(_look: folder_backend.FolderLook, phase: Phase) -> None:
        attempts.append(phase)
        raise KernelChanged("somebody was quicker")

    monkeypatch.setattr(LOOK, "send", refused)
    with pytest.raises(NodeError, match=r"^somebody was quicker$"):
        apply.apply(wanted("web a\n"))
    assert attempts == [Phase.PREPARE] * apply.ATTEMPTS
    assert (state.active(), state.unfinished()) == (0, True)


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
    remembers: Mapping[str, Any] = {}

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
    apply.apply(files.parse({"settings.json": settings, f"{backend}.conf": "x"}))
    assert [(layer, phase) for phase in Phase for layer in order] == ORDER
