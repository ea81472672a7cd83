"""Tables of what was measured, for a terminal and for a page, without I/O."""

from __future__ import annotations

import typing
from collections.abc import Sequence

from process import Run
from results import Apply, Checks, Flows, Ipvs, Latency, Render, Results, Row, Site


class Table(typing.NamedTuple):
    """Cells are text. A column is set flush right where all of its cells begin with a digit."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def text(table: Table) -> str:
    """The table with aligned columns."""
    return "\n".join([table.title, *_lines(table, "  ", "  "), ""])


def markdown(table: Table) -> str:
    """The table in Markdown, aligned as well: the page is read as text too."""
    head, *body = _lines(table, " | ", "| ", " |")
    widths = _widths(table)
    rule = "|".join(f"{'-' * (width + 1)}{':' if right else '-'}" for width, right in zip(widths, _right(table)))
    return "\n".join([head, f"|{rule}|", *body, ""])


def tables(results: Results) -> list[Table]:
    """Every table that ``results`` has something for."""
    found = []
    for part, title, head, row in _TABLES:
        if part in results:
            found.append(Table(title, head, [row(each) for each in results[part].rows]))
    return found


def seconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _render_row(row: Row) -> list[str]:
    assert isinstance(row, Render)
    return [f"{row.services:,}", row.source, row.backend, *_taken(row.run), seconds(row.floor.seconds),
            _ratio(row.run, row.floor)]  # fmt: skip


def _first_row(row: Row) -> list[str]:
    assert isinstance(row, Apply)
    first, restore, save = (row.runs[name] for name in ("first", "restore", "save"))
    return [*_cell(row), f"{row.rules:,}", *_taken(first), seconds(restore.seconds), _ratio(first, restore),
            seconds(save.seconds)]  # fmt: skip


def _change_row(row: Row) -> list[str]:
    assert isinstance(row, Apply)
    runs = row.runs
    changes = [cell for name in ("endpoint", "added", "removed") for cell in (seconds(runs[name].seconds),
               f"{runs[name].lines}")]  # fmt: skip
    peak = max(runs[name].peak for name in ("steady", "endpoint", "added", "removed"))
    return [*_cell(row), seconds(runs["again"].seconds), seconds(runs["steady"].seconds), *changes, f"{peak:.0f}",
            _ratio(runs["endpoint"], runs["restore"])]  # fmt: skip


def _latency_row(row: Row) -> list[str]:
    assert isinstance(row, Apply)
    found = [_latency(row.best(target)) for target in ("around", "endpoint", "first", "last")]
    return [*_cell(row), *found, *(f"{row.more(target):.1f}" for target in ("endpoint", "last"))]


def _flows_row(row: Row) -> list[str]:
    assert isinstance(row, Flows)
    more = max(row.run.seconds - row.floor.seconds, 0)
    return [f"{row.flows:,}", f"{row.others:,}", *_taken(row.run), seconds(row.floor.seconds), seconds(more)]


def _checks_row(row: Row) -> list[str]:
    assert isinstance(row, Checks)
    return [row.kind, f"{row.count:,}", f"{row.period:g}", str(row.loops), f"{row.rate:,.0f}", f"{row.cpu * 100:.1f}",
            f"{row.cpu / row.rate * 1e6:.0f}", f"{row.peak:.0f}", f"{row.late:.1f}", f"{row.latest:.1f}",
            str(row.downs)]  # fmt: skip


IPVS_FLOOR = ("ipset restore", "ipvsadm -R", "ip -batch", "iptables-restore")
IPVS_READERS = ("ipset save", "ipvsadm -Sn")


def _ipvs_first_row(row: Row) -> list[str]:
    assert isinstance(row, Ipvs)
    first, floor = row.runs["first"], [row.runs[name].seconds for name in IPVS_FLOOR]
    return [f"{row.services:,}", row.processor, f"{first.lines:,}", *_taken(first), *map(seconds, floor),
            f"{first.seconds / sum(floor):.2f}"]  # fmt: skip


def _ipvs_change_row(row: Row) -> list[str]:
    assert isinstance(row, Ipvs)
    names = ("again", "endpoint", "added", "removed")
    cells = [cell for name in names[1:] for cell in (seconds(row.runs[name].seconds), f"{row.runs[name].lines}")]
    readers = [row.runs[name].seconds for name in IPVS_READERS]
    return [f"{row.services:,}", seconds(row.runs["again"].seconds), *cells,
            f"{max(row.runs[name].peak for name in names):.0f}", *map(seconds, readers),
            seconds(row.runs["python"].seconds), f"{row.runs['endpoint'].seconds / sum(readers):.2f}",
            f"{row.runs['endpoint'].seconds / row.runs['python'].seconds:.0f}"]  # fmt: skip


def _site_row(row: Row) -> list[str]:
    assert isinstance(row, Site)
    return [f"{row.services:,}", *_taken(row.run), seconds(row.floor.seconds)]


_CELL = ("Services", "plane", "dispatch")
_TABLES = (
    ("render", "sluice render", ("Services", "from", "for", "s", "CPU s", "MB", "parsing alone s", "ratio"),
     _render_row),
    ("apply", "First apply",
     (*_CELL, "rules", "s", "CPU s", "MB", "restore s", "ratio", "save s"), _first_row),
    ("apply", "Changes",
     (*_CELL, "nothing, first s", "then s", "endpoint s", "lines", "added s", "lines", "removed s", "lines", "MB",
      "endpoint/restore"), _change_row),
    ("apply", "TCP connect, p50 / p99 in µs",
     (*_CELL, "no rules", "no Service", "first Service", "last Service", "no Service more", "last more"), _latency_row),
    ("flows", "UDP flows to an endpoint that goes",
     ("flows", "others", "s", "CPU s", "MB", "without flows s", "difference s"), _flows_row),
    ("checks", "Health checks",
     ("check", "endpoints", "period s", "busy", "checks/s", "CPU %", "µs a check", "MB", "late p99 ms", "worst",
      "down"),
     _checks_row),
    ("ipvs", "IPVS: first apply",
     ("Services", "processor", "lines", "s", "CPU s", "MB", *(f"{name} s" for name in IPVS_FLOOR), "ratio"),
     _ipvs_first_row),
    ("ipvs", "IPVS: changes",
     ("Services", "nothing s", "endpoint s", "lines", "added s", "lines", "removed s", "lines", "MB",
      *(f"{name} s" for name in IPVS_READERS), "python s", "endpoint/readers", "endpoint/python"), _ipvs_change_row),
    ("ansible", "ansible-playbook site.yml, nothing to change",
     ("Services", "s", "CPU s", "MB", "one ping s"), _site_row),
)  # fmt: skip


def _cell(row: Apply) -> list[str]:
    return [f"{row.services:,}", row.plane, row.dispatch]


def _taken(run: Run) -> list[str]:
    return [seconds(run.seconds), seconds(run.cpu), f"{run.peak:.0f}"]


def _ratio(run: Run, floor: Run) -> str:
    return f"{run.seconds / floor.seconds:.2f}"


def _latency(latency: Latency) -> str:
    return f"{latency.p50:.1f} / {latency.p99:.0f}"


def _lines(table: Table, between: str, before: str = "", after: str = "") -> list[str]:
    widths, right = _widths(table), _right(table)
    return [
        before
        + between.join(
            cell.rjust(width) if flush else cell.ljust(width) for cell, width, flush in zip(row, widths, right)
        )
        + after
        for row in (table.head, *table.rows)
    ]


def _widths(table: Table) -> list[int]:
    return [max(map(len, column)) for column in zip(table.head, *table.rows)]


def _right(table: Table) -> list[bool]:
    return [all(cell[:1].isdigit() for cell in column) for column in zip(*table.rows)]
