"""One question asked of several nodes: what each answers, and where they differ.

Nodes are alike that send a packet to the same ends with the same chances. Addresses of a node's own, where node ports
are, are its own business: they count as one place on each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .. import addresses
from .oddity import few
from .outcomes import DROP, ENDPOINT, REJECT
from .service_ports import LOCAL
from .services import Ports, once, ways_in
from .snapshot import Snapshot
from .trace import Traced, is_place
from .trace_text import ENDS, fraction, packet_text, text

_MOST = 3
"""Packets, and ends of each, of which the summary tells; trees have all."""


class Told(NamedTuple):
    """What becomes of one packet on a node. ``where``: the packet, in words that are the same on all nodes.

    ``ends``: each with its chance; notes come before. ``by``: the rule that refuses or drops it. ``is_local``: nodes
    may differ, as the Service's policy is Local for it. ``tree``: all of it, for people.
    """

    where: str
    ends: tuple[str, ...]
    by: str
    is_local: bool
    tree: str

    def fields(self) -> dict[str, Any]:
        return {**self._asdict(), "ends": list(self.ends)}


class Answer(NamedTuple):
    """What a node answers: of each packet, or the ``reason`` why there is none."""

    packets: Sequence[Told] = ()
    reason: str = ""


def answer_of(fields: Mapping[str, Any]) -> Answer:
    """An answer as a node has sent it."""
    return Answer(
        [Told(**{**each, "ends": tuple(each["ends"])}) for each in fields["packets"]], str(fields.get("reason") or "")
    )


def told(held: Snapshot, found: Sequence[Traced], to: str, ports: Ports | None = None) -> list[Told]:
    """What a node has to say of each packet that ``to`` asks for. Where that is an address, it is the same for all.

    ``ports``: those of ``held``, where others ask for them as well.
    """
    own = held.addresses - held.bound
    places = frozenset() if is_place(to) else frozenset(each for each in own if not addresses.is_loopback(each))
    local = {
        way
        for port in (ports or once(held))()
        for way in ways_in(port, own)
        if (port.internal_policy if way[0] == port.cluster_ip else port.external_policy) == LOCAL
    }
    return [_told(each, places, local) for each in found]


def _told(traced: Traced, places: frozenset[str], local: set[tuple[str, int, str]]) -> Told:
    packet = traced.packet
    where = packet_text(packet)[0]
    if packet.destination in places:
        where = f"{packet.protocol} to {packet.family} port {packet.port} of the node"
    ends = []
    by = ""
    for outcome in traced.outcomes:
        chance = "" if outcome.probability == 1 else f"{fraction(outcome.probability)} "
        if outcome.verdict == ENDPOINT:
            ends.append(f"{chance}{outcome.endpoint}{' masqueraded' if outcome.masquerade else ''}")
            continue
        ends.append(chance + ENDS[outcome.verdict].partition(":")[0])
        if outcome.verdict in (DROP, REJECT) and outcome.path and not by:
            last = outcome.path[-1]
            by = f"{last.table} {last.chain}: {last.rule}"
    way = packet.destination, packet.port, packet.protocol
    notes = [f"{note.partition(': ')[0]}" for note in traced.notes]
    return Told(where, (*notes, *sorted(ends)), by, way in local, text([traced]))


class _Group(NamedTuple):
    nodes: Sequence[str]
    answer: Answer

    @property
    def ends(self) -> dict[str, set[tuple[str, ...]]]:
        found: dict[str, set[tuple[str, ...]]] = {}
        for each in self.answer.packets:
            found.setdefault(each.where, set()).add(each.ends)
        return found


def compared(answers: Mapping[str, Answer]) -> list[str]:
    """Lines for people: which nodes are alike and how the others differ, then what each kind of them does.

    ``answers``: by the nodes' names.
    """
    groups = _grouped(answers)
    first, others = groups[0], groups[1:]
    lines = [_head(first, len(answers), bool(others)) + "".join(f"; {_difference(each, first)}" for each in others)]
    differing = {where for each in others for where in _where_they_differ(each, first)}
    for group in groups:
        lines.append(f"{', '.join(group.nodes)}:")
        if group.answer.reason:
            lines.append(f"  {group.answer.reason}")
        for each in group.answer.packets:
            if not others or each.where in differing:
                lines += [f"  {line}" for line in each.tree.splitlines()]
    return lines


def _grouped(answers: Mapping[str, Answer]) -> list[_Group]:
    """Nodes that answer alike; the largest group comes first."""
    groups: list[tuple[list[str], Answer]] = []
    for node in sorted(answers):
        answer = answers[node]
        form = _Group((), answer).ends, answer.reason
        for nodes, other in groups:
            if (_Group((), other).ends, other.reason) == form:
                nodes.append(node)
                break
        else:
            groups.append(([node], answer))
    return [_Group(*each) for each in sorted(groups, key=lambda group: -len(group[0]))]


def _head(first: _Group, count: int, is_some: bool) -> str:
    if count == 1:
        return first.nodes[0]
    if not is_some:
        return f"all {count} nodes alike"
    if len(first.nodes) == 1:
        return f"no two of {count} nodes alike; {first.nodes[0]}: {'; '.join(_short(first))}"
    return f"{len(first.nodes)} of {count} nodes alike"


def _short(group: _Group) -> Iterator[str]:
    if group.answer.reason:
        yield group.answer.reason
    for where in list(group.ends)[:_MOST]:
        yield f"{where}: {_ends(group, where)}"


def _difference(group: _Group, first: _Group) -> str:
    head = f"{', '.join(group.nodes)} {'differs' if len(group.nodes) == 1 else 'differ'}: "
    if group.answer.reason:
        return head + group.answer.reason
    if first.answer.reason:
        return head + "; ".join(_short(group))
    wheres = _where_they_differ(group, first)
    parts = [f"{where}: {_ends(group, where)} instead of {_ends(first, where)}" for where in wheres]
    return head + few(parts, _MOST) + _local(group, first, wheres)


def _where_they_differ(group: _Group, first: _Group) -> list[str]:
    own, other = group.ends, first.ends
    return [where for where in dict.fromkeys([*own, *other]) if own.get(where) != other.get(where)]


def _ends(group: _Group, where: str) -> str:
    found = group.ends.get(where)
    if not found:
        return "nothing, as it is not known there"
    ends = list(dict.fromkeys(end for each in sorted(found) for end in each))
    by = next((each.by for each in group.answer.packets if each.where == where and each.by), "")
    return few(ends, _MOST) + (f" ({by})" if by else "")


def _local(group: _Group, first: _Group, wheres: Sequence[str]) -> str:
    """That nodes may differ, where the policy says so on both sides."""
    are = [
        {each.where for each in side.answer.packets if each.is_local and each.where in wheres}
        for side in (group, first)
    ]
    return " (policy Local: a node sends to its own endpoints alone)" if are[0] & are[1] else ""
