"""The files that hold what a node wants in its kernel: what the templates write and ``sluice apply`` reads.

Names and forms are those of DESIGN: iptables-save text, and the settings that an apply needs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .. import addresses
from ..backends.iptables import dispatch as prefix_dispatch
from ..backends.iptables import rules as iptables_rules
from ..backends.iptables import text as ruleset
from ..backends.ipvs import ipset_text
from ..backends.ipvs import rules as ipvs_rules
from ..backends.ipvs import text as ipvs_text
from ..backends.ipvs.rules import Tables
from ..catalogue.model import Catalogue
from ..faults import Fault, InputError
from ..settings import Settings
from ..view import view

DIRECTORY = "/etc/sluice"
SETTINGS_FILE = "settings.json"
IPSET_FILE, IPVS_FILE, ADDRESSES_FILE = "ipset.conf", "ipvs.conf", "addresses"
BACKENDS = ("iptables", "ipvs")
"""The backends that there are so far."""

RULES_FILES = {addresses.IPV4: "iptables.rules", addresses.IPV6: "ip6tables.rules"}
NAMES = (SETTINGS_FILE, *RULES_FILES.values(), IPSET_FILE, IPVS_FILE, ADDRESSES_FILE)
"""All files that a node may have."""

NO_TABLES = Tables({}, {}, ())
HEADER = "# Written by Sluice from the catalogue of Services: change that, not this file.\n"

_NEEDED_ON_A_NODE = (
    "backend",
    "compat",
    "ip_families",
    "iptables_variant",
    "takeover",
    "confirm_timeout",
    "ipvs_drain_seconds",
)


def node_settings(settings: Settings) -> dict[str, Any]:
    """What an apply on the node needs to know: the content of ``settings.json``."""
    return {name: getattr(settings, name) for name in _NEEDED_ON_A_NODE}


def settings_text(settings: Settings) -> str:
    """``settings.json`` as text."""
    return json.dumps(node_settings(settings), indent=2, sort_keys=True) + "\n"


_IPVS_SYSCTLS = {
    # IPVS keeps conntrack up to date, so that masquerading and the rules of others see its connections.
    "net.ipv4.vs.conntrack": "1",
    # A connection whose endpoint is gone ends, one of UDP goes on with another.
    "net.ipv4.vs.expire_nodest_conn": "1",
    # A client with session affinity leaves an endpoint that drains.
    "net.ipv4.vs.expire_quiescent_template": "1",
}
_IPVS_MODULES = ("dummy", "ip_set", "ip_vs", "nf_conntrack", "xt_ipvs", "xt_set")
_REUSE_FIXED = (5, 9)
"""Linux from which on a client's port that is used again may be scheduled anew without a second's delay."""


def modules(catalogue: Catalogue, settings: Settings) -> list[str]:
    """The kernel modules that a node needs: IPVS's schedulers are one each."""
    if settings.backend != "ipvs":
        return ["nf_conntrack"]
    views = (view(catalogue, settings, family) for family in settings.ip_families)
    return sorted(
        {*_IPVS_MODULES, *(f"ip_vs_{name}" for seen in views for name in ipvs_rules.schedulers(seen, settings))}
    )


def sysctls(settings: Settings, kernel: Sequence[int]) -> dict[str, str]:
    """The sysctls that a load balancer needs: it forwards, and node ports on localhost need route_localnet.

    ``kernel``: the release of the node's Linux, ``(6, 1)``. As kube-proxy does since 1.20.8, connections are not
    scheduled anew where that is slow (kubernetes#93297), and else are, so that none gets to an endpoint that drains
    (kubernetes#81775).
    """
    found = {}
    if addresses.IPV4 in settings.ip_families:
        found["net.ipv4.ip_forward"] = "1"
        if iptables_rules.serves_localhost(settings) and settings.backend == "iptables":
            found["net.ipv4.conf.all.route_localnet"] = "1"
    if settings.backend == "ipvs":
        found.update(_IPVS_SYSCTLS)
        found["net.ipv4.vs.conn_reuse_mode"] = "1" if tuple(kernel) >= _REUSE_FIXED else "0"
        if ipvs_rules.opens_localnet(settings):
            found["net.ipv4.conf.all.route_localnet"] = "1"
        if settings.ipvs_strict_arp:
            found.update({"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2"})
    if addresses.IPV6 in settings.ip_families:
        found["net.ipv6.conf.all.forwarding"] = "1"
    return found


def rule_sets(catalogue: Catalogue, settings: Settings) -> tuple[dict[str, ruleset.RuleSet], Tables]:
    """What one node wants in its kernel: an iptables rule set a family, and the tables of IPVS mode.

    Raises InputError for a backend that is not there yet.
    """
    views = {family: view(catalogue, settings, family) for family in settings.ip_families}
    if settings.backend == "ipvs":
        states = {family: ipvs_rules.state(seen, settings, guard=settings.ipvs_guard) for family, seen in views.items()}
        return {family: held.rules for family, held in states.items()}, ipvs_rules.merged(states.values())
    if settings.backend != "iptables":
        raise InputError([Fault("settings", 0, "", "sluice_backend", f"{settings.backend} is not there yet")])
    rules = {family: iptables_rules.rule_set(seen, settings) for family, seen in views.items()}
    if settings.iptables_dispatch == "prefix":
        rules = {family: prefix_dispatch.apply_prefix_dispatch(held) for family, held in rules.items()}
    return rules, NO_TABLES


def rule_set(catalogue: Catalogue, settings: Settings, family: str) -> ruleset.RuleSet:
    """The iptables rule set of one node in one family."""
    return rule_sets(catalogue, settings._replace(ip_families=(family,)))[0][family]


def render(catalogue: Catalogue, settings: Settings) -> dict[str, str]:
    """All files of one node, by name. Raises InputError for a backend that is not there yet."""
    rules, tables = rule_sets(catalogue, settings)
    found = {SETTINGS_FILE: settings_text(settings)}
    found.update({RULES_FILES[family]: HEADER + ruleset.text(held) for family, held in rules.items()})
    if settings.backend == "ipvs":
        found.update(tables_files(tables))
    return found


def tables_files(tables: Tables) -> dict[str, str]:
    """The files of IPVS mode beside the rules, by name. ipvsadm takes no comments, so they have no header."""
    return {
        IPSET_FILE: ipset_text.text(tables.sets),
        IPVS_FILE: ipvs_text.text(tables.servers),
        ADDRESSES_FILE: ipvs_text.addresses_text(tables.addresses),
    }


def read_tables(contents: Mapping[str, str]) -> Tables:
    """The tables of IPVS mode that files hold. Raises ValueError (TextError) and KeyError where they are not right."""
    return Tables(
        sets=ipset_text.parse(contents[IPSET_FILE]),
        servers=ipvs_text.parse(contents[IPVS_FILE]),
        addresses=ipvs_text.parse_addresses(contents[ADDRESSES_FILE]),
    )
