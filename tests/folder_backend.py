"""A tiny backend whose kernel is a folder: what the interface asks for is all that an apply needs."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sluice.backends.interface import (
    Backend,
    Change,
    Counters,
    Files,
    Form,
    Frontends,
    Held,
    Leftover,
    Memo,
    Memory,
    Needs,
    Phase,
    Views,
    amount_of,
)
from sluice.catalogue import compiled
from sluice.catalogue.model import Catalogue, Endpoint, EndpointSlice, Service, ServicePort, SlicePort
from sluice.node import apply
from sluice.node import files as node_files
from sluice.node.origin import SOMEBODY, Origin
from sluice.settings import Settings

KERNEL = Path("/run/folder-backend")
FILE = "folder.conf"
CLAIM = "folder-claim.json"


class FolderLook:
    """The folder has a file per Service; each of its lines is an endpoint."""

    warnings: Sequence[str] = ()
    leftovers: Sequence[Leftover] = ()
    details: Mapping[str, str] = {}
    udp = False

    def __init__(self, wanted: dict[str, str], claimed: bool) -> None:
        self.wanted = wanted
        self.have = {path.name: path.read_text() for path in KERNEL.glob("*")} if claimed else {}
        self.changes = [
            Change(
                f"folder {name}",
                "add" if name not in self.have else "change" if name in wanted else "remove",
                tuple(self.have.get(name, "").split()),
                tuple(wanted.get(name, "").split()),
            )
            for name in sorted({*wanted, *self.have})
            if wanted.get(name) != self.have.get(name)
        ]
        self.amount = amount_of(wanted[name] for name in wanted if wanted[name] != self.have.get(name))
        self.sent: list[Phase] = []

    def holds(self, files: Files) -> bool:
        return services(files) == self.have

    def held(self) -> Held:
        text = "".join(f"{name} {' '.join(lines.split())}\n" for name, lines in self.have.items())
        return Held({FILE: text} if text else {}, {"ip_families": ["IPv4"]} if text else {})

    def send(self, phase: Phase) -> None:
        assert self.sent == list(Phase)[:phase], "phases come in their order"
        self.sent.append(phase)
        if phase == Phase.SWITCH:
            KERNEL.mkdir(exist_ok=True)
            for name, text in self.wanted.items():
                (KERNEL / name).write_text(text)
        elif phase == Phase.CLEAN:
            for name in self.have.keys() - self.wanted.keys():
                (KERNEL / name).unlink()
            with contextlib.suppress(OSError):
                KERNEL.rmdir()

    def memory(self) -> Memory:
        return Memory(lasting={CLAIM: True} if self.wanted or not self.sent else {})


class FolderLayer:
    name = "folder"
    settings: Mapping[str, Any] = {}
    devices = ()
    remembers: Mapping[str, Form] = {CLAIM: lambda value: isinstance(value, int)}
    waiting = ""

    def files(self, families: Sequence[str]) -> Sequence[str]:
        return (FILE,)

    @contextlib.contextmanager
    def look(
        self, wanted: Files, last: Files, memory: Memory, settings: Mapping[str, Any], *, check: bool
    ) -> Iterator[FolderLook]:
        yield FolderLook(services(wanted), bool(memory.lasting.get(CLAIM)))

    def frontends(self, files: Files, family: str) -> Frontends:
        return {}

    def counters(self, *, endpoints: bool = True) -> Counters:
        return Counters()

    def ours(self, files: Files) -> bool:
        return True

    def settle(self, memory: Memory, now: float) -> Memory:
        return memory


def services(files: Files) -> dict[str, str]:
    rows = (line.split() for line in files.get(FILE, "").splitlines())
    return {name: "".join(f"{each}\n" for each in endpoints) for name, *endpoints in rows}


def held() -> dict[str, str]:
    """What the kernel holds."""
    return {path.name: path.read_text() for path in KERNEL.glob("*")}


def contents(text: str, catalogue: str | None = None) -> dict[str, str]:
    """The files of a node that wants the Services of ``text``, sealed; ``catalogue``: the compiled one, if there is."""
    asked = {} if catalogue is None else {node_files.CATALOGUE_FILE: catalogue}
    return node_files.sealed({node_files.SETTINGS_FILE: json.dumps({"backend": "folder"}), FILE: text, **asked})


def catalogue(text: str) -> str:
    """The compiled catalogue of the Services of ``text``; the endpoint ``-`` is not ready."""
    return compiled.text(Catalogue(tuple(service(*line.split()) for line in text.splitlines())))


def service(name: str, *endpoints: str) -> Service:
    pieces = (Endpoint("192.0.2.1", node=each, ready=each != "-") for each in endpoints)
    slices = (EndpointSlice("IPv4", (SlicePort("", "TCP", 80),), tuple(pieces)),)
    return Service("shop", name, "ClusterIP", ("10.96.0.1",), (ServicePort("", "TCP", 80, 80),), slices)


def put_and_apply(
    directory: Path, text: str, *, confirm: int = 0, with_catalogue: bool = False, origin: Origin = SOMEBODY
) -> None:
    """Write such files, and bring the kernel to them."""
    node_files.put(str(directory), contents(text, catalogue(text) if with_catalogue else None))
    path = str(directory)
    apply.apply(lambda: node_files.load(path), confirm=confirm, directory=path, origin=origin)


def render(views: Views, settings: Settings, _memo: Memo) -> dict[str, str]:
    lines = (
        f"{port.display_name.replace('/', '_')} {' '.join(target.text for target in port.cluster)}\n"
        for view in views.values()
        for port in view.ports
    )
    return {FILE: "".join(lines)}


BACKEND = Backend(
    name="folder",
    commands=(),
    layers=(FolderLayer(),),
    render=render,
    needs=lambda views, settings, kernel: Needs({}, [os.devnull]),
    scheduler=lambda settings: "",
)
