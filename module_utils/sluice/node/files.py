"""The files of a node in /etc/sluice: what the roles write and ``sluice apply`` reads."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .. import addresses
from ..backends import registry
from ..backends.interface import Files, Layer
from ..system import owned_files
from ..system.tools import NodeError

DIRECTORY = "/etc/sluice"
SETTINGS_FILE = "settings.json"


class Wanted(NamedTuple):
    """What a node is to be: its files, and their settings. ``source`` is where they are from, for messages."""

    contents: Files
    settings: Mapping[str, Any]
    source: str = "files"

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that are used, in the order in which they are prepared."""
        backend = registry.BACKENDS.get(self.settings["backend"])
        return backend.layers if backend else ()

    def of(self, layer: Layer) -> dict[str, str]:
        """The files of ``layer``; none where it is not used."""
        return own(self.contents, layer) if layer in self.layers else {}

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Says that the files are to blame for what is wrong with their text. Raises NodeError."""
        try:
            yield
        except ValueError as error:
            raise NodeError(f"{self.source}: not what Sluice wrote: {error}") from None


def own(contents: Files, layer: Layer) -> dict[str, str]:
    """The files among ``contents`` that are those of ``layer``."""
    return {name: contents[name] for name in layer.files(addresses.FAMILIES) if name in contents}


def names() -> list[str]:
    """All files that a node may have."""
    return [SETTINGS_FILE, *(name for layer in registry.layers() for name in layer.files(addresses.FAMILIES))]


def nothing() -> dict[str, Any]:
    """The settings of a node that is to hold nothing of Sluice. No backend: all layers are wanted empty."""
    settings = {name: value for layer in registry.layers() for name, value in layer.settings.items()}
    return {"backend": "", "ip_families": [], **settings}


def settings_text(settings: Mapping[str, Any]) -> str:
    """The content of SETTINGS_FILE: of ``settings`` (without their prefix) those that an apply needs."""
    needed = [*nothing(), "compat", "confirm_timeout"]
    return json.dumps({name: settings[name] for name in needed}, indent=2, sort_keys=True) + "\n"


def load(directory: str, backend: str = "") -> Wanted:
    """What the files in ``directory`` say, for ``backend`` instead of theirs if one is given.

    Raises NodeError where a file is missing or is not what Sluice writes.
    """
    contents = {}
    for name in names():
        path = os.path.join(directory, name)
        try:
            with open(path, encoding="utf-8") as stream:
                contents[name] = stream.read()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise NodeError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return parse(contents, directory, backend)


def parse(contents: Files, source: str = "files", backend: str = "") -> Wanted:
    """What files with these ``contents`` (by name) say. Raises NodeError, with ``source`` in its message."""
    try:
        settings = {**nothing(), **json.loads(contents[SETTINGS_FILE])}
        settings["backend"] = backend or settings["backend"]
        if settings["backend"] not in ("", *registry.BACKENDS):
            raise NodeError(f"{source}: there is no backend {settings['backend']}")
        wanted = Wanted({}, settings, source)
        files = [name for layer in wanted.layers for name in layer.files(settings["ip_families"])]
        return wanted._replace(contents={name: contents[name] for name in (SETTINGS_FILE, *files)})
    except KeyError as error:
        raise NodeError(f"{source}: there is no {error.args[0]}") from None
    except (ValueError, TypeError) as error:
        raise NodeError(f"{source}: not what Sluice wrote: {error}") from None


def of_nothing() -> Wanted:
    """What a node is to be that holds nothing of Sluice."""
    return parse({SETTINGS_FILE: json.dumps(nothing())})


def differing(directory: str, contents: Files) -> owned_files.Contents:
    """What is to change for ``directory`` to hold these files, and no other one of Sluice's."""
    return owned_files.differing({os.path.join(directory, name): contents.get(name) for name in names()})


def put(directory: str, contents: Files) -> None:
    """Have ``directory`` hold these files, and no other one of Sluice's."""
    owned_files.write(differing(directory, contents))
