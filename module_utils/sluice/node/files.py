"""The files of a node in /etc/sluice: what the roles write and ``sluice apply`` reads.

A file that was cut off is still a rule set, of fewer Services. So the files carry a proof that they are whole:
settings.json has the SHA-256 of each other one and a seal of its own (module seal), and files that do not agree with
it are only taken from somebody who says so (``--force``).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import addresses, seal
from ..backends import registry
from ..backends.interface import Files, Layer
from ..system import owned_files
from ..system.tools import NodeError
from . import state

if TYPE_CHECKING:
    from ..settings import Settings

DIRECTORY = "/etc/sluice"
SETTINGS_FILE = "settings.json"
CATALOGUE_FILE = "catalogue.json"
"""The compiled catalogue that the others were made of, for whoever asks on the node (``sluice get``)."""

DIGESTS = "files"
"""The field of SETTINGS_FILE that has the SHA-256 of the other files, in hexadecimal, by name."""

_PROOF = (DIGESTS, seal.KEY)


class Wanted(NamedTuple):
    """What a node is to be: its files, and their settings. ``source`` is where they are from, for messages.

    ``digests``: the SHA-256 of files, by name, as far as they are known. ``without``: the files that the kernel is to
    hold while something is out, and from what they were made.
    """

    contents: Files
    settings: Mapping[str, Any]
    source: str = "files"
    digests: Mapping[str, str] = {}
    without: state.Programmed | None = None

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that are used, in the order in which they are prepared."""
        backend = registry.BACKENDS.get(self.settings["backend"])
        return backend.layers if backend else ()

    def of(self, layer: Layer) -> dict[str, str]:
        """The files that the kernel is to hold of ``layer``; none where it is not used."""
        return own(self.programmed, layer) if layer in self.layers else {}

    @property
    def out(self) -> Sequence[str]:
        """What is out, a line each."""
        return self.without.out if self.without else ()

    @property
    def programmed(self) -> Files:
        """The files that the kernel is to hold."""
        return {**self.contents, **self.without.files} if self.without else self.contents

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
    return [
        SETTINGS_FILE,
        CATALOGUE_FILE,
        *(name for layer in registry.layers() for name in layer.files(addresses.FAMILIES)),
    ]


def nothing() -> dict[str, Any]:
    """The settings of a node that is to hold nothing of Sluice. No backend: all layers are wanted empty."""
    settings = {name: value for layer in registry.layers() for name, value in layer.settings.items()}
    return {"backend": "", "ip_families": [], "takeover": False, "takeover_families": [], **settings}


def setting(contents: Files, name: str) -> Any:
    """What SETTINGS_FILE among ``contents`` says under ``name``; None where it does not, or cannot be read."""
    try:
        return json.loads(contents[SETTINGS_FILE])[name]
    except (LookupError, ValueError, TypeError, RecursionError):
        return None


def settings_text(settings: Mapping[str, Any]) -> str:
    """The content of SETTINGS_FILE: ``settings``, without their prefix, as far as they make a difference to files.

    So a node can make its files anew, without what is out (module effective).
    """
    from ..settings import MADE_OF  # an apply starts faster without

    return json.dumps({name: settings[name] for name in MADE_OF}, indent=2, sort_keys=True) + "\n"


def settings_of(contents: Files) -> Settings:
    """The settings that these files were made with. Raises ValueError where they do not say all of them."""
    from ..settings import MADE_OF, PREFIX, from_variables

    said = json.loads(contents[SETTINGS_FILE])
    if not set(MADE_OF) <= said.keys():
        raise ValueError(f"an earlier release wrote {SETTINGS_FILE}")
    return from_variables({PREFIX + name: said[name] for name in MADE_OF}, SETTINGS_FILE)[0]


def sealed(contents: Files) -> dict[str, str]:
    """The files with a proof that they are whole: SETTINGS_FILE has the digests of the others, and a seal."""
    digests = _digests({name: text for name, text in contents.items() if name != SETTINGS_FILE})
    settings = {**json.loads(contents[SETTINGS_FILE]), DIGESTS: dict(sorted(digests.items()))}
    return {**contents, SETTINGS_FILE: seal.text(settings, indent=2)}


