"""An explanation as people read it: Services, then numbers and laws, then what is odd, each in two lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..faults import printable
from .explain import TIMES, Explanation
from .laws import Size
from .service_ports import Endpoints, ServicePort

_HEAD = ("SERVICE", "TYPE", "CLUSTER-IP", "OTHER ADDRESSES", "PORT(S)", "POLICY", "ENDPOINTS")
_MOST_ENDPOINTS = 3


def text(found: Explanation) -> str:
    """All of it."""
    parts = [list(_services(found.ports)), list(_numbers(found)), list(_oddities(found))]
    return "\n".join("".join(f"{printable(line)}\n" for line in part) for part in parts if part)


def _services(ports: Sequence[ServicePort]) -> Iterator[str]:
    if not ports:
        yield "no Service is in these rules"
        return
    several = len({port.source for port in ports}) > 1
    rows = [(*_HEAD, "IN")] + [(*_row(port), port.source) for port in ports]
    rows = rows if several else [row[:-1] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        yield "   ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()


def _row(port: ServicePort) -> tuple[str, ...]:
    node = f":{port.node_port}" if port.node_port else ""
    return (
        port.name or "(no name)",
        port.kind,
        port.cluster_ip or "-",
        ",".join((*port.external_ips, *port.load_balancer_ips)) or "-",
        f"{port.port or ''}{node}/{port.protocol}",
        _policy(port),
        _endpoints(port),
    )


def _policy(port: ServicePort) -> str:
    """``internal/external`` where the rules tell, and session affinity."""
    told = port.internal_policy or "?"
    if port.external_policy:
        told += f"/{port.external_policy}"
    ranges = f" from {','.join(port.source_ranges)}" if port.source_ranges else ""
    return told + (f" sticky {port.affinity_seconds}s" if port.affinity_seconds else "") + ranges


def _endpoints(port: ServicePort) -> str:
    told = [f"{where}{why}" for where, why in (("inside: ", port.inside), ("outside: ", port.outside)) if why]
    if port.inside == port.outside and port.inside:
        told = [port.inside]
    parts = [_some(port.endpoints)] if port.endpoints else []
    if port.local_endpoints and port.local_endpoints != port.endpoints:
        parts.append(f"here {_some(port.local_endpoints)}")
    return "; ".join(parts + told) or "none"


def _some(endpoints: Endpoints) -> str:
    """Shares stand there only where they differ."""
    differ = len({each.share for each in endpoints}) > 1
    shown = [f"{each.text} ({each.share})" if differ else each.text for each in endpoints[:_MOST_ENDPOINTS]]
    more = f" + {len(endpoints) - _MOST_ENDPOINTS} more" if len(endpoints) > _MOST_ENDPOINTS else ""
    return ",".join(shown) + more


def _numbers(found: Explanation) -> Iterator[str]:
    widths = [max((len(column) for column in columns), default=0) for columns in _columns(found)]
    for count in found.counts:
        where, kind = count.where.ljust(widths[0]), count.kind.ljust(widths[1])
        yield f"{where}   {kind}   {count.number:>9,}   {count.of}"
    for law in found.laws:
        yield f"{law.backend}: {law.says}"
        if law.of:
            yield f"  so it is for {law.holds:,} of {law.of:,} service ports"
        yield from (f"  {each}" for each in law.exceptions[:3])
    if found.ports:
        yield f"these Services take {_size(found.now)}"
        yield f"{TIMES} times as many: {_size(found.then)}"


def _columns(found: Explanation) -> tuple[list[str], list[str]]:
    return [each.where for each in found.counts], [each.kind for each in found.counts]


def _size(size: Size) -> str:
    return (
        f"{size.rules:,} rules with iptables, {size.virtual_servers:,} virtual and {size.real_servers:,} real servers "
        f"with IPVS, {size.elements:,} elements with Sluice's nftables"
    )


def _oddities(found: Explanation) -> Iterator[str]:
    for each in found.oddities:
        yield f"{'!' if each.hurts else '-'} {each.what} ({each.where})"
        yield f"  {each.effect}; {each.remedy}"
    yield from found.untold
    if not found.oddities:
        yield "nothing is odd"
