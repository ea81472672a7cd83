"""Flows that a change leaves behind: UDP has no end, so conntrack keeps sending to an endpoint that is gone."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from .. import addresses
from ..backends.iptables.kernel import KernelError, run
from ..backends.iptables.plan import Change, target_of
from ..backends.iptables.text import RuleSet
from ..backends.ipvs.text import Servers

_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_DISPATCH = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-HOSTPORTS")
_DESTINATION = re.compile(r"(?:^| )-d ([^ /]+)/")
_PORT = re.compile(r" --dport (\d+)")
_DNAT = re.compile(r"-j DNAT --to-destination \[?([^\]]+?)\]?:(\d+)$")


class Frontend(NamedTuple):
    """Where clients send to: an address, or ``""`` for any of the node's own, and a port."""

    address: str
    port: int


class Flow(NamedTuple):
    """One UDP flow: who sent to what, and who answers."""

    source: str
    source_port: int
    destination: str
    port: int
    reply_source: str
    reply_port: int


Frontends = dict[Frontend, set[tuple[str, int]]]
"""The endpoints (address, port) behind each UDP front end."""


def touches_udp(changes: Iterable[Change]) -> bool:
    """Whether a change is about UDP at all; most are not, and then nothing has to be looked at."""
    return any(
        rule.startswith("-p udp ") or " -p udp " in rule for change in changes for rule in change.removed + change.added
    )


def virtual_servers(servers: Servers) -> Frontends:
    """The UDP front ends that IPVS has."""
    return {
        Frontend(address, port): {addresses.split_port(real) for real in held.real}
        for (protocol, address, port), held in servers.items()
        if protocol == "udp"
    }


def frontends(rules: RuleSet) -> Frontends:
    """The UDP front ends of an iptables rule set."""
    nat = rules.get("nat", {})
    found: Frontends = {}
    for chain, held in nat.items():
        if chain not in _DISPATCH and not chain.startswith("KUBE-PFX-"):
            continue
        for rule in held:
            port = _PORT.search(rule)
            if port and "-p udp " in rule:
                destination = _DESTINATION.search(rule.replace("! -d", ""))
                frontend = Frontend(destination.group(1) if destination else "", int(port.group(1)))
                found.setdefault(frontend, set()).update(_endpoints(nat, target_of(rule)))
    return found


def _endpoints(nat: dict[str, list[str]], chain: str, seen: frozenset[str] = frozenset()) -> Iterator[tuple[str, int]]:
    for rule in nat.get(chain, ()) if chain not in seen else ():
        dnat = _DNAT.search(rule)
        if dnat:
            yield dnat.group(1), int(dnat.group(2))
        else:
            yield from _endpoints(nat, target_of(rule), seen | {chain})


def stale(
    flows: Iterable[Flow], before: Frontends, after: Frontends, local: Collection[str], *, moved: bool = False
) -> list[Flow]:
    """The flows that a change leaves behind, on a node with the addresses ``local``.

    Those to endpoints that their front end does not have any more, also where the front end is gone; and those that
    nobody translated, of a front end that has endpoints now and had none. No others.

    ``moved``: another backend serves now, so all flows that the former one translated are its leavings.
    """
    found = []
    for flow in flows:
        keys = [Frontend(flow.destination, flow.port)]
        if flow.destination in local:
            keys.append(Frontend("", flow.port))
        backend = (flow.reply_source, flow.reply_port)
        had = set().union(*(before.get(key, ()) for key in keys))
        has = set().union(*(after.get(key, ()) for key in keys))
        untranslated = backend == (flow.destination, flow.port)
        if (backend in had and (moved or backend not in has)) or (untranslated and has and not had):
            found.append(flow)
    return found


def udp_flows(family: str) -> list[Flow]:
    """All UDP flows of this network namespace, from conntrack(8)."""
    result = _conntrack("-L", "-f", "ipv6" if family == addresses.IPV6 else "ipv4", "-p", "udp")
    if result.returncode:
        raise KernelError(f"conntrack -L: {' '.join(result.stderr.split())}")
    found = []
    for line in result.stdout.splitlines():
        words = [word.split("=", 1) for word in line.split() if "=" in word]
        original, reply = dict(words[:4]), dict(words[4:8])
        if {"src", "dst", "sport", "dport"} <= original.keys() and {"src", "sport"} <= reply.keys():
            found.append(
                Flow(
                    original["src"],
                    int(original["sport"]),
                    original["dst"],
                    int(original["dport"]),
                    reply["src"],
                    int(reply["sport"]),
                )
            )
    return found


def delete(flows: Iterable[Flow]) -> int:
    """Delete the flows; one that has ended by itself is fine. Returns how many were deleted."""
    count = 0
    for flow in flows:
        result = _conntrack(
            *("-D", "-p", "udp", "--orig-src", flow.source, "--orig-dst", flow.destination),
            *("--orig-port-src", str(flow.source_port), "--orig-port-dst", str(flow.port)),
        )
        count += result.returncode == 0
    return count


def _conntrack(*words: str) -> subprocess.CompletedProcess[str]:
    command = shutil.which("conntrack", path=_PATH)
    if not command:
        raise KernelError("conntrack is not installed: UDP flows to endpoints that are gone cannot be deleted")
    return run([command, *words])