def without_proof(settings: str) -> str:
    """The text of SETTINGS_FILE without what proves that the files are whole, which changes with each of them."""
    try:
        fields = json.loads(settings)
        return (
            json.dumps({name: fields[name] for name in fields if name not in _PROOF}, indent=2, sort_keys=True) + "\n"
        )
    except (ValueError, TypeError):
        return settings


def edited(directory: str) -> list[str]:
    """What speaks against each file in ``directory`` that is not as it was written; nothing where there are none."""
    contents = {name: owned_files.shown(os.path.join(directory, name)) for name in names()}
    contents = {name: text for name, text in contents.items() if text}
    broken = _broken(contents, _digests(contents)) if SETTINGS_FILE in contents else {}
    return [f"{os.path.join(directory, name)} {fault}" for name, fault in broken.items()]


def load(directory: str, backend: str = "", *, force: bool = False) -> Wanted:
    """What the files in ``directory`` say, for ``backend`` instead of theirs if one is given.

    Raises NodeError where a file is missing, is not what Sluice writes or, without ``force``, not all that it wrote.
    """
    contents, digests = {}, {}
    for name in names():
        path = os.path.join(directory, name)
        try:
            contents[name], digests[name] = owned_files.with_digest(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise NodeError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    wanted = parse(contents, directory, backend)
    wanted = wanted._replace(digests={name: digests[name] for name in wanted.contents})
    broken = {} if force else _broken(wanted.contents, wanted.digests)
    if broken:
        lines = "; ".join(f"{os.path.join(directory, name)} {fault}" for name, fault in broken.items())
        raise NodeError(f"{lines}: --force takes the files as they are")
    return wanted


def _broken(contents: Files, known: Mapping[str, str]) -> dict[str, str]:
    """What speaks against each file being as it was written, by name. ``known``: the digests that they have."""
    try:
        digests = seal.fields(contents[SETTINGS_FILE]).get(DIGESTS)
    except ValueError:
        digests = None
    if not isinstance(digests, dict):
        # An earlier version wrote no seal; what that one applied is whole.
        if contents == state.whole(state.active()):
            return {}
        return {SETTINGS_FILE: "is cut off, or was edited by hand"}
    others = {name: text for name, text in contents.items() if name != SETTINGS_FILE}
    return {
        name: "is empty" if not text else f"is cut off or was edited by hand ({len(text.encode())} bytes)"
        for name, text in others.items()
        if digests.get(name) != known[name]
    }


def _digests(contents: Files) -> dict[str, str]:
    return {name: owned_files.digest(text.encode()) for name, text in contents.items()}


def parse(contents: Files, source: str = "files", backend: str = "") -> Wanted:
    """What files with these ``contents`` (by name) say. Raises NodeError, with ``source`` in its message."""
    try:
        said = json.loads(contents[SETTINGS_FILE])
        if "backend" not in said:
            raise ValueError(f"{SETTINGS_FILE} names no backend")
        settings = {**nothing(), **said}
        settings["backend"] = backend or settings["backend"]
        if settings["backend"] not in ("", *registry.BACKENDS):
            raise NodeError(f"{source}: there is no backend {settings['backend']}")
        wanted = Wanted({}, settings, source)
        files = [name for layer in wanted.layers for name in layer.files(settings["ip_families"])]
        asked = [CATALOGUE_FILE] if CATALOGUE_FILE in contents else []
        return wanted._replace(contents={name: contents[name] for name in (SETTINGS_FILE, *asked, *files)})
    except KeyError as error:
        raise NodeError(f"{source}: there is no {error.args[0]}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise NodeError(f"{source}: not what Sluice wrote: {error}") from None


def of_nothing() -> Wanted:
    """What a node is to be that holds nothing of Sluice."""
    return parse(sealed({SETTINGS_FILE: json.dumps(nothing())}))


def differing(directory: str, contents: Files) -> owned_files.Contents:
    """What is to change for ``directory`` to hold these files, and no other one of Sluice's."""
    return owned_files.differing({os.path.join(directory, name): contents.get(name) for name in names()})


def put(directory: str, contents: Files) -> None:
    """Have ``directory`` hold these files, and no other one of Sluice's."""
    owned_files.write(differing(directory, contents))
