"""The IPVS backend: virtual servers, and the few iptables rules that go with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..interface import Backend, Memo, Needs, Views
from ..iptables.layer import LAYER as IPTABLES_LAYER
from .layer import LAYER

if TYPE_CHECKING:
    from ...settings import Settings

_SYSCTLS = {
    # IPVS keeps conntrack up to date, so that masquerading and the rules of others see its connections.
    "net.ipv4.vs.conntrack": "1",
    # A connection whose endpoint is gone ends; one of UDP goes on with another.
    "net.ipv4.vs.expire_nodest_conn": "1",
    # A client with session affinity leaves an endpoint that drains.
    "net.ipv4.vs.expire_quiescent_template": "1",
}
_MODULES = ("dummy", "ip_set", "ip_vs", "nf_conntrack", "xt_ipvs", "xt_set")
_REUSE_FIXED = (5, 9)
"""Linux from which on a client's port that is used again may be scheduled anew without a second's delay."""

# What renders is imported where it is used: an apply renders nothing, and starts faster without it.


def _render(views: Views, settings: Settings, _memo: Memo) -> dict[str, str]:
    from ..iptables import text
    from . import rules, tables

    states = {family: rules.state(view, settings, guard=settings.ipvs_guard) for family, view in views.items()}
    return {
        **text.files({family: text.text(state.rules) for family, state in states.items()}),
        **tables.files(tables.merged(state.tables for state in states.values())),
    }


def _needs(views: Views, settings: Settings, kernel: Sequence[int]) -> Needs:
    """Sysctls, and a module per scheduler.

    As kube-proxy does since 1.20.8, connections are not scheduled anew where that is slow (kubernetes#93297), and else
    are, so that none gets to an endpoint that drains (kubernetes#81775).
    """
    from .. import shared
    from . import rules

    localnet = any(rules.opens_localnet(view, settings) for view in views.values())
    sysctls = shared.sysctls(settings, localnet=localnet)
    sysctls.update(_SYSCTLS)
    sysctls["net.ipv4.vs.conn_reuse_mode"] = "1" if tuple(kernel) >= _REUSE_FIXED else "0"
    if settings.ipvs_strict_arp:
        sysctls.update({"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2"})
    schedulers = {name for view in views.values() for name in rules.schedulers(view, settings)}
    return Needs(sysctls, sorted({*_MODULES, *(f"ip_vs_{name}" for name in schedulers)}))


def _names_own(views: Views, _settings: Settings) -> bool:
    return any(port.node_port for view in views.values() for port in view.ports)


BACKEND = Backend(
    name="ipvs",
    commands=("ip", "iptables", "modprobe", "ipset", "ipvsadm"),
    layers=(LAYER, IPTABLES_LAYER),
    render=_render,
    needs=_needs,
    scheduler=lambda settings: settings.ipvs_scheduler,
    names_own=_names_own,
)
