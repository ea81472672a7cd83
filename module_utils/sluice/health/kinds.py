"""The kinds of checks, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

from .. import probes
from ..probes import Probe
from . import dns, execs, grpc, http, icmp, tcp, udp
from .attempts import Attempt, Target


class Kind(NamedTuple):
    """How one kind asks.

    ``prepare``: what all attempts at one question share. ``begin`` an attempt; raises OSError where it could not begin.
    ``streams``: whether an attempt is a TCP connection, which comes from the port that its target names.
    """

    prepare: Callable[[Probe], Any]
    begin: Callable[[Target], Attempt]
    streams: bool = False


KINDS: Mapping[str, Kind] = {
    probes.TCP: Kind(tcp.prepare, tcp.Attempt, streams=True),
    probes.HTTP: Kind(http.prepare, http.Attempt, streams=True),
    probes.GRPC: Kind(grpc.prepare, grpc.Attempt, streams=True),
    probes.DNS: Kind(dns.prepare, dns.begin),
    probes.UDP: Kind(udp.prepare, udp.Attempt),
    probes.EXEC: Kind(execs.prepare, execs.Attempt),
    probes.ICMP: Kind(icmp.prepare, icmp.Attempt),
}
