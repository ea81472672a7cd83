"""The nftables backend: flat tables, whose rules do not grow with the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..interface import Backend, Memo, Needs, Views
from .layer import LAYER

if TYPE_CHECKING:
    from ...settings import Settings

# What renders is imported where it is used: an apply renders nothing, and starts faster without it.


def _render(views: Views, settings: Settings, memo: Memo) -> dict[str, str]:
    from . import rules, skeleton, text

    tables = []
    for family, view in views.items():
        found = rules.contents(view, settings, memo)
        sizes = {name: skeleton.size_for(count) for name, count in found.counts.items()}
        chains = [*skeleton.flowtable(settings), *skeleton.chains(family, settings, rules.guard(view, settings))]
        chains += [line for way in found.ways for line in skeleton.way_chain(way, family)]
        tables.append(
            text.table(family, skeleton.sets(family, sizes, settings.affinity_clients), chains, found.elements)
        )
    return {text.FILE: text.HEADER + "".join(tables)}


def _needs(views: Views, settings: Settings, _kernel: Sequence[int]) -> Needs:
    from .. import shared
    from . import rules

    localnet = any(any(rules.guard(view, settings)) for view in views.values())
    return Needs(shared.sysctls(settings, localnet=localnet), ["nf_conntrack", "nf_tables"])


def _names_own(views: Views, settings: Settings) -> bool:
    from .. import shared

    return shared.names_own(views, settings)


def _obstacles(families: Sequence[str]) -> list[str]:
    from . import obstacles

    return obstacles.obstacles(families)


BACKEND = Backend(
    name="nftables",
    commands=("ip", "nft", "modprobe"),
    layers=(LAYER,),
    render=_render,
    needs=_needs,
    scheduler=lambda settings: "",
    releases=("1.36",),
    names_own=_names_own,
    obstacles=_obstacles,
)
