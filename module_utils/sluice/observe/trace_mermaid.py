"""A trace as a flowchart in Mermaid's language, as pages of GitHub and GitLab draw it.

https://mermaid.js.org/syntax/flowchart.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .drawing import short
from .outcomes import ENDPOINT
from .trace import Traced
from .trace_graph import CHAIN, LOST, Graph, Place, graph
from .trace_text import fraction

MOST = 8
"""Packets of one flowchart: what draws it takes 50,000 characters and 500 edges."""

_WIDE = '%%{init: {"flowchart": {"wrappingWidth": 500}}}%%'
"""Names of chains are not broken."""

_LONGEST = 120
"""Characters of a rule."""

_NOT_HARMLESS = re.compile(r"[^A-Za-z0-9 ,:/=.→…-]")
_CLASSES = (
    "classDef endpoint stroke:#047857,stroke-width:2px",
    "classDef lost stroke:#b91c1c,stroke-width:2px",
)


def text(found: Sequence[Traced]) -> str:
    """One flowchart. Several packets are a part of it each."""
    lines = [_WIDE, "flowchart TB"]
    for number, traced in enumerate(found[:MOST]):
        drawn = graph(traced)
        if len(found) == 1:
            lines += [f"  {line}" for line in _part(drawn, "n")]
            continue
        lines.append(f'  subgraph p{number}["{_escaped(drawn.places[0].title)}"]')
        lines += [f"    {line}" for line in ("direction TB", *_part(drawn, f"p{number}n"))]
        lines.append("  end")
    if len(found) > MOST:
        lines.append(f'  others["and {len(found) - MOST:,} more addresses"]')
    return "".join(f"{line}\n" for line in (*lines, *(f"  {line}" for line in _CLASSES)))


def _part(drawn: Graph, name: str) -> Iterator[str]:
    for number, place in enumerate(drawn.places):
        yield f"{name}{number}{_shape(place)}"
    for (source, target), chance in drawn.edges.items():
        label = f'|"{_escaped(fraction(chance))}"|' if drawn.is_parting(source) else ""
        yield f"{name}{source} -->{label} {name}{target}"


def _shape(place: Place) -> str:
    lines = [f"<b>{_escaped(place.title)}</b>", *(_escaped(_cut(rule)) for rule, _why in place.rules)]
    label = '"' + "<br/>".join(lines) + '"'
    if place.kind == CHAIN:
        return f"[{label}]"
    kind = ":::endpoint" if place.kind == ENDPOINT else ":::lost" if place.kind in LOST else ""
    return f"([{label}]){kind}"


def _cut(rule: str) -> str:
    text = short(rule)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _escaped(text: str) -> str:
    """Everything that could be taken for more than a character, by its number."""
    return _NOT_HARMLESS.sub(lambda found: f"#{ord(found[0])};", text)
