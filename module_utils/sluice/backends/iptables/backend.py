"""The iptables backend: kube-proxy's rules, all in iptables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..interface import Backend, Memo, Needs, Views
from .layer import LAYER

if TYPE_CHECKING:
    from ...settings import Settings

# What renders is imported where it is used: an apply renders nothing, and starts a third faster without it.


def _render(views: Views, settings: Settings, memo: Memo) -> dict[str, str]:
    from . import rules, text

    return text.files({family: rules.rules(view, settings, memo) for family, view in views.items()})


def _needs(views: Views, settings: Settings, _kernel: Sequence[int]) -> Needs:
    from .. import shared
    from . import rules

    localnet = any(rules.opens_localnet(view, settings) for view in views.values())
    # The kernel keeps a list of clients per endpoint, of 100 where nobody says otherwise (iptables-extensions(8)).
    clients = settings.affinity_clients
    options = {"xt_recent": {"ip_list_tot": str(clients)}} if clients else {}
    return Needs(shared.sysctls(settings, localnet=localnet), ["nf_conntrack"], options)


def _names_own(views: Views, settings: Settings) -> bool:
    from .. import shared

    return shared.names_own(views, settings)


BACKEND = Backend(
    name="iptables",
    commands=("ip", "iptables", "modprobe"),
    layers=(LAYER,),
    render=_render,
    needs=_needs,
    scheduler=lambda settings: "",
    remembers_clients=100,
    names_own=_names_own,
)
