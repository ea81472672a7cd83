"""What went to Services and endpoints between two samples of what the kernel counts; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..backends.interface import NO_COUNT, Count
from ..faults import printable
from .traffic import Counted, ServicePort, Traffic

HEAD = ("SERVICE", "PROTOCOL", "ENDPOINT", "CONN/S", "PACKETS/S", "BYTES/S")
FIRST_ONLY = "packets and bytes: only of packets that begin connections, as iptables and nftables count no others"

_UNITS = ("", "k", "M", "G", "T", "P")
_LEFT = 3
"""Columns of words, which begin at the left."""


class Sample(NamedTuple):
    """What was counted up to ``time``, in seconds of any one clock."""

    time: float
    traffic: Traffic


class Rate(NamedTuple):
    """What went to a service port between two samples, and to its endpoints, the busiest first."""

    port: ServicePort
    went: Count
    endpoints: Sequence[tuple[str, Count]]
    whole: bool


class Rates(NamedTuple):
    """What went to each service port that the kernel has, the busiest first, in so many seconds."""

    seconds: float
    rates: Sequence[Rate]

    def fields(self) -> dict[str, Any]:
        """As ``sluice top --json`` prints it."""
        return {"seconds": round(self.seconds, 3), "services": list(map(self._of_port, self.rates))}

    def _of_port(self, rate: Rate) -> dict[str, Any]:
        port, protocol = rate.port.name, rate.port.protocol
        return {
            "namespace": rate.port.namespace,
            "service": rate.port.service,
            "port": port,
            "protocol": protocol,
            **self._counted(rate.went, whole=rate.whole),
            "packets_counted": "all" if rate.whole else "first",
            "endpoints": [
                {"endpoint": where, **self._counted(count, whole=rate.whole)} for where, count in rate.endpoints
            ],
        }

    def _counted(self, count: Count, *, whole: bool) -> dict[str, Any]:
        return {
            "connections": count.connections,
            "connections_per_second": round(count.connections / self.seconds, 3),
            "packets_in": count.packets_in,
            "bytes_in": count.bytes_in,
            "packets_out": count.packets_out if whole else None,
            "bytes_out": count.bytes_out if whole else None,
        }

    def lines(self, most: int = 0) -> list[str]:
        """The same for a person, ``most`` lines of it (0: all). Service ports without traffic are only counted."""
        busy = [rate for rate in self.rates if rate.went != NO_COUNT]
        notes = [FIRST_ONLY] if not all(rate.whole for rate in busy) else []
        rest = len(self.rates) - len(busy)
        if rest or not busy:
            notes.append(f"service ports without traffic: {rest}")
        rows = [row for rate in busy for row in self._rows(rate)]
        room = max(0, most - len(notes) - 1) if most else len(rows)
        if len(rows) > room:
            notes[-1:] = [", ".join([*notes[-1:], f"lines more: {len(rows) - room}"])]
            room = max(0, most - len(notes) - 1)
        return [*_aligned([HEAD, *rows[:room]]), *notes]

    def _rows(self, rate: Rate) -> Iterable[tuple[str, ...]]:
        yield printable(rate.port.text), rate.port.protocol, "", *self._figures(rate.went)
        for where, count in rate.endpoints:
            yield "", "", where, *self._figures(count)

    def _figures(self, count: Count) -> tuple[str, ...]:
        sums = count.packets_in + count.packets_out, count.bytes_in + count.bytes_out
        connections = count.connections / self.seconds
        exact = f"{connections:.1f}" if connections < _FEW else shortened(connections)
        return (exact, *(shortened(each / self.seconds) for each in sums))


_FEW = 100
"""Connections per second up to which their tenths are told."""


def rates(before: Sample, after: Sample) -> Rates:
    """What went between two samples. A service port or an endpoint that is new has had nothing before."""
    found = [_rate(port, before.traffic.get(port), now) for port, now in after.traffic.items()]
    return Rates(after.time - before.time, sorted(found, key=lambda rate: _busy(rate.went)))


def _rate(port: ServicePort, then: Counted | None, now: Counted) -> Rate:
    had = then.endpoints if then else {}
    ends = [(where, count.since(had.get(where, NO_COUNT))) for where, count in now.endpoints.items()]
    total = now.total.since(then.total if then else NO_COUNT)
    return Rate(port, total, sorted(ends, key=lambda end: _busy(end[1])), now.whole)


def _busy(count: Count) -> tuple[int, int]:
    return -count.connections, -count.bytes_in - count.bytes_out


def shortened(number: float) -> str:
    """A number in four characters or so, with a unit: ``999``, ``1.2k``, ``34.5M``."""
    unit = 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.1f}{_UNITS[unit]}" if unit else f"{number:.0f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        "  ".join(
            cell.ljust(width) if column < _LEFT else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]
