#!/usr/bin/env python3
"""Measure Sluice beside the floor of the same job: rendering, applying, what a connection pays, a whole playbook.

Every figure is of a real process (wall clock, CPU time and peak memory by wait4(2)). Nodes are network namespaces:
no rule of this machine is read or changed. Needs root; the last part needs the embedded lab (`make lab`).
Exit 0: measured, and what was skipped is said; 2: something that was to be measured did not work.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import functools
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time
import typing
from collections.abc import Callable, Iterator, Mapping

import catalogues
import checks
import flows
import machine
import page
import planes
import results
import tables
import testbed
from process import NODE_PYTHON, REPOSITORY, MeasureError, Run, median, run, sluice
from results import Apply, Checks, Flows, Ipvs, Latency, Part, Render, Row, Site

SIZES = (10, 100, 1000, 5000, 10000, 20000, 50000)
QUICK = (10, 100, 1000, 5000)
SITE_SIZES = (10, 5000)
IPVS_MOST = 5000
"""Services up to which IPVS is measured: more take long where the processor is emulated."""

FLOWS = ((1000, 0), (60000, 0), (60000, 200000))
"""UDP flows to an endpoint that goes, and those to another Service beside them."""

CONNECTIONS, ROUNDS = 1000, 3
"""New connections to each target a round, and rounds, before the changes and after."""
NODE = "lb1"
"""The lab's load balancer that site.yml is timed on."""

KEPT = REPOSITORY / ".cache" / "bench.json"

BIN = pathlib.Path(sys.executable).parent
LAB_INVENTORY = REPOSITORY / "inventory" / "lab"
SETTINGS = {
    "sluice_node_name": NODE,
    "sluice_node_addresses": ["127.0.0.1", testbed.NODE_TO_CLIENT, testbed.NODE_TO_ENDPOINT],
    "sluice_service_cidrs": [catalogues.SERVICE_NETWORK],
}
NO_VARIABLES: Mapping[str, str] = {}


class Skipped(Exception):
    """A part that cannot be measured here; the message says what it takes."""


def main(arguments: argparse.Namespace) -> int:
    os.chdir(REPOSITORY)
    # As on a node (installation.perform), whatever the environment says of files that Python writes.
    compileall.compile_dir("module_utils", quiet=2)
    arguments.services = arguments.services or (QUICK if arguments.quick else SIZES)
    done, status = results.load(KEPT), 0
    for name in arguments.only:
        when, load = time.strftime("%Y-%m-%d %H:%M"), os.getloadavg()[0]
        rows: list[Row] = []
        try:
            with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
                for row in PARTS[name](arguments, pathlib.Path(folder)):
                    rows.append(row)
                    progress(name, row)
        except Skipped as reason:
            print(f"NOT MEASURED: {name}: {reason}", file=sys.stderr)
            continue
        except MeasureError as error:
            print(f"{name}: {error}", file=sys.stderr)
            status = 2
            continue
        done[name] = Part(when, load, rows)
        results.save(KEPT, done)
        for table in tables.tables({name: done[name]}):
            print(tables.text(table))
    if arguments.write:
        page.write(done)
    return status


def progress(part: str, row: Row) -> None:
    """A run takes minutes: say on a terminal where it is."""
    if sys.stderr.isatty():
        words = " ".join(str(value) for value in row[:3] if isinstance(value, (int, str)))
        print(f"{part} {words}", file=sys.stderr)


def repeats(services: int, quick: bool) -> int:
    """How often something is measured; the median counts."""
    return 3 if services <= (1000 if quick else 5000) else 1


# --- rendering


PARSE = {
    "YAML": "import sys, yaml; list(yaml.load_all(open(sys.argv[1]), yaml.CSafeLoader))",
    "compiled": "import sys, json; json.load(open(sys.argv[1]))",
}
"""Programs that only read a catalogue of each form."""

RENDERED = (("YAML", "services.yml", planes.IPTABLES), ("compiled", "base.json", planes.IPTABLES),
            ("compiled", "base.json", planes.NFTABLES))  # fmt: skip


def measure_render(arguments: argparse.Namespace, folder: pathlib.Path) -> Iterator[Render]:
    for services in arguments.services:
        prepare(services, folder)
        for source, name, plane in RENDERED:
            if services > plane.most:
                continue
            pairs = [
                (
                    render(folder / name, folder / "out", plane.variables),
                    run([sys.executable, "-c", PARSE[source], folder / name])[0],
                )
                for _repeat in range(repeats(services, arguments.quick))
            ]
            yield Render(services, source, plane.backend, *(median(runs) for runs in zip(*pairs)))


