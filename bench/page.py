"""docs/benchmarks.md and its plots, from what was measured."""

from __future__ import annotations

import importlib.metadata
import math
import pathlib
import platform
import subprocess
from collections.abc import Callable

import plot
import tables
from process import NODE_PYTHON, REPOSITORY
from results import PARTS, Apply, Results

DOCS = REPOSITORY / "docs"
APPLY_PLOT, LATENCY_PLOT = "benchmarks-apply.svg", "benchmarks-latency.svg"

HEAD = """\
# Benchmarks

Written by `make bench`; do not edit. Services have one port and five endpoints each. Every figure is of a real process:
wall clock, CPU time of it and its children, and the peak memory of the largest process (MB = 10⁶ bytes). Up to 5,000
Services figures are medians of three. Absolute figures move with the machine; ratios are of the same run.

"""

NOTES = {
    "sluice render": """\
From manifests, as `sluice render` reads them, and from a compiled catalogue, as the playbooks do, *for* a backend.
*Parsing alone* loads the same file by libyaml or Python's json in a process of its own.
""",
    "First apply": f"""\
`sluice apply` on a node without rules, a network namespace. *Plane* is where the rules are, *dispatch* how they find a
packet's Service. *Restore* loads the same file by the kernel's own tool in an empty namespace: `PLANE-restore` or, for
nftables, `nft -f`; *ratio* is apply to restore. *Save* only reads the rules: `PLANE-save`, `nft list ruleset`. *Rules*
are what these print, without the elements of nftables' sets and maps. Above 20,000 Services iptables is not measured.

![Seconds over Services]({APPLY_PLOT})
""",
    "Changes": """\
*Nothing, first* is the first apply behind a change, with the same rules: where others may have changed rules unseen
(iptables-legacy counts no changes) it reads the kernel in full. *Then* is every later one. The changes are one
endpoint's address, one Service more and one less, in the middle of the catalogue. *Lines* (rules or elements) were sent
to the kernel; *MB* is the most of these.
""",
    "TCP connect, p50 / p99 in µs": f"""\
connect(2) from a client's namespace through the node's to an endpoint's, one connection at a time: of six rounds of
1,000 the one with the least median. *No rules* goes to an endpoint through another namespace, which never has any; *no
Service* to an endpoint's own address through the node and its rules. The first Service is the one whose rule a linear
dispatch asks first, the last is asked last: with it every new connection through the node pays for the whole list,
those to no Service too; a tree of prefixes and nftables' maps cost them next to nothing. All take turns in each round.
*More* is what no Service and the last one take more than no rules: of the differences of the medians in each round, the
median.

![Microseconds over Services]({LATENCY_PLOT})
""",
    "UDP flows to an endpoint that goes": """\
`sluice apply` that replaces the one endpoint of a Service to which a node has that many UDP flows, each of another
port. *Others* are flows to another Service, which stay. *Without flows* is the same change where there are none.
""",
    "Health checks": """\
The checker's process alone. Its endpoints are addresses of one namespace with one server behind them; each is asked
once a *period*, beside so many *busy* loops. *CPU* is of one processor. *Late* is by how much 99 of 100 checks began
late at most in a second: the median of 30 seconds, and the *worst*. All endpoints answer: none should be found *down*.
""",
    "IPVS: first apply": """\
`sluice apply` on a virtual machine with one processor, in a network namespace without rules, beside the kernel's tools
with the same files: `ipset restore`, `ipvsadm -R`, `ip -batch` for the addresses, `iptables-nft-restore`. *Ratio* is
apply to their sum. Where the processor is emulated (`qemu`), time is what it executes, 2 ns an instruction: the figures
then do not depend on how busy the host is, and their ratios are what counts.
""",
    "IPVS: changes": """\
As above; every set, member, server and address is read from the kernel each time. The tools are those that print what
the kernel holds; *python* is `python3 -c pass`. *Readers* are both tools together.
""",
    "ansible-playbook site.yml, nothing to change": """\
All of `site.yml` on one load balancer of the lab. The floor is `ansible -m ping` of the same host.
""",
}


def write(results: Results) -> None:
    """Write the page, and the plots where there is something to plot. What was not measured stays as it is."""
    path = DOCS / "benchmarks.md"
    path.write_text(text(results, machine(), path.read_text(encoding="utf-8")), encoding="utf-8")
    rows = [row for row in results["apply"].rows if isinstance(row, Apply)] if "apply" in results else []
    if len({row.services for row in rows}) > 1:
        (DOCS / APPLY_PLOT).write_text(plot.svg(apply_panels(rows)), encoding="utf-8")
        (DOCS / LATENCY_PLOT).write_text(plot.svg([latency_panel(rows)]), encoding="utf-8")


