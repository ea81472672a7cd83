"""What the kernel holds of our tables, and how that is changed: nft(8) is run here, for what is no element."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ...system import tools
from ...system.tools import NodeError
from ..interface import KernelChanged
from . import netlink, text
from .elements import Elements
from .layout import AFFINITY, FAMILIES, TABLE
from .netlink import Change, Frame
from .text import Skeleton

_CHANGED = (netlink.GENERATION_CHANGED, errno.ENOENT, errno.EEXIST)
"""What the kernel answers where it holds something else than the transaction was made for."""

OTHERS = ("kube-proxy",)
"""Tables of other Service proxies: kube-proxy's nftables mode."""


class Held(NamedTuple):
    """What one family's table holds."""

    frame: Frame
    elements: Elements


def read(family: str) -> Held | None:
    """What our table holds; None without one. Raises NodeError."""
    try:
        frame = netlink.frame(family)
        return Held(frame, netlink.read(family)) if frame else None
    except (OSError, ValueError) as error:
        raise NodeError(f"table {FAMILIES[family]} {TABLE} cannot be read: {error}") from None


def others(family: str) -> list[str]:
    """The tables that another Service proxy has left."""
    return [name for name in OTHERS if netlink.table_exists(family, name)]


def load(script: str) -> None:
    """Have nft carry out a script, all or nothing. Raises KernelChanged: it may be what changed meanwhile."""
    done = tools.run(["nft", "-f", "-"], script)
    if done.returncode:
        raise KernelChanged(f"nft: {_first_line(done.stderr)}")


def check(script: str) -> None:
    """Have nft and the kernel say whether they could carry out a script. Raises NodeError where they cannot."""
    done = tools.run(["nft", "-c", "-f", "-"], script)
    if done.returncode:
        raise NodeError(f"this node's kernel or nft cannot do this: {_first_line(done.stderr)}")


def _first_line(errors: str) -> str:
    """nft says first what is wrong, then shows where."""
    return errors.strip().partition("\n")[0] or "it failed without a word"


def commit(changes: Mapping[str, Sequence[Change]], generation: int) -> None:
    """Change elements in one transaction. Raises KernelChanged where the rule set is not of this ``generation``."""
    try:
        netlink.commit(changes, generation)
    except OSError as error:
        raise (KernelChanged if error.errno in _CHANGED else NodeError)(f"nf_tables: {error.strerror}") from None


def note(family: str, digest: str, generation: int) -> None:
    """Keep in our table of which text its chains are made. Raises KernelChanged, as ``commit`` does."""
    try:
        netlink.note(family, digest, generation)
    except OSError as error:
        raise KernelChanged(f"nf_tables: {error.strerror}") from None


def delete_table(family: str, name: str = TABLE) -> None:
    """Delete a table with all that is in it. Raises NodeError."""
    try:
        netlink.delete_table(family, name)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise NodeError(f"table {FAMILIES[family]} {name} cannot be deleted: {error.strerror}") from None


def delete_chains(family: str, names: Iterable[str]) -> None:
    """Delete chains that nothing leads to any more. Raises KernelChanged."""
    try:
        netlink.delete_chains(family, names)
    except OSError as error:
        raise KernelChanged(f"nf_tables: {error.strerror}") from None


# --- scripts for nft


def whole(family: str, skeleton: Skeleton) -> str:
    """Makes a table without elements."""
    return _table(family, _all_parts(skeleton))


def chains(family: str, skeleton: Skeleton, names: Iterable[str]) -> str:
    """Makes chains, in a table that has none of these names."""
    return _table(family, _parts("chain", {name: skeleton.chains[name] for name in names}))


def anew(family: str, skeleton: Skeleton, lines: Mapping[str, Iterable[str]]) -> str:
    """Makes a table anew with all elements, in the place of the one that there is."""
    return text.written(family, "".join(_all_parts(skeleton)), lines)


def affinity(family: str) -> dict[str, list[str]]:
    """The lines of what the kernel remembers of clients, with what is left of its time. Raises NodeError."""
    try:
        return {AFFINITY: list(netlink.remembered(family))}
    except OSError as error:
        raise NodeError(f"nf_tables: {error.strerror}") from None


def chains_anew(family: str, skeleton: Skeleton) -> str:
    """Gives all chains their rules anew, whatever rules they have."""
    return f"flush table {FAMILIES[family]} {TABLE}\n" + chains(family, skeleton, skeleton.chains)


def _table(family: str, parts: Iterable[str]) -> str:
    return f"table {FAMILIES[family]} {TABLE} {{\n{''.join(parts)}}}\n"


def _all_parts(skeleton: Skeleton) -> list[str]:
    return [*_parts("map", skeleton.sets), *_parts("chain", skeleton.chains)]


def _parts(kind: str, bodies: Mapping[str, str]) -> list[str]:
    named = {name: text.SETS.get(name, kind) for name in bodies}
    return [f"\t{named[name]} {name} {{\n{body}\t}}\n" for name, body in bodies.items()]


def listed(family: str) -> str:
    """The table as nft lists it, without elements. Raises NodeError."""
    return tools.output(["nft", "-s", "-t", "list", "table", FAMILIES[family], TABLE])
