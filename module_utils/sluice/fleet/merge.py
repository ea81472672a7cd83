"""What nodes told, as the data of one page; pure. The catalogue is the same on all nodes: what is said twice is kept
once.

``nodes``: those of the inventory. ``rows``: service ports, each with its endpoints (``ends``), the ``forms`` that nodes
have of it, what the endpoints have got in all (``sums``, five numbers each as in ``Count``), a verdict on their shares
and ``trouble``. ``at``: by node, in columns: of each row which form it has (-1: none), five numbers (the first is -1
where nothing is counted), how it was counted, the connections of each endpoint, the verdict.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .. import __version__
from ..chance import P_MINIMUM
from . import shares
from .states import FAILED, State

Data = dict[str, Any]

WHOLE, BY_CONNTRACK = 1, 2
"""How a row was counted: packets are all of a connection; connections of endpoints are those that conntrack has."""

_NOTHING = [-1, 0, 0, 0, 0]
_NAMED = 3


def merged(states: Sequence[State], made: int) -> Data:
    """The data of a page that is made at ``made``, in seconds of the epoch."""
    try:
        return _merged(states, made)
    except _DAMAGES:  # by some of them: a node's word is not to be relied on
        return _merged([_checked(state) for state in states], made)


_DAMAGES = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


def _merged(states: Sequence[State], made: int) -> Data:
    table = _Table([state for state in states if state.told is not None])
    return {
        "made": made,
        "version": __version__,
        "nodes": [_node(state, table) for state in states],
        "rows": [row.data for row in table.rows.values()],
        "at": table.columns(),
    }


def _checked(state: State) -> State:
    """``state``, or that it cannot be read."""
    try:
        _merged([state], 0)
    except _DAMAGES as error:
        return State(state.name, None, FAILED, f"what it told cannot be read: {error!r}")
    return state


def _node(state: State, table: _Table) -> Data:
    if state.told is None:
        return {"name": state.name, "failed": state.failed, "why": state.why}
    told = state.told
    trouble = [str(line) for line in told["trouble"]]
    trouble += [f"{each['what']} ({each['where']}): {each['effect']}" for each in told["odd"] if each["hurts"]]
    if told["catalogue"] != table.usual:
        trouble.append(f"its catalogue ({told['catalogue']}) is not the one of most nodes ({table.usual})")
    kept = ("status", "odd", "out", "settings", "layers", "catalogue", "rules", "time")
    return {"name": state.name, "trouble": trouble, **{name: told[name] for name in kept}}


class _Row:
    """One service port of all nodes."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.ends: dict[str, int] = {}
        self.forms: dict[str, int] = {}
        self.sums: list[list[int]] = []
        self.data: Data = {"name": told["name"], "protocol": told["protocol"], "type": told["type"], "forms": []}

    def form(self, told: Mapping[str, Any]) -> int:
        """The number of the form that a node has of it."""
        key = json.dumps([told["groups"], told["absent"], told["declared"]])
        if key not in self.forms:
            self.forms[key] = len(self.forms)
            groups = [
                {**group, **{part: [[self._end(each[0]), *each[1:]] for each in group[part]] for part in _PARTS}}
                for group in told["groups"]
            ]
            absent = [[self._end(text), why] for text, why in told["absent"]]
            self.data["forms"].append({"groups": groups, "absent": absent, "declared": told["declared"]})
            self.data["type"] = self.data["type"] or told["type"]
        for text in (told["counted"] or {}).get("ends", ()):
            self._end(text)
        return self.forms[key]

    def _end(self, text: str) -> int:
        if text not in self.ends:
            self.ends[str(text)] = len(self.ends)
            self.sums.append([0] * 5)
        return self.ends[text]


_PARTS = ("cluster", "local")


class _Table:
    """The service ports of nodes, in the order in which these tell of them."""

    def __init__(self, states: Sequence[State]) -> None:
        self.states = states
        self.usual = next(iter(Counter(self._told(state)["catalogue"] for state in states).most_common(1)), ("", 0))[0]
        self.rows: dict[tuple[str, str], _Row] = {}
        self._by_node: list[dict[tuple[str, str], Mapping[str, Any]]] = []
        for state in states:
            own = {(told["name"], told["protocol"]): told for told in self._told(state)["rows"]}
            self._by_node.append(own)
            for key, told in own.items():
                if key not in self.rows:
                    self.rows[key] = _Row(told)
                self.rows[key].form(told)

    @staticmethod
    def _told(state: State) -> Mapping[str, Any]:
        return state.told or {}

    def columns(self) -> list[Data]:
        """Those of each node; completes the rows with what depends on all."""
        found: list[Data] = []
        for own in self._by_node:
            columns: Data = {"form": [], "total": [], "how": [], "connections": [], "verdict": []}
            for key, row in self.rows.items():
                told = own.get(key)
                self._add(columns, row, told)
            found.append(columns)
        for key, row in self.rows.items():
            here = [own.get(key) for own in self._by_node]
            row.data["ends"] = list(row.ends)
            row.data["sums"] = [number for each in row.sums for number in each]
            row.data["verdict"] = _short(shares.verdict(_sample(told) for told in here if told))
            row.data["trouble"] = list(self._trouble(row, here))
        return found

    def _add(self, columns: Data, row: _Row, told: Mapping[str, Any] | None) -> None:
        counted = told["counted"] if told else None
        ends = counted["ends"] if counted else {}
        columns["form"].append(row.form(told) if told else -1)
        columns["total"] += map(int, counted["total"]) if counted else _NOTHING
        columns["how"].append(WHOLE * bool(counted["whole"]) + BY_CONNTRACK * bool(counted["by"]) if counted else 0)
        for text, at in row.ends.items():
            numbers = [int(number) for number in ends.get(text, ())] or [0] * 5
            columns["connections"].append(numbers[0])
            row.sums[at] = [held + number for held, number in zip(row.sums[at], numbers)]
        columns["verdict"].append(_short(shares.verdict([_sample(told)] if told else [])))

    def _trouble(self, row: _Row, here: Sequence[Mapping[str, Any] | None]) -> Iterator[str]:
        """What speaks against a service port being well, a line each."""
        nodes: dict[str, list[str]] = {}

        def on(what: str, state: State) -> None:
            nodes.setdefault(what, []).append(state.name)

        for state, told in zip(self.states, here):
            if told is None or (told["declared"] and not told["groups"]):
                on("not in the kernel", state)
                continue
            if not told["declared"]:
                on("not in the catalogue", state)
            stages = {way[3] for group in told["groups"] for way in group["ways"]}
            if "REJECT" in stages or not any(group[part] for group in told["groups"] for part in _PARTS):
                on("refused: no endpoint serves", state)
            if "DROP" in stages:
                on("dropped: no endpoint of the node's own serves", state)
            for text, why in told["absent"]:
                if why:
                    on(f"{text} is {why}", state)
        for what, names in nodes.items():
            yield what if len(names) == len(self.states) > 1 else f"{what} on {_several(names)}"
        verdict = row.data["verdict"]
        if isinstance(verdict, float) and verdict < P_MINIMUM:
            yield f"shares are not what chance gives (p = {verdict:.1e})"


def _sample(told: Mapping[str, Any]) -> shares.Sample:
    ends = (told["counted"] or {}).get("ends", {})
    return told["groups"], {text: int(numbers[0]) for text, numbers in ends.items()}


def _short(verdict: shares.Verdict) -> shares.Verdict:
    """With digits enough to be read."""
    return float(f"{verdict:.3g}") if isinstance(verdict, float) else verdict


def _several(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
