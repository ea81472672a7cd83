"""What is out on this node: what operators drain, which outlives a boot, and what checks say is down, which does not.

``drained.json`` below /var/lib/sluice has the addresses that are drained. ``drained-node.json`` is there while the node
itself is: its rules stay, and it tells routers that it is not well (module condition).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from .. import addresses
from ..outages import Outages
from ..system import owned_files
from ..system.tools import NodeError
from . import kept, state, verdicts

_DRAINED = f"{state.ROOT}/drained.json"
_NODE = f"{state.ROOT}/drained-node.json"


def current() -> Outages:
    """What is out now. What is damaged counts as nothing (``mend``)."""
    return Outages(drained(), frozenset(verdicts.kept_down()))


def drained() -> frozenset[str]:
    """The addresses that operators drain; what is damaged counts as none."""
    return frozenset(kept.value(_DRAINED, _is_drained) or ())


def mend(*, check: bool = False) -> list[str]:
    """Set aside what is damaged; the line that says so."""
    damaged = kept.damaged(_DRAINED, _is_drained)
    return [f"{kept.set_aside(_DRAINED, check=check)}; nothing is drained any more"] if damaged else []


def set_drained(found: Iterable[str]) -> None:
    """Keep which addresses are drained. Raises NodeError where that cannot be written."""
    wanted = sorted(found)
    try:
        owned_files.write({_DRAINED: kept.text(wanted) if wanted else None})
    except OSError as error:
        raise NodeError(f"{_DRAINED}: {error.strerror}: nothing was changed") from None


def node_is_drained() -> bool:
    """Whether routers are to send nothing to this node."""
    return os.path.exists(_NODE)


def set_node_drained(*, drained: bool, check: bool = False) -> bool:
    """Keep whether they are, unless ``check``. Returns whether that is another word than before. Raises NodeError."""
    changed = node_is_drained() != drained
    if check or not changed:
        return changed
    try:
        owned_files.write({_NODE: kept.text(True) if drained else None})
    except OSError as error:
        raise NodeError(f"{_NODE}: {error.strerror}: nothing was changed") from None
    return True


def _is_drained(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) and addresses.address(text) == text for text in value)
