"""Where the rules of a node may be: what is rendered for it, and the kernel's own tools for the same rules."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping, Sequence


def appended(saved: Iterable[str]) -> int:
    """The rules in what iptables-save printed."""
    return sum(line.startswith("-A ") for line in saved)


def in_chains(listed: Iterable[str]) -> int:
    """The rules in what ``nft list ruleset`` printed; elements of sets are none."""
    found, inside = 0, False
    for line in listed:
        if line.startswith("\t}"):
            inside = False
        elif line.startswith("\tchain "):
            inside = True
        elif inside and not line.startswith("\t\ttype "):
            found += 1
    return found


class Plane(typing.NamedTuple):
    """Rules of one kind in one layout.

    ``variables``: the settings of a node that has them. ``restore``: loads ``file`` of such a node from its input.
    ``save``: prints what the kernel holds, in which ``rules`` counts them. ``most``: Services up to which it is
    measured.
    """

    name: str
    dispatch: str
    variables: Mapping[str, str]
    file: str
    restore: Sequence[str]
    save: Sequence[str]
    rules: Callable[[Iterable[str]], int]
    most: int

    @property
    def backend(self) -> str:
        return self.variables["sluice_backend"]

    @property
    def commands(self) -> set[str]:
        return {self.restore[0], self.save[0]}


def _iptables(variant: str, dispatch: str) -> Plane:
    name = f"iptables-{variant}"
    variables = {"sluice_backend": "iptables", "sluice_iptables_variant": variant, "sluice_iptables_dispatch": dispatch}
    return Plane(name, dispatch, variables, "iptables.rules", [f"{name}-restore"], [f"{name}-save"], appended, 20000)


PLANES = (
    *(_iptables(variant, dispatch) for dispatch in ("linear", "prefix") for variant in ("nft", "legacy")),
    Plane("nftables", "flat", {"sluice_backend": "nftables"}, "nftables.nft", ["nft", "-f", "-"],
          ["nft", "list", "ruleset"], in_chains, 50000),
)  # fmt: skip
IPTABLES, *_, NFTABLES = PLANES
