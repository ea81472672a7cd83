"""The files that hold what a node wants in its kernel: what the templates write and ``sluice apply`` reads.

Names and forms are those of DESIGN: iptables-save text, and the settings that an apply needs.
"""

from __future__ import annotations

import json
from typing import Any

from . import addresses, iptables_rules, prefix_dispatch, ruleset
from .catalogue import Catalogue
from .faults import Fault, InputError
from .settings import Settings
from .view import view

DIRECTORY = "/etc/sluice"
SETTINGS_FILE = "settings.json"
BACKENDS = ("iptables",)
"""The backends that there are so far."""

RULES_FILES = {addresses.IPV4: "iptables.rules", addresses.IPV6: "ip6tables.rules"}
HEADER = "# Written by Sluice from the catalogue of Services: change that, not this file.\n"

_NEEDED_ON_A_NODE = ("backend", "compat", "ip_families", "iptables_variant", "takeover", "confirm_timeout")


def node_settings(settings: Settings) -> dict[str, Any]:
    """What an apply on the node needs to know: the content of ``settings.json``."""
    return {name: getattr(settings, name) for name in _NEEDED_ON_A_NODE}


def settings_text(settings: Settings) -> str:
    """``settings.json`` as text."""
    return json.dumps(node_settings(settings), indent=2, sort_keys=True) + "\n"


def sysctls(settings: Settings) -> dict[str, str]:
    """The sysctls that a load balancer needs: it forwards, and node ports on localhost need route_localnet."""
    found = {}
    if addresses.IPV4 in settings.ip_families:
        found["net.ipv4.ip_forward"] = "1"
        if iptables_rules.serves_localhost(settings):
            found["net.ipv4.conf.all.route_localnet"] = "1"
    if addresses.IPV6 in settings.ip_families:
        found["net.ipv6.conf.all.forwarding"] = "1"
    return found


def rule_set(catalogue: Catalogue, settings: Settings, family: str) -> ruleset.RuleSet:
    """The iptables rule set of one node in one family."""
    rules = iptables_rules.rule_set(view(catalogue, settings, family), settings)
    return prefix_dispatch.apply_prefix_dispatch(rules) if settings.iptables_dispatch == "prefix" else rules


def render(catalogue: Catalogue, settings: Settings) -> dict[str, str]:
    """All files of one node, by name. Raises InputError for a backend that is not there yet."""
    if settings.backend not in BACKENDS:
        raise InputError([Fault("settings", 0, "", "sluice_backend", f"{settings.backend} is not there yet")])
    found = {SETTINGS_FILE: settings_text(settings)}
    for family in settings.ip_families:
        found[RULES_FILES[family]] = HEADER + ruleset.text(rule_set(catalogue, settings, family))
    return found
