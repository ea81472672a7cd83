"""What else to know of a traced packet: what is odd on the live node, where the Service really is, who answers.

Rules do not say it, but whoever asks why a client gets no answer wants it with the same command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from .. import addresses
from . import oddities_node
from .oddity import few
from .outcomes import ENDPOINT, PASS
from .packets import PROTOCOLS, THE_NODE, Packet
from .service_ports import ServicePort
from .services import Ports, once, ways_in
from .snapshot import Snapshot
from .trace import Traced

Place = tuple[str, int]
Refusals = Callable[[Sequence[Place]], Mapping[Place, str]]

MOST = 100
"""Endpoints that are asked."""


def noted(
    held: Snapshot, found: Sequence[Traced], refusals: Refusals | None = None, ports: Ports | None = None
) -> list[Traced]:
    """The packets with notes. ``refusals``: asks endpoints for a connection, and says why those take none that do not.

    Without it nobody is asked. ``ports``: those of ``held``, where others ask for them as well.
    """
    passing = [each for each in found if any(outcome.verdict == PASS for outcome in each.outcomes)]
    listed = (ports or once(held))() if held.sysctls or passing else []
    own = held.addresses - held.bound
    ways = [(way, port) for port in listed for way in ways_in(port, own)]
    done = []
    for each in found:
        notes = [f"not all rules could be read: {why}" for why in held.unread]
        if each in passing:
            notes += _elsewhere(each.packet, ways)
        elif any(outcome.verdict == ENDPOINT for outcome in each.outcomes):
            notes += _odd(held, each.packet, ways)
            if refusals:
                notes += _asked(each, refusals)
        done.append(each._replace(notes=tuple(notes)))
    return done


def _odd(held: Snapshot, packet: Packet, ways: Sequence[tuple[tuple[str, int, str], ServicePort]]) -> Iterator[str]:
    """What the kernel of a live node does to the packets of a Service, whatever the rules say."""
    asked = packet.destination, packet.port, packet.protocol
    for each in oddities_node.found(held, [port for way, port in ways if way == asked]):
        if each.hurts:
            yield f"{each.what} ({each.where}): {each.effect}; {each.remedy}"


def _elsewhere(packet: Packet, ways: Sequence[tuple[tuple[str, int, str], ServicePort]]) -> Iterator[str]:
    """What there is at the address that a packet passes by."""
    there = [(port, protocol, found.name) for (address, port, protocol), found in ways if address == packet.destination]
    if (packet.port, packet.protocol) not in [each[:2] for each in there] and there:
        named = [f"{port}/{protocol}{f' ({name})' if name else ''}" for port, protocol, name in sorted(set(there))]
        yield f"Services are at other ports of {packet.destination}: {few(named)}"


def _asked(traced: Traced, refusals: Refusals) -> Iterator[str]:
    if traced.packet.protocol != PROTOCOLS[0]:
        yield "only endpoints of TCP can be asked"
        return
    ends = (outcome.endpoint for outcome in traced.outcomes)
    texts = [end for end in ends if end and addresses.split_port(end)[0] != THE_NODE][:MOST]
    said = refusals([addresses.split_port(text) for text in texts])
    why: dict[str, list[str]] = {}
    for text in texts:
        why.setdefault(said.get(addresses.split_port(text), ""), []).append(text)
    for reason, alike in why.items():
        yield f"asked from this node, {few(alike)}: {reason or 'takes a connection'}"