def text(results: Results, about: str, before: str = "") -> str:
    """The page. ``about`` says on which machine; ``before`` is the page that it replaces."""
    head, *pieces = before.split("\n## ")
    sections = {piece.partition("\n")[0]: piece.partition("\n")[2].rstrip("\n") + "\n" for piece in pieces}
    new = {table.title: f"\n{NOTES[table.title]}\n{tables.markdown(table)}" for table in tables.tables(results)}
    listed = [line for line in head.splitlines(keepends=True) if line.startswith("* ")]
    runs = {line.split("`")[1].split()[-1]: line for line in listed if line.startswith(_RUN)}
    elsewhere = ""
    if sections.keys() - new.keys():  # what stays was measured where the page says
        here, about = about, "".join(line for line in listed if not line.startswith(_RUN))
        others = [line.lstrip("* ") for line in here.splitlines() if line not in about.splitlines()]
        elsewhere = f" ({'; '.join(others)})" if others else ""
    for name, part in results.items():
        runs[name] = f"{_RUN} {name}`: {part.when}, load average {part.load:.1f} as it began{elsewhere}\n"
    sections.update(new)
    return "".join(
        [HEAD, about, "\n", *(runs[name] for name in PARTS if name in runs)]
        + [f"\n## {title}\n{sections[title]}" for title in NOTES if title in sections]
    )


_RUN = "* `bench/bench.py --only"


def machine() -> str:
    """The machine and the versions of what was measured, a list in Markdown."""
    processors = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in processors if line.startswith("model name")]
    memory = int(pathlib.Path("/proc/meminfo").read_text(encoding="ascii").split()[1]) * 1024 / 1e9
    system = pathlib.Path("/etc/os-release").read_text(encoding="utf-8").partition('PRETTY_NAME="')[2].partition('"')[0]
    versions = [_said(tool, "--version") for tool in ("iptables-nft", "iptables-legacy", "nft")]
    versions += [f"node {_said(NODE_PYTHON, '--version')}", f"controller Python {platform.python_version()}"]
    versions.append(f"ansible-core {importlib.metadata.version('ansible-core')}")
    return (
        f"* {len(models)} processors: {models[0] if models else platform.machine()}, {memory:.0f} GB\n"
        f"* {system}, kernel {platform.release()}\n"
        f"* {', '.join(versions)}\n"
    )


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def apply_panels(rows: list[Apply]) -> list[plot.Panel]:
    """Seconds over Services, a panel a plane, in the first of its layouts."""
    kinds = (("plain restore", "restore", plot.FLOOR), ("first apply", "first", 0), ("one endpoint", "endpoint", 1),
             ("nothing changed", "steady", 2))  # fmt: skip
    layouts = {row.plane: row.dispatch for row in reversed(rows)}
    return [
        plot.Panel(
            plane,
            "Services",
            "seconds",
            [
                plot.Series(
                    label,
                    _points(rows, plane, layouts[plane], lambda row, name=name: row.runs[name].seconds),  # type: ignore[misc]
                    colour,
                    name == "restore",
                )
                for label, name, colour in kinds
            ],
        )
        for plane in dict.fromkeys(row.plane for row in rows)
    ]


def latency_panel(rows: list[Apply]) -> plot.Panel:
    """Median µs to the last Service over Services, a line for each plane and layout."""
    kinds = list(dict.fromkeys((row.plane, row.dispatch) for row in rows))
    series = [
        plot.Series(", ".join(kind), _points(rows, *kind, lambda row: row.best("last").p50), colour)
        for colour, kind in enumerate(kinds)
    ]
    without: dict[float, float] = {}
    for row in rows:
        without[row.services] = min(without.get(row.services, math.inf), row.best("around").p50)
    floor = plot.Series("no rules", list(without.items()), plot.FLOOR, True)
    return plot.Panel("TCP connect to the last Service, p50", "Services", "µs", [*series, floor], log=False)


def _points(rows: list[Apply], plane: str, dispatch: str, value: Callable[[Apply], float]) -> list[tuple[float, float]]:
    return [(row.services, value(row)) for row in rows if (row.plane, row.dispatch) == (plane, dispatch)]
