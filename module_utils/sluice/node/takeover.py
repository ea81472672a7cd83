"""Whether a node that another Service proxy has programmed may be given Sluice's rules, and what speaks against it.

Two proxies in one kernel undo each other's rules. So one that runs is in the way whatever the settings say; what one
has left may go where ``sluice_takeover`` says so, but for Services of an address family that nobody spoke of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..backends.interface import Leftover

_SHOWN = 3
"""Things that are named before the others are only counted."""


def faults(left: Sequence[Leftover], settings: Mapping[str, Any]) -> list[str]:
    """Why what other proxies have left cannot be replaced with these settings, a line each; nothing where it can."""
    if not settings["takeover"]:
        names = ", ".join(each.name for each in left)
        line = (
            f"a kube-proxy or a kubelet has left {names} here, or somebody has removed what says that they are "
            "Sluice's; sluice_takeover: true says that they may be replaced"
        )
        return [line] if left else []
    going = {*settings["ip_families"], *settings["takeover_families"]}
    return [_of_another_family(each) for each in left if each.services and each.family not in going]


def _of_another_family(left: Leftover) -> str:
    return (
        f"{left.name} serves Services at {_some(left.services)}, which would go without another: "
        f"sluice_ip_families leaves {left.family} out; name it there, or in sluice_takeover_families if they may go"
    )


def stays(left: Sequence[Leftover]) -> list[str]:
    """What is said of leftovers where Sluice itself goes."""
    return [f"left by another Service proxy, and stays: {each.name}" for each in left]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
