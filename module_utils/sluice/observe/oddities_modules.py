"""Kernel modules that rules need, and that are not there: such rules do nothing, or are not taken."""

from __future__ import annotations

import json
from collections.abc import Iterator

from .oddity import Oddity, few
from .snapshot import Snapshot

_OF_RULES = {
    f" -m {name} ": f"xt_{name}" for name in ("addrtype", "ipvs", "nfacct", "physdev", "recent", "set", "statistic")
}
"""What iptables asks for by a module of its own, in both variants."""

_OF_STATEMENTS = {
    '"numgen"': "nft_numgen",
    '"fib"': "nft_fib",
    '"masquerade"': "nft_masq",
    '"dnat"': "nft_nat",
    '"ct"': "nft_ct",
}
_FAMILIES = ("x_tables", "nf_tables", "nf_conntrack", "nf_nat", "ip_vs")
"""The modules below: where none of these is loaded, they are built in, and others may be as well."""


def found(snapshot: Snapshot) -> Iterator[Oddity]:
    """Those of a node; where nobody has said which modules are loaded, none is missed."""
    loaded = snapshot.modules
    if loaded is None:
        return
    missing = {}
    for name, why in _needed(snapshot):
        base = "ip_vs" if name.startswith("ip_vs") else "x_tables" if name.startswith("xt_") else "nf_tables"
        if name not in loaded and (base in loaded or (name == "ip_vs" and not loaded.isdisjoint(_FAMILIES))):
            missing[name] = why
    if missing:
        yield Oddity(
            "kernel module that is not loaded",
            few([f"{name} ({why})" for name, why in missing.items()], 5),
            "rules that need it do nothing, or are not taken when they are written anew",
            f"modprobe {' '.join(missing)}, and in /etc/modules-load.d for the next boot (if it is not built in)",
            True,
        )


def _needed(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    for tables in snapshot.iptables.values():
        waiting = dict(_OF_RULES)
        for chains in tables.rules.values():
            for rules in chains.values():
                for part in [part for part in waiting if any(part in text for text in rules)]:
                    yield waiting.pop(part), f"rules with{part.rstrip()}"
    for table in snapshot.nftables:
        if not table.is_of_iptables:
            text = json.dumps(table.rules)
            for part, name in _OF_STATEMENTS.items():
                if part in text:
                    yield name, f"rules with {part.strip(chr(34))}"
    if snapshot.servers:
        yield "ip_vs", "virtual servers"
        schedulers = sorted({server.scheduler for server in snapshot.servers.values()})
        yield from ((f"ip_vs_{name}", f"scheduler {name}") for name in schedulers)
