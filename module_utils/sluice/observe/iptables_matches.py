"""What iptables' matches say to the first packet of a connection (iptables-extensions(8)).

An answer is a chance: 1 matches, 0 does not, and between them it is decided by chance. What a dump cannot tell does not
match, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Callable, NamedTuple

from .iptables_rules import Match
from .packets import INVALID, UNTRACKED, Packet, State, within

YES, NO = Fraction(1), Fraction(0)
_PROBABILITY = re.compile(r"[0-9]+(\.[0-9]{1,20})?", re.ASCII)
"""As iptables-save prints it: never with an exponent, which could be that of a number without end."""

Members = Callable[[Packet, str], bool]
"""Whether a packet is in an IP set, by directions such as ``dst,dst``. Raises ValueError where no dump tells."""


class Scene(NamedTuple):
    """A packet under way, and the IP sets by their names."""

    state: State
    sets: Mapping[str, Members]

    @property
    def packet(self) -> Packet:
        return self.state.packet


class Answer(NamedTuple):
    """``chance`` of a match, and why it matches or why not; None: nobody can tell."""

    chance: Fraction | None
    why: str
    why_not: str = ""


def answer(match: Match, scene: Scene) -> tuple[Fraction, str]:
    """What a match says, and why."""
    ask = _KNOWN.get((match.module, match.option)) or _KNOWN.get(("", match.option))
    try:
        found = ask(match, scene) if ask else Answer(None, "")
    except (ValueError, LookupError, ArithmeticError):  # words that are not such as iptables-save prints
        found = Answer(None, "")
    if found.chance is None or not NO <= found.chance <= YES:
        return NO, f"no dump tells {match.option}"
    if match.negated:
        said = f"not {found.why}" if found.why else found.why_not
        return 1 - found.chance, said if found.chance == 0 else found.why
    return found.chance, found.why if found.chance else found.why_not or f"not {found.why}"


def exact(text: str) -> Fraction:
    """The fraction that a probability stands for: tools and kernel round it to 31 bits. Raises ValueError."""
    found = Fraction(text) if _PROBABILITY.fullmatch(text) else NO - 1
    if not NO <= found <= YES:
        raise ValueError(f"{text} is no probability")
    near = found.limit_denominator(1 << 16)
    return near if abs(near - found) * (1 << 30) <= 1 else found


def _certain(matches: bool, why: str, why_not: str = "") -> Answer:
    return Answer(YES if matches else NO, why, why_not)


def _source(match: Match, scene: Scene) -> Answer:
    return _certain(within(scene.packet.source, match.words[0]), f"from {match.words[0]}", "another source")


def _destination(match: Match, scene: Scene) -> Answer:
    return _certain(within(scene.packet.destination, match.words[0]), f"to {match.words[0]}", "another destination")


_NUMBERS = {"tcp": "6", "udp": "17", "sctp": "132"}


def _protocol(match: Match, scene: Scene) -> Answer:
    own = scene.packet.protocol
    return _certain(match.words[0] in (own, _NUMBERS[own], "all"), match.words[0], "another protocol")


def _port(match: Match, scene: Scene) -> Answer:
    return _certain(_in_ports(scene.packet.port, match.words[0]), f"port {match.words[0]}", "another port")


def _in_ports(port: int, text: str) -> bool:
    """Whether a port is in ``80,8080:8090``."""
    for part in text.split(","):
        low, colon, high = part.partition(":")
        if int(low or 0) <= port <= int(high or 65535 if colon else low):
            return True
    return False


def _flags(match: Match, scene: Scene) -> Answer:
    """The first packet of a TCP connection has SYN of its flags, and no other."""
    looked_at, wanted = (set(word.split(",")) - {"NONE"} for word in match.words)
    if "ALL" in looked_at:
        looked_at = {"FIN", "SYN", "RST", "PSH", "ACK", "URG"}
    return _certain(looked_at & {"SYN"} == wanted, "it begins a connection", "it begins a connection")


def _kind_of(address: str, match: Match, scene: Scene, what: str) -> Answer:
    known = {"LOCAL": scene.state.node.has(address), "UNICAST": not scene.state.node.has(address)}
    kinds = match.words[0].split(",")
    said = f"its {what} is {match.words[0]}"
    if any(known.get(kind) for kind in kinds):
        return Answer(YES, said)
    # No client sends the first packet of a connection to a broadcast address or from one.
    told = all(kind in (*known, "BROADCAST", "MULTICAST", "ANYCAST", "UNSPEC") for kind in kinds)
    return Answer(NO if told else None, said, f"its {what} is not {match.words[0]}")


def _destination_kind(match: Match, scene: Scene) -> Answer:
    return _kind_of(scene.packet.destination, match, scene, "destination")


def _source_kind(match: Match, scene: Scene) -> Answer:
    return _kind_of(scene.packet.source, match, scene, "source")


def _connection(match: Match, scene: Scene) -> Answer:
    wanted = match.words[0]
    matches = not scene.state.connection.isdisjoint(wanted.split(","))
    return _certain(matches, f"its connection is {wanted}", f"its connection is not {wanted}")


def _status(match: Match, scene: Scene) -> Answer:
    """What conntrack has not seen has no status: not even such a match that is negated."""
    if scene.state.connection.isdisjoint((UNTRACKED, INVALID)):
        return _connection(match, scene)
    return _certain(match.negated, "", "its connection is not tracked")


def _mark(match: Match, scene: Scene) -> Answer:
    value, _slash, mask = match.words[0].partition("/")
    matches = scene.state.mark & int(mask or "0xffffffff", 0) == int(value, 0)
    return _certain(matches, f"marked {match.words[0]}", f"not marked {match.words[0]}")


def _chance(match: Match, _scene: Scene) -> Answer:
    return Answer(exact(match.words[0]), "by chance")


def _every(match: Match, _scene: Scene) -> Answer:
    """One packet after the other: of many connections that is a share."""
    return Answer(Fraction(1, int(match.words[0])), "by turns")


def _set(match: Match, scene: Scene) -> Answer:
    name, directions = match.words
    members = scene.sets.get(name)
    return Answer(None, "") if members is None else _certain(members(scene.packet, directions), f"in set {name}")


def _of_virtual_server(place: int) -> Callable[[Match, Scene], Answer]:
    def ask(match: Match, scene: Scene) -> Answer:
        if scene.state.virtual is None:
            return Answer(NO, "", "no virtual server has sent it")
        has, wanted = str(scene.state.virtual[place]), match.words[0].partition("/")[0]
        return _certain(wanted in (has, _NUMBERS.get(has)), f"sent by a virtual server of {wanted}")

    return ask


def _interface(match: Match, scene: Scene) -> Answer:
    """Only of loopback it is certain what passes it: what the node sends to itself."""
    inside = scene.state.is_inside
    if match.words[0] == "lo":
        return _certain(inside, "by lo", "by another interface")
    return Answer(NO, "", "by another interface") if inside else Answer(None, "")


def _always(_match: Match, _scene: Scene) -> Answer:
    return Answer(YES, "")


def _never(why_not: str) -> Callable[[Match, Scene], Answer]:
    return lambda _match, _scene: Answer(NO, "", why_not)


_NOT_SEEN = _never("a client that was not seen lately")
_KNOWN: Mapping[tuple[str, str], Callable[[Match, Scene], Answer]] = {
    ("", "-s"): _source,
    ("", "-d"): _destination,
    ("", "-p"): _protocol,
    ("", "-i"): _interface,
    ("", "-o"): _interface,
    ("", "--dport"): _port,
    ("multiport", "--dports"): _port,
    ("tcp", "--tcp-flags"): _flags,
    ("addrtype", "--dst-type"): _destination_kind,
    ("addrtype", "--src-type"): _source_kind,
    ("conntrack", "--ctstate"): _connection,
    ("conntrack", "--ctstatus"): _status,
    ("state", "--state"): _connection,
    ("mark", "--mark"): _mark,
    ("statistic", "--mode"): _always,
    ("statistic", "--probability"): _chance,
    ("statistic", "--every"): _every,
    ("statistic", "--packet"): _always,
    ("recent", "--rcheck"): _NOT_SEEN,
    ("recent", "--update"): _NOT_SEEN,
    **{("recent", option): _always for option in ("--set", "--seconds", "--reap", "--name", "--mask", "--rsource")},
    ("physdev", "--physdev-is-in"): _never("it does not come out of a bridge"),
    ("physdev", "--physdev-is-bridged"): _never("it does not come out of a bridge"),
    ("set", "--match-set"): _set,
    ("ipvs", "--vproto"): _of_virtual_server(0),
    ("ipvs", "--vaddr"): _of_virtual_server(1),
    ("ipvs", "--vport"): _of_virtual_server(2),
    ("ipvs", "--ipvs"): lambda _match, scene: _certain(scene.state.virtual is not None, "sent by a virtual server"),
    ("socket", "--nowildcard"): _never("no connection of the node's"),
    ("nfacct", "--nfacct-name"): _always,
    **{("limit", option): _always for option in ("--limit", "--limit-burst")},
}
"""What asks, by module and option. One of another module with the same option is asked in its words."""
