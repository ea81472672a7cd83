"""``sluice trace``: what becomes of a packet, or of packets to every address of a Service."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .. import addresses
from . import answers, hooks
from .outcomes import Outcome
from .packets import ELSEWHERE, PROTOCOLS, Node, Packet
from .services import Ports, once, ways_in
from .snapshot import Snapshot

_PLACE = re.compile(r"(?P<address>\[[0-9a-fA-F:.]+\]|[0-9.]+):(?P<port>[0-9]{1,5})(?:/(?P<protocol>[a-z]+))?")


class QuestionError(ValueError):
    """What is asked cannot be; the message says why."""


class UnknownError(QuestionError):
    """The rules know nothing of the Service that is asked for."""


class Traced(NamedTuple):
    """A packet, and all that may become of it on ``node``. ``notes``: what else to know of it."""

    packet: Packet
    outcomes: Sequence[Outcome]
    node: Node = Node()
    notes: tuple[str, ...] = ()

    def answer(self, outcome: Outcome) -> str:
        """How the answer comes back to the client."""
        return answers.answer(self.packet, outcome, self.node)

    def fields(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        packet = self.packet._asdict()
        packet["source"] = self.packet.source or None
        told = [{**outcome.fields(), "answer": self.answer(outcome)} for outcome in self.outcomes]
        return {"packet": packet, "outcomes": told, "notes": list(self.notes)}


def traced(held: Snapshot, to: str, source: str = "", ports: Ports | None = None) -> list[Traced]:
    """What becomes of packets to ``ADDRESS:PORT[/PROTOCOL]``, or to all of the Service ``NAMESPACE/NAME[:PORT]``.

    ``source``: the client's address; without one it is one that no rule names. ``ports``: those of ``held``, where
    others ask for them as well. Raises QuestionError and ``walk.CircleError``.
    """
    sender = _address(source) if source else ELSEWHERE
    packets = [
        packet
        for packet in _packets(held, to, ports or once(held))
        if not sender or addresses.family_of(sender) == packet.family
    ]
    if not packets:
        raise QuestionError(f"--from {source} is of another address family than {to}")
    stations = {family: held.stations(family) for family in {packet.family for packet in packets}}
    return [
        Traced(packet, hooks.trace(stations[packet.family], held.servers, packet, held.node), held.node)
        for packet in (each._replace(source=sender) for each in packets)
    ]


def is_place(to: str) -> bool:
    """Whether ``to`` is one address and port, and no Service."""
    return _PLACE.fullmatch(to) is not None


def _packets(held: Snapshot, to: str, ports: Ports) -> Iterator[Packet]:
    place = _PLACE.fullmatch(to)
    if place:
        protocol = place["protocol"] or PROTOCOLS[0]
        if protocol not in PROTOCOLS:
            raise QuestionError(f"--to {to}: the protocol is one of {', '.join(PROTOCOLS)}")
        if not 0 < int(place["port"]) < 65536:
            raise QuestionError(f"--to {to}: a port is a number from 1 to 65535")
        yield Packet(_address(place["address"].strip("[]")), int(place["port"]), protocol)
        return
    if "/" not in to:
        raise QuestionError(f"--to {to}: is neither ADDRESS:PORT[/PROTOCOL] nor NAMESPACE/NAME[:PORT]")
    found = [port for port in ports() if to in (port.name, port.name.rpartition(":")[0])]
    if not found:
        raise UnknownError(f"--to {to}: the rules name no such Service")
    ways = (way for port in found for way in ways_in(port, held.addresses))
    for address, number, protocol in dict.fromkeys(ways):
        yield Packet(address, number, protocol)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise QuestionError(f"{text} is no address") from None
