"""What was measured, and how it is kept between runs of single parts."""

from __future__ import annotations

import contextlib
import json
import pathlib
import statistics
import typing
from collections.abc import Sequence

from process import Run

PARTS = ("render", "apply", "flows", "checks", "ipvs", "ansible")


class Latency(typing.NamedTuple):
    """Times of new TCP connections in µs."""

    p50: float
    p99: float

    @classmethod
    def of(cls, times: Sequence[float]) -> Latency:
        """From sorted times."""
        return cls(times[len(times) // 2], times[len(times) * 99 // 100])


class Render(typing.NamedTuple):
    """``sluice render`` of one catalogue from ``source`` (YAML or compiled); ``floor`` only parses the same file."""

    services: int
    source: str
    backend: str
    run: Run
    floor: Run


class Apply(typing.NamedTuple):
    """One node: ``runs`` by what was applied (``restore``, ``save``: the kernel's own tools), connections by target.

    Targets: an endpoint ``around`` the node, by a way without rules; an ``endpoint`` through the node; the ``first``
    and the ``last`` Service. All have the same rounds, in each of which their connections take turns.
    """

    services: int
    plane: str
    dispatch: str
    rules: int
    runs: dict[str, Run]
    latency: dict[str, list[Latency]]

    def best(self, target: str) -> Latency:
        """The best round: whatever else runs only makes connections slower."""
        return min(self.latency[target])

    def more(self, target: str) -> float:
        """µs that a connection to a target takes more than one around the node: the median of all rounds."""
        pairs = zip(self.latency[target], self.latency["around"])
        return statistics.median(there.p50 - around.p50 for there, around in pairs)


class Flows(typing.NamedTuple):
    """An apply that takes the endpoint of ``flows`` UDP flows away, while ``others`` stay; ``floor``: without any."""

    flows: int
    others: int
    run: Run
    floor: Run


class Checks(typing.NamedTuple):
    """The checker with ``count`` endpoints, each asked by ``kind`` every ``period`` s, beside ``loops`` busy processes.

    ``rate``: checks a second. ``cpu``: seconds of a processor a second. ``peak``: its largest memory in MB. ``late``:
    ms by which 99 of 100 checks began late at most, in each second: the median of these, and the ``latest``.
    ``downs``: how often an endpoint was found down, though all answer.
    """

    kind: str
    count: int
    period: float
    loops: int
    rate: float
    cpu: float
    peak: float
    late: float
    latest: float
    downs: int


class Ipvs(typing.NamedTuple):
    """A node in IPVS mode, a virtual machine; ``runs`` by what was applied, or by the tool that was run beside it.

    ``processor``: what runs it, as systemd-detect-virt(1) says: ``kvm``, or ``qemu`` where it is emulated.
    """

    services: int
    processor: str
    runs: dict[str, Run]


class Site(typing.NamedTuple):
    """``ansible-playbook site.yml`` with nothing to change; ``floor`` is one ping of the same node."""

    services: int
    run: Run
    floor: Run


Row = typing.Union[Render, Apply, Flows, Checks, Ipvs, Site]
_KINDS: dict[str, type[Row]] = {
    "render": Render,
    "apply": Apply,
    "flows": Flows,
    "checks": Checks,
    "ipvs": Ipvs,
    "ansible": Site,
}


class Part(typing.NamedTuple):
    """One part of the benchmarks: when it was run, the load of the machine as it began (1 min), what came out."""

    when: str
    load: float
    rows: list[Row]


Results = dict[str, Part]


def load(path: pathlib.Path) -> Results:
    """What ``save`` wrote, but for parts that were kept in another form than today's; nothing without such a file."""
    if not path.exists():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    found = {}
    for name, part in kept.items():
        with contextlib.suppress(TypeError):
            found[name] = Part(part["when"], part["load"], [_KINDS[name](**_typed(row)) for row in part["rows"]])
    return found


def save(path: pathlib.Path, results: Results) -> None:
    path.parent.mkdir(exist_ok=True)
    kept = {name: {**part._asdict(), "rows": [row._asdict() for row in part.rows]} for name, part in results.items()}
    path.write_text(json.dumps(kept), encoding="utf-8")


def _typed(row: dict[str, typing.Any]) -> dict[str, typing.Any]:
    """JSON has no named tuples: they come back as lists."""
    for name in ("run", "floor"):
        if name in row:
            row[name] = Run(*row[name])
    if "runs" in row:
        row["runs"] = {key: Run(*values) for key, values in row["runs"].items()}
    if "latency" in row:
        row["latency"] = {key: [Latency(*values) for values in rounds] for key, rounds in row["latency"].items()}
    return row
