"""UDP flows that conntrack tracks, by conntrack(8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .. import addresses
from . import tools
from .tools import NodeError


class Flow(NamedTuple):
    """One UDP flow: who sent to what, and who answers."""

    source: str
    source_port: int
    destination: str
    port: int
    reply_source: str
    reply_port: int


def udp_flows(family: str) -> list[Flow]:
    """All UDP flows of ``family`` in this network namespace. Raises NodeError."""
    result = _conntrack("-L", "-f", "ipv6" if family == addresses.IPV6 else "ipv4", "-p", "udp")
    if result.returncode:
        raise NodeError(f"conntrack -L: {tools.reason(result)}")
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


def _conntrack(*words: str) -> tools.Done[str]:
    if not tools.find("conntrack"):
        raise NodeError("conntrack is not installed: UDP flows to endpoints that are gone cannot be deleted")
    return tools.run(["conntrack", *words])