def render(catalogue: pathlib.Path, directory: pathlib.Path, variables: Mapping[str, str] = NO_VARIABLES) -> Run:
    """Render a catalogue to the files of a node that has ``variables`` besides SETTINGS."""
    settings = catalogue.with_name("settings.json")
    settings.write_text(json.dumps({**SETTINGS, **variables}), encoding="utf-8")
    return sluice(sys.executable, "render", "--settings", settings, "--out", directory, catalogue)


def prepare(services: int, folder: pathlib.Path) -> None:
    """Manifests and compiled catalogues of ``services`` in ``folder``."""
    environment = {"PYTHONPATH": str(REPOSITORY / "module_utils")}
    run([sys.executable, catalogues.__file__, str(services), folder], environment=environment)


# --- applying, and what a connection pays


def measure_apply(arguments: argparse.Namespace, folder: pathlib.Path) -> Iterator[Apply]:
    if os.geteuid():
        raise Skipped("network namespaces need root")
    commands = {"ip"}.union(*(plane.commands for plane in planes.PLANES))
    missing = [name for name in sorted(commands) if not shutil.which(name)]
    if missing:
        raise Skipped(f"{', '.join(missing)}: not installed")
    for services in arguments.services:
        prepare(services, folder)
        for plane in planes.PLANES:
            if services > plane.most:
                continue
            rendered = {state: folder / state for state in catalogues.STATES}
            for state, directory in rendered.items():
                shutil.rmtree(directory, ignore_errors=True)
                render(folder / f"{state}.json", directory, plane.variables)
            case = Case(services, plane, repeats(services, arguments.quick))
            yield testbed.in_a_namespace(functools.partial(measure_node, case, folder, rendered))


class Case(typing.NamedTuple):
    """What is measured on one node, and how often."""

    services: int
    plane: planes.Plane
    repeats: int


def measure_node(case: Case, folder: pathlib.Path, rendered: dict[str, pathlib.Path]) -> Apply:
    """Everything about one node; runs in its namespaces."""

    def apply(state: str) -> Run:
        return sluice(NODE_PYTHON, "apply", "--dir", rendered[state])

    with testbed.path() as path:
        runs = {"first": [apply("base")]}
        latency = connect(path, case.services)
        measure_changes(case, apply, runs)
        for target, rounds in connect(path, case.services).items():
            latency[target] += rounds
    rules = measure_floor(case, rendered["base"], folder / "dump", runs)
    medians = {name: median(each) for name, each in runs.items()}
    return Apply(case.services, case.plane.name, case.plane.dispatch, rules, medians, latency)


def connect(path: testbed.Path, services: int) -> dict[str, list[Latency]]:
    """What connections to each target take, in each round."""
    first, last = catalogues.ends(services)
    targets = {
        "around": (testbed.AROUND, catalogues.TARGET_PORT),
        "endpoint": (catalogues.endpoint_address(0), catalogues.TARGET_PORT),
        "first": (first, catalogues.PORT),
        "last": (last, catalogues.PORT),
    }
    rounds = [map(Latency.of, path.connect(list(targets.values()), CONNECTIONS)) for _round in range(ROUNDS)]
    return dict(zip(targets, map(list, zip(*rounds))))


def measure_changes(case: Case, apply: Callable[[str], Run], runs: dict[str, list[Run]]) -> None:
    """Applies to a node in state base, and back to it."""
    runs["again"], runs["steady"] = [apply("base")], [apply("base")]
    steps = [("endpoint", "endpoint"), ("endpoint", "base"), ("added", "added"), ("removed", "base")]
    for name, state in steps * case.repeats:
        changed = apply(state)
        if not changed.lines:
            raise MeasureError(f"{name}: an apply that has to change something sent nothing")
        runs.setdefault(name, []).append(changed)
        # Each change begins where nothing changed for a while; what comes right behind a change is its own figure.
        runs["again"].append(apply(state))
        runs["steady"].append(apply(state))


def measure_floor(case: Case, rendered: pathlib.Path, dump: pathlib.Path, runs: dict[str, list[Run]]) -> int:
    """The kernel's own tools on the rules that are there now. Returns how many rules that are."""
    runs["save"], runs["restore"] = [], []
    for _repeat in range(case.repeats):
        runs["save"].append(run(case.plane.save, output_file=dump)[0])
        # In a namespace of its own, as empty as the first apply's was.
        there = ["unshare", "--net", *case.plane.restore]
        runs["restore"].append(run(there, input_file=rendered / case.plane.file)[0])
    with dump.open(encoding="utf-8") as stream:
        return case.plane.rules(stream)


# --- UDP flows that a change leaves behind


def measure_flows(arguments: argparse.Namespace, folder: pathlib.Path) -> Iterator[Flows]:
    if os.geteuid():
        raise Skipped("network namespaces need root")
    rendered = {state: folder / state for state in ("base", "gone")}
    for state, directory in rendered.items():
        manifests = directory.with_suffix(".yml")
        catalogues.write(manifests, flows.manifests(gone=state == "gone"))
        render(manifests, directory)
    for count, others in FLOWS[: 2 if arguments.quick else None]:
        yield testbed.in_a_namespace(functools.partial(measure_left_flows, count, others, rendered))


