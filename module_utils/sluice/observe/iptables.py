"""iptables' rules as a walk meets them: of one family of a node, as iptables-save printed them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Callable

from .. import addresses
from .hooks import FORWARD, INPUT, OUTPUT, POSTROUTING, PREROUTING, Station
from .iptables_matches import Members, Scene, answer
from .iptables_rules import Tables, Target, taken_apart
from .packets import State
from .walk import ACCEPT, DROP, GO_ON, REJECT, RETURN, Act, Chains, Met


class Rule:
    """A rule that can be met."""

    __slots__ = ("_matches", "_sets", "_target", "text")

    def __init__(self, text: str, sets: Mapping[str, Members]) -> None:
        self.text = text
        self._sets = sets
        self._matches, self._target = taken_apart(text)

    def meet(self, state: State) -> tuple[Sequence[Met], str]:
        chance, reasons, scene = Fraction(1), [], Scene(state, self._sets)
        for match in self._matches:
            said, why = answer(match, scene)
            if not said:
                return (), why
            chance *= said
            if why:
                reasons.append(why)
        try:
            act = _act(self._target, state)
        except (ValueError, LookupError):
            return (), f"no dump tells what {self._target.name} does here"
        return [Met(chance, ", ".join(reasons) or "every packet", act)], "by chance"


def _act(target: Target, state: State) -> Act:
    """What a target does. Raises ValueError and LookupError where no dump tells."""
    known = _TARGETS.get(target.name)
    if known:
        return known(target, state)
    if not target.name or target.name in _HARMLESS:
        return Act(GO_ON, state)
    return Act(GO_ON, state, target.name, target.goto)


_HARMLESS = {
    *(
        "AUDIT",
        "CHECKSUM",
        "CLASSIFY",
        "CONNMARK",
        "DSCP",
        "ECN",
        "HL",
        "HMARK",
        "LED",
        "LOG",
        "NFLOG",
        "NFQUEUE",
    ),
    *("RATEEST", "SYNPROXY", "TCPMSS", "TCPOPTSTRIP", "TEE", "TOS", "TRACE", "TTL", "ULOG"),
}
"""Targets that send no packet another way, as far as a dump tells."""


def _mark(target: Target, state: State) -> Act:
    mark = state.mark
    for option, found in target.options.items():
        value, _slash, mask = found[0].partition("/")
        number, bits = int(value, 0), int(mask or "0xffffffff", 0)
        mark = _MARKS[option](mark, number, bits) & 0xFFFFFFFF if option in _MARKS else mark
    return Act(GO_ON, state._replace(mark=mark))


_MARKS: Mapping[str, Callable[[int, int, int], int]] = {
    "--set-xmark": lambda mark, number, bits: (mark & ~bits) ^ number,
    "--set-mark": lambda mark, number, bits: (mark & ~(bits | number)) | number,
    "--or-mark": lambda mark, number, bits: mark | number,
    "--and-mark": lambda mark, number, bits: mark & number,
    "--xor-mark": lambda mark, number, bits: mark ^ number,
}


def _dnat(target: Target, state: State) -> Act:
    to = target.options["--to-destination"][0]
    has_port = "]:" in to or to.count(":") == 1
    where, port = addresses.split_port(to) if has_port else (to.strip("[]"), state.packet.port)
    address = addresses.address(where or state.packet.destination)
    if not address or not 0 < port < 65536:
        raise ValueError(f"{to} is not one address and one port")
    return Act(ACCEPT, state.sent_to(address, port, "DNAT"))


def _redirect(target: Target, state: State) -> Act:
    port = int(target.options["--to-ports"][0]) if "--to-ports" in target.options else state.packet.port
    if not 0 < port < 65536:
        raise ValueError(f"{port} is no port")
    return Act(ACCEPT, state.redirected(port))


def _conntrack(target: Target, state: State) -> Act:
    """``CT`` has options beside ``--notrack``, which tell conntrack what to do with what it follows."""
    untracked = target.name == "NOTRACK" or "--notrack" in target.options
    return Act(GO_ON, state.untracked() if untracked else state)


def _set(target: Target, state: State) -> Act:
    """What is added or deleted concerns packets to come; but a member may have a mark for packets (``--map-set``)."""
    if "--map-set" in target.options:
        raise ValueError("no dump tells what a set gives to packets")
    return Act(GO_ON, state)


def _untold(target: Target, _state: State) -> Act:
    raise ValueError(f"no dump tells where {target.name} sends packets to")


def _masquerade(_target: Target, state: State) -> Act:
    return Act(ACCEPT, state._replace(masqueraded=True, connection=state.connection | {"SNAT"}))


_TARGETS: Mapping[str, Callable[[Target, State], Act]] = {
    "ACCEPT": lambda _target, state: Act(ACCEPT, state),
    "DROP": lambda _target, state: Act(DROP, state),
    "REJECT": lambda _target, state: Act(REJECT, state),
    "RETURN": lambda _target, state: Act(RETURN, state),
    "MARK": _mark,
    "DNAT": _dnat,
    "MASQUERADE": _masquerade,
    "SNAT": _masquerade,
    "REDIRECT": _redirect,
    "CT": _conntrack,
    "NOTRACK": _conntrack,
    "SET": _set,
    **dict.fromkeys(("NETMAP", "TPROXY"), _untold),
}

_PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
_NAT_PRIORITIES = {PREROUTING: -100, OUTPUT: -100, INPUT: 100, POSTROUTING: 100}


def stations(tables: Tables, sets: Mapping[str, Members]) -> Iterator[Station]:
    """Where these tables meet packets. Rules are taken apart when a packet comes to their chain."""
    for table in tables.rules:
        chains: Chains = Chains(table, _reader(tables, table, sets))
        for hook in (PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING):
            name = hook.upper()
            if tables.chain(table, name) is not None:
                is_nat = table == "nat"
                priority = _NAT_PRIORITIES.get(hook, 0) if is_nat else _PRIORITIES.get(table, 0)
                policy = DROP if tables.policies.get((table, name)) == DROP else ACCEPT
                yield Station(hook, priority, name, policy, chains, is_nat)


def _reader(tables: Tables, table: str, sets: Mapping[str, Members]) -> Callable[[str], Sequence[Rule] | None]:
    read: dict[str, Sequence[Rule] | None] = {}

    def of(name: str) -> Sequence[Rule] | None:
        if name not in read:
            texts = tables.chain(table, name)
            read[name] = None if texts is None else [Rule(text, sets) for text in texts]
        return read[name]

    return of
