"""Rules of nf_tables as a walk meets them: a listing by ``nft -j list ruleset`` (libnftables-json(5)).

A rule that looks at what no dump tells, or has what is not known here, is taken not to match, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, Callable

from .. import addresses
from . import nft_statements, nft_text
from .hooks import Station
from .nft_lexer import Lexer
from .nft_values import DAMAGED, Elements, MissError, Value, elements, fits, pattern, value
from .packets import ELSEWHERE, UNTOLD, State
from .walk import ACCEPT, DROP, GO_ON, REJECT, RETURN, Act, Chains, Met

CERTAIN = Fraction(1)
_MOST_WAYS = 1 << 17
"""Numbers by chance that are looked at one by one."""

_WORDS = ("family", "table", "name", "chain", "hook")
"""Of whatever is listed, what is a word if it has that."""

_FAMILIES = {"ip": addresses.IPV4, "ip6": addresses.IPV6}

Entry = Mapping[str, Any]
"""What is listed: one kind and what it is."""

Listing = Iterable[Entry]

Values = Sequence[tuple[Fraction, Value]]
"""What an expression may be, by chance."""


class _Flags(tuple[str, ...]):
    """The words of a bitmask, such as those of ``ct state``."""


class Table:
    """One table: its chains, sets and maps; read as far as packets ask for it."""

    def __init__(self, family: str, name: str) -> None:
        self.family = family
        self.name = name
        self.base: list[Entry] = []
        self.rules: dict[str, list[Any]] = {}
        self.listed: dict[str, Entry] = {}
        self._elements: dict[str, Elements] = {}
        self._read: dict[str, list[Rule]] = {}

    @property
    def is_of_iptables(self) -> bool:
        """Whether iptables-nft has made it: its rules ask what only iptables-save can print."""
        return any("xt" in each for rules in self.rules.values() for rule in rules for each in rule)

    def chain(self, name: str) -> Sequence[Rule] | None:
        if name not in self._read and name in self.rules:
            self._read[name] = [Rule(statements, self) for statements in self.rules[name]]
        return self._read.get(name)

    def elements(self, name: str) -> Elements:
        if name not in self._elements:
            if name not in self.listed:
                raise MissError(f"there is no {name}")
            of = self.listed[name]
            self._elements[name] = elements(of.get("elem", ()), mapped="map" in of)
        return self._elements[name]


def tables(listing: Listing) -> list[Table]:
    """The tables of a listing."""
    found: dict[tuple[str, str], Table] = {}
    for entry in listing:
        for kind, of in entry.items():
            if kind not in ("chain", "rule", "set", "map"):
                continue
            if any(not isinstance(of.get(word, ""), str) for word in _WORDS):
                raise TypeError("a name is no text")
            key = of["family"], of["table"]
            table = found.get(key) or found.setdefault(key, Table(*key))
            if kind == "rule":
                table.rules.setdefault(of["chain"], []).append(_statements(of["expr"]))
            elif kind == "chain":
                table.rules.setdefault(of["name"], [])
                if "hook" in of:
                    table.base.append({**of, "prio": int(of["prio"])})
            else:
                table.listed[of["name"]] = of
    return list(found.values())


def _statements(listed: Sequence[Any]) -> list[Entry]:
    """The statements of a rule. Those that nft -j has no form for (``update @map``, 1.0.6) it writes as text."""
    found: list[Entry] = []
    for each in listed:
        if isinstance(each, str):
            found += nft_statements.rule(Lexer(each).line())[0]
        else:
            found.append(each if isinstance(each, dict) and len(each) == 1 else {"unknown": str(each)})
    return found


def stations(found: Iterable[Table], family: str) -> Iterator[Station]:
    """Where these tables meet packets of an address family."""
    for table in found:
        if table.is_of_iptables or _FAMILIES.get(table.family, family) != family:
            continue
        if table.family not in (*_FAMILIES, "inet"):
            continue
        chains: Chains = Chains(f"{table.family} {table.name}", table.chain)
        for base in table.base:
            policy = DROP if base.get("policy") == DROP else ACCEPT
            yield Station(base["hook"], base["prio"], base["name"], policy, chains, base.get("type") == "nat")


class Rule:
    """A rule that can be met."""

    __slots__ = ("_statements", "_table", "_text")

    def __init__(self, statements: Sequence[Entry], table: Table) -> None:
        self._statements = statements
        self._table = table
        self._text = ""

    @property
    def text(self) -> str:
        self._text = self._text or nft_text.rule(self._statements)
        return self._text

    def meet(self, state: State) -> tuple[Sequence[Met], str]:
        found: list[Met] = []
        why_not = "by chance"
        waiting: list[tuple[int, State, Fraction, tuple[str, ...]]] = [(0, state, CERTAIN, ())]
        while waiting:
            at, now, chance, reasons = waiting.pop()
            if at == len(self._statements):
                found.append(Met(chance, _joined(reasons), Act(GO_ON, now)))
                continue
            ((kind, of),) = self._statements[at].items()
            try:
                for part, act, reason in _Statement(self._table, now).run(kind, of):
                    so_far = (*reasons, reason) if reason else reasons
                    if act.verdict == GO_ON and not act.chain:
                        waiting.append((at + 1, act.after, chance * part, so_far))
                    else:
                        found.append(Met(chance * part, _joined(so_far), act))
            except MissError as miss:
                why_not = str(miss)
            except DAMAGED:
                why_not = f"no dump tells {kind}, as it stands here"
        return found, why_not


def _joined(reasons: Iterable[str]) -> str:
    return ", ".join(reasons) or "every packet"


Ran = Iterator[tuple[Fraction, Act, str]]


class _Statement:
    """One statement of a rule, run for a packet. What a dump does not tell is a MissError, as what does not match."""

    def __init__(self, table: Table, state: State) -> None:
        self._table = table
        self._state = state

    def run(self, kind: str, of: Any) -> Ran:
        """What the statement does, by chance, and why. Raises MissError."""
        if kind == "match":
            yield from self._match(of)
        elif kind == "vmap":
            yield from self._vmap(of)
        elif kind == "mangle":
            for chance, found in self.values(of["value"]):
                yield chance, Act(GO_ON, _changed(self._state, of["key"], found)), ""
        elif kind == "dnat":
            yield from self._dnat(of)
        elif kind == "redirect":
            yield from self._redirect(of)
        elif kind in ("masquerade", "snat"):
            state = self._state
            yield CERTAIN, Act(ACCEPT, state._replace(masqueraded=True, connection=state.connection | {"SNAT"})), ""
        else:
            yield CERTAIN, self._verdict(kind, of), ""

    def _verdict(self, kind: str, of: Any) -> Act:
        """Counters, logs and the like send no packet another way. Raises MissError."""
        if kind in ("jump", "goto"):
            if not isinstance(of["target"], str):
                raise TypeError("a chain's name is no text")
            return Act(GO_ON, self._state, of["target"], kind == "goto")
        if kind == "limit" and isinstance(of, dict) and of.get("inv"):
            raise MissError("it takes what is above a rate")
        if kind == "notrack":
            return Act(GO_ON, self._state.untracked())
        if kind in _VERDICTS:
            return Act(_VERDICTS[kind], self._state)
        raise MissError(f"no dump tells {of if kind == 'unknown' else kind}"[:80])

    def _vmap(self, of: Entry) -> Ran:
        found = self._elements(of["data"], mapped=True)
        misses = 0
        keys = self.values(of["key"])
        for chance, key in keys:
            try:
                word = key[0] if isinstance(key, _Flags) and len(key) == 1 else key  # ct state vmap { new : ... }
                ((kind, target),) = found.find(word, _name(of["data"])).items()
            except MissError:
                misses += 1
                continue
            yield chance, self._verdict(kind, target), f"{nft_text.expression(of['key'])} is {_said(key)}"
        if misses == len(keys):
            raise MissError(f"not in {_name(of['data'])}")

    def _dnat(self, of: Entry) -> Ran:
        ports = self.values(of["port"]) if "port" in of else [(CERTAIN, self._state.packet.port)]
        for chance, found in self.values(of["addr"]):
            for part, port in ports:
                where = found if isinstance(found, tuple) else (found, port)
                yield chance * part, Act(ACCEPT, self._state.sent_to(str(where[0]), int(where[1]), "DNAT")), ""

    def _redirect(self, of: Entry | None) -> Ran:
        ports = self.values(of["port"]) if of and "port" in of else [(CERTAIN, self._state.packet.port)]
        for chance, port in ports:
            yield chance, Act(ACCEPT, self._state.redirected(int(str(port)))), ""

    def _match(self, of: Entry) -> Ran:
        left, wanted, chance = of["left"], of["right"], Fraction(0)
        negated = of["op"] in ("!=", "!")
        order = _ORDERS.get(of["op"])
        told = nft_text.expression(left)
        said = ""
        for part, found in self.values(left):
            if isinstance(found, _Flags):
                matches = _has(found, of["op"], wanted)
            else:
                matches = order(found, value(wanted)) if order else self._is(found, wanted) != negated
            if matches:
                chance, said = chance + part, said or f"{told} is {_said(found)}"
        if not chance:
            raise MissError(f"{told} is {'not ' if not negated else ''}{nft_text.expression(wanted)}"[:80])
        yield chance, Act(GO_ON, self._state), said

    def _is(self, found: Value, wanted: Any) -> bool:
        if isinstance(wanted, str) and wanted.startswith("@"):
            try:
                self._elements(wanted, mapped=False).find(found, wanted)
            except MissError:
                return False
            return True
        return fits(found, pattern(wanted))

    def _elements(self, of: str | Entry, *, mapped: bool) -> Elements:
        if isinstance(of, str):
            return self._table.elements(of.lstrip("@"))
        return elements(of["set"], mapped=mapped)

    def values(self, of: Any) -> Values:
        """What an expression may be, by chance. Raises MissError."""
        if not isinstance(of, dict):
            return [(CERTAIN, value(of))]
        ((kind, it),) = of.items()
        if kind in _FIXED:
            return [(CERTAIN, _FIXED[kind](it, self._state))]
        if kind == "concat":
            found: list[tuple[Fraction, tuple[Any, ...]]] = [(CERTAIN, ())]
            for part in it:
                found = [(_both(c, d), (*head, each)) for c, head in found for d, each in self.values(part)]
            return found
        if kind in _OPERATIONS:
            (first, left), *_more = self.values(it[0])
            (_second, right), *_more = self.values(it[1])
            return [(first, _operated(kind, left, right))]
        if kind in ("numgen", "jhash", "symhash"):
            return _by_chance(kind, it)
        if kind == "map":
            return self._mapped(it)
        raise MissError(f"no dump tells {kind}")

    def _mapped(self, of: Entry) -> Values:
        counted: dict[tuple[Value, Fraction], int] = {}
        together: dict[Value, Fraction] = {}
        found = self._elements(of["data"], mapped=True)
        for chance, key in self.values(of["key"]):
            try:
                each = pattern(found.find(key, _name(of["data"])))
            except MissError:
                continue
            counted[each, chance] = counted.get((each, chance), 0) + 1
        for (each, chance), times in counted.items():
            together[each] = together.get(each, Fraction(0)) + chance * times
        if not together:
            raise MissError(f"not in {_name(of['data'])}")
        return [(chance, each) for each, chance in together.items()]


_VERDICTS = {
    "accept": ACCEPT,
    "drop": DROP,
    "reject": REJECT,
    "return": RETURN,
    **dict.fromkeys(("continue", "counter", "log", "limit", "quota", "last", "meter", "set", "map"), GO_ON),
    **dict.fromkeys(("flow", "ct helper", "ct timeout", "ct expectation"), GO_ON),
}
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: type(left) is type(right) is int and left < right,
    ">": lambda left, right: type(left) is type(right) is int and left > right,
    "<=": lambda left, right: type(left) is type(right) is int and left <= right,
    ">=": lambda left, right: type(left) is type(right) is int and left >= right,
}
_OPERATIONS: Mapping[str, Callable[[int, int], int]] = {
    "&": lambda left, right: left & right,
    "|": lambda left, right: left | right,
    "^": lambda left, right: left ^ right,
    "<<": lambda left, right: left << right & 0xFFFFFFFF,
    ">>": lambda left, right: left >> right,
}


def _operated(kind: str, left: Value, right: Value) -> Value:
    if isinstance(left, _Flags):
        return _Flags(set(left) & _words(right))
    if isinstance(left, int) and isinstance(right, int):
        return _OPERATIONS[kind](left, right)
    raise MissError(f"no dump tells {left} {kind} {right}")


def _has(found: _Flags, sign: str, wanted: Any) -> bool:
    """Whether bits are as a rule wants them: any of some (``in``), none of them, or these and no others."""
    if sign in ("in", "!"):
        return (not _words(wanted).isdisjoint(found)) is (sign == "in")
    listed = wanted["set"] if isinstance(wanted, dict) and "set" in wanted else [wanted]
    if sign not in ("==", "!=") or any(isinstance(each, int) and each for each in listed):
        raise MissError("no dump tells bits by their numbers")
    return any(_words(each or ()) == set(found) for each in listed) is (sign == "==")


def _words(wanted: Any) -> set[str]:
    if isinstance(wanted, dict):
        return set().union(*map(_words, wanted["|"] if "|" in wanted else wanted.get("set", ())))
    return {str(wanted)} if isinstance(wanted, (str, int)) else set(map(str, wanted))


def _by_chance(kind: str, of: Entry) -> Values:
    """Which client has which hash is certain; of clients of whom nobody said which, all have the same chance."""
    if of["mod"] > _MOST_WAYS:
        raise MissError(f"no dump tells the {kind} of a client")
    first, chance = of.get("offset", 0), Fraction(1, of["mod"])
    return [(chance, first + each) for each in range(of["mod"])]


def _both(one: Fraction, other: Fraction) -> Fraction:
    """The product: fractions are slow, and a map of hashes has thousands of elements."""
    return one if other is CERTAIN else other if one is CERTAIN else one * other


def _payload(of: Entry, state: State) -> Value:
    protocol, field, packet = of.get("protocol"), of.get("field"), state.packet
    if field in ("saddr", "daddr") and protocol in _FAMILIES:
        if _FAMILIES[protocol] != packet.family:
            raise MissError("another address family")
        if field == "daddr" and packet.destination in UNTOLD.values():
            raise MissError("no dump tells the node's address")
        return packet.source if field == "saddr" else packet.destination
    if protocol in ("tcp", "udp", "sctp") and protocol != packet.protocol:
        raise MissError("another protocol")
    if field == "dport" and protocol in ("th", packet.protocol):
        return packet.port
    if field == "flags" and protocol == "tcp":
        return _Flags(("syn",))
    raise MissError(f"no dump tells {protocol} {field}")


def _meta(of: Entry, state: State) -> Value:
    key = of["key"]
    if key in ("iifname", "iif", "oifname", "oif") and state.is_inside:
        return "lo"
    known: Mapping[str, Value] = {
        "l4proto": state.packet.protocol,
        "mark": state.mark,
        "priority": state.priority,
        "nfproto": "ipv4" if state.packet.family == addresses.IPV4 else "ipv6",
    }
    if key not in known:
        raise MissError(f"no dump tells meta {key}")
    return known[key]


def _ct(of: Entry, state: State) -> Value:
    words = {word.lower() for word in state.connection}
    if of["key"] == "state":
        return _Flags(words & {"new", "untracked", "invalid"})
    if of["key"] == "status":
        if not words.isdisjoint(("untracked", "invalid")):
            raise MissError("its connection is not tracked")
        done = words & {"dnat", "snat"}
        return _Flags({*done, *(f"{word} is done" for word in done)})
    raise MissError(f"no dump tells ct {of['key']}")


def _fib(of: Entry, state: State) -> Value:
    if of["result"] != "type":
        raise MissError("no dump tells the node's routes")
    address = state.packet.source if "saddr" in of["flags"] else state.packet.destination
    return "local" if state.node.has(address) else "unicast"


def _socket(_of: Entry, _state: State) -> Value:
    raise MissError("no connection of the node's")


_FIXED: Mapping[str, Callable[[Any, State], Value]] = {
    "payload": _payload,
    "meta": _meta,
    "ct": _ct,
    "fib": _fib,
    "socket": _socket,
}


def _changed(state: State, key: Entry, to: Value) -> State:
    name = key.get("meta", {}).get("key")
    if name == "mark" and isinstance(to, int):
        return state._replace(mark=to)
    if name == "priority" and isinstance(to, int):
        return state._replace(priority=to)
    return state


def _name(of: str | Entry) -> str:
    return of if isinstance(of, str) else "the map"


def _said(found: Value) -> str:
    if isinstance(found, tuple):
        return (", " if isinstance(found, _Flags) else " . ").join(map(_said, found)) or "none"
    return "an address elsewhere" if found == ELSEWHERE else str(found)