def measure_left_flows(count: int, others: int, rendered: dict[str, pathlib.Path]) -> Flows:
    """Runs in a node's namespaces."""

    def apply(state: str) -> Run:
        return sluice(NODE_PYTHON, "apply", "--dir", rendered[state])

    def change() -> Run:
        taken = apply("gone")
        apply("base")
        return taken

    flows.prepare()
    apply("base")
    if flows.room() < count + others + 1000:
        raise MeasureError(f"net.netfilter.nf_conntrack_max is {flows.room()}, too few for {count + others} flows")
    floor = median([change() for _repeat in range(3)])
    flows.send(flows.STAYING, others)
    runs = []
    for _repeat in range(3):
        before = flows.tracked()
        flows.send(flows.LEAVING, count)
        runs.append(change())
        if flows.tracked() > before + count // 2:
            raise MeasureError("the flows are still there")
    return Flows(count, others, median(runs), floor)


# --- health checks


def measure_checks(arguments: argparse.Namespace, _folder: pathlib.Path) -> Iterator[Checks]:
    if os.geteuid():
        raise Skipped("network namespaces need root")
    for case in checks.CASES:
        yield testbed.in_a_namespace(functools.partial(checks.measure, case, 10 if arguments.quick else 30))


# --- IPVS, which this machine's kernel may not have


def measure_ipvs(arguments: argparse.Namespace, folder: pathlib.Path) -> Iterator[Ipvs]:
    reason = machine.obstacle()
    if reason:
        raise Skipped(f"no virtual machine can run here: {reason}")
    for services in (size for size in arguments.services if size <= IPVS_MOST):
        node = folder / "nodes" / str(services)
        prepare(services, folder)
        for state in catalogues.STATES:
            render(folder / f"{state}.json", node / state, {"sluice_backend": "ipvs"})
    # One machine for all sizes: to boot takes as long as to measure the small ones.
    yield from testbed.in_a_namespace(functools.partial(machine.measure, folder))


# --- a whole playbook


def measure_site(arguments: argparse.Namespace, folder: pathlib.Path) -> Iterator[Site]:
    _taken, said = run([sys.executable, "lab/network.py", "status"])
    if NODE not in said.split():
        raise Skipped("the embedded lab is not up (make lab)")
    # A lab node is put back to the lab's own catalogue whatever happens.
    with contextlib.ExitStack() as stack:
        stack.callback(play, LAB_INVENTORY)
        for services in SITE_SIZES:
            inventory = folder / str(services)
            (inventory / "services").mkdir(parents=True)
            shutil.copy(LAB_INVENTORY / "hosts.yml", inventory)
            shutil.copytree(LAB_INVENTORY / "group_vars", inventory / "group_vars")
            catalogues.write(inventory / "services" / "services.yml", catalogues.manifests(services))
            play(inventory)
            site = [play(inventory) for _repeat in range(1 if arguments.quick else 3)]
            ping = [ansible("ansible", inventory, "-m", "ansible.builtin.ping", NODE) for _repeat in site]
            yield Site(services, median(site), median(ping))


def play(inventory: pathlib.Path) -> Run:
    return ansible("ansible-playbook", inventory, "--limit", NODE, "site.yml")


def ansible(command: str, inventory: pathlib.Path, *arguments: str) -> Run:
    import network  # of lab/, which testbed has put on the path

    words = [str(BIN / command), "-i", str(inventory / "hosts.yml"), *arguments]
    # Another inventory, the same hosts: those of this checkout's lab.
    return run(words, environment={"LC_ALL": "C.UTF-8", "SLUICE_LAB_STATE": str(network.STATE)})[0]


PARTS: dict[str, Callable[[argparse.Namespace, pathlib.Path], Iterator[Row]]] = {
    "render": measure_render,
    "apply": measure_apply,
    "flows": measure_flows,
    "checks": measure_checks,
    "ipvs": measure_ipvs,
    "ansible": measure_site,
}


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description="Measure Sluice beside the floor of the same job.")
    found.add_argument("--services", type=int, nargs="+", metavar="N", help=f"sizes, default: {SIZES}")
    found.add_argument("--quick", action="store_true", help=f"sizes {QUICK}, and fewer repetitions")
    found.add_argument("--only", nargs="+", choices=results.PARTS, default=results.PARTS, help="parts to measure")
    found.add_argument("--write", action="store_true", help="write docs/benchmarks.md and its plots anew")
    return found


if __name__ == "__main__":
    sys.exit(main(parser().parse_args()))
