"""The ``sluice`` command, the engine without Ansible: arguments in, exit code out. ``commands`` has what it does."""

from __future__ import annotations

import argparse
import gc
import io
import os
import sys
from collections.abc import Sequence
from typing import Callable

from . import __version__
from .backends.registry import BACKENDS
from .commands import catalogues, listings, node_changes, node_reports, output, rule_sets
from .faults import InputError, printable
from .manual import usage
from .node import files
from .system.tools import NodeError

SHORTEST, USUAL, LONGEST = 0.1, 2.0, 3600.0
"""Seconds between two looks of ``sluice top``. IPVS adds up every two what each processor has counted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with ``argv`` (default: the process's) and return its exit code."""
    # One short run builds large trees and frees none of them: looking for garbage would take half of its time.
    gc.disable()
    if isinstance(sys.stdout, io.TextIOWrapper):  # which takes every character then, as stderr does
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = _arguments(argv)
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
        return code
    except InputError as error:
        output.print_faults(error.faults)
        return output.NO
    except NodeError as error:
        output.complain(f"sluice: {error}")
        return output.FAILED
    except OSError as error:
        needs_root = ": needs root" if isinstance(error, PermissionError) and os.geteuid() else ""
        output.complain(f"{error.filename or 'sluice'}: {error.strerror or error}{needs_root}")
        return output.FAILED
    except MemoryError:
        output.complain("sluice: there is not enough memory for this")
        return output.FAILED


def documents() -> dict[str, str]:
    """The manual page, and what bash and zsh complete, by their places below a folder ``share``."""
    from .manual import completion, page

    parser = _parser()
    return {
        "man/man1/sluice.1": page.page(parser),
        "bash-completion/completions/sluice.bash": completion.bash(parser),
        "zsh/site-functions/_sluice": completion.zsh(parser),
    }


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    # argparse takes "no manifests" as read once an option follows the kind of what to get.
    if rest and (getattr(arguments, "manifests", None) != [] or any(each.startswith("-") for each in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.manifests = rest
    return arguments


def _parser() -> argparse.ArgumentParser:
    lines_kept = argparse.RawDescriptionHelpFormatter
    description = "Services for plain Linux hosts: kube-proxy's rules."
    parser = argparse.ArgumentParser(
        prog="sluice", description=description, epilog=usage.epilog(""), formatter_class=lines_kept
    )
    parser.add_argument("--version", action="version", version=f"sluice {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, epilog=usage.epilog(name), formatter_class=lines_kept)
        added.set_defaults(run=run)
        return added

    def with_manifests(
        added: argparse.ArgumentParser,
        *,
        needs_settings: bool = False,
        needs_allocations: bool = False,
        needs_manifests: bool = True,
    ) -> None:
        settings_help = "sluice_* variables, YAML or JSON"
        added.add_argument("--settings", required=needs_settings, metavar="FILE", help=settings_help)
        allocations_help = "what Services were given (allocations.yml); without it, it is chosen by hash"
        added.add_argument("--allocations", required=needs_allocations, metavar="FILE", help=allocations_help)
        manifests_help = "a file or folder of manifests, or a compiled catalogue"
        added.add_argument("manifests", nargs="+" if needs_manifests else "*", metavar="MANIFEST", help=manifests_help)

    def with_inventory(added: argparse.ArgumentParser, summary: str) -> None:
        added.add_argument("-i", "--inventory", metavar="PATH", help=summary)

    def with_folder(added: argparse.ArgumentParser) -> None:
        added.add_argument("--dir", default=files.DIRECTORY, metavar="DIR", help="default: %(default)s")

    def with_force(added: argparse.ArgumentParser) -> None:
        force_help = "take the files as they are, also where they were edited by hand"
        added.add_argument("--force", action="store_true", help=force_help)

    def with_json(added: argparse._ActionsContainer) -> None:
        added.add_argument("--json", action="store_true", help="print the result as JSON")

    def with_check(added: argparse.ArgumentParser) -> None:
        added.add_argument("--check", action="store_true", help="change nothing, say what would change")

    render = command("render", catalogues.render, "write the files of one node from manifests")
    with_manifests(render, needs_settings=True)
    render.add_argument("--backend", choices=BACKENDS, help="instead of sluice_backend")
    render.add_argument("--out", required=True, metavar="DIR", help="where the files go")

    validate = command("validate", catalogues.validate, "say what is wrong with manifests")
    validate.add_argument("--strict", action="store_true", help="take what would be a warning for a fault")
    with_inventory(validate, "an inventory of Ansible, without MANIFEST: what a run would say, and no node is asked")
    with_manifests(validate, needs_manifests=False)

    allocate = command(
        "allocate", catalogues.allocate, "give Services the addresses and ports that their manifests do not declare"
    )
    with_manifests(allocate, needs_allocations=True)
    with_check(allocate)

    get = command("get", listings.get, "print what a catalogue holds, as kubectl get does")
    get.add_argument("kind", metavar="KIND", help="services (svc), endpoints (ep) or nodes (no)")
    get.add_argument("-n", "--namespace", default="default", metavar="NAMESPACE", help="default: %(default)s")
    get.add_argument("-A", "--all-namespaces", action="store_true", help="those of all namespaces")
    selector_help = "those whose labels it takes, such as app=web,tier!=db"
    get.add_argument("-l", "--selector", default="", metavar="SELECTOR", help=selector_help)
    get.add_argument("-o", "--output", choices=("wide", "yaml", "json", "name"), help="instead of a table")
    get.add_argument("--no-headers", action="store_true", help="a table without its first line")
    with_inventory(get, "an inventory of Ansible, without MANIFEST; with neither, what this node was given (--dir)")
    with_manifests(get, needs_manifests=False)
    with_folder(get)

    apply = command("apply", node_changes.apply, "bring this node's kernel to what a folder of files says")
    with_check(apply)
    apply.add_argument("--diff", action="store_true", help="show what changes by Service, then chain by chain")
    exit_code_help = "exit with 1 where something changes, as git diff does; with --check: where it would"
    apply.add_argument("--exit-code", action="store_true", help=exit_code_help)
    with_json(apply)
    apply.add_argument("--backend", choices=BACKENDS, help="instead of the one in settings.json")
    confirm_help = "take the change back unless it is confirmed by then"
    apply.add_argument("--confirm", type=int, default=0, metavar="SECONDS", help=confirm_help)
    boot_help = "take a change back that waited when the node went down"
    apply.add_argument("--boot", action="store_true", help=boot_help)
    repair_help = "as the node's own timer does: say nothing where there is nothing to repair"
    apply.add_argument("--repair", action="store_true", help=repair_help)
    with_folder(apply)
    with_force(apply)

    remove = command("remove", node_changes.remove, "take Sluice's rules out of this node's kernel, and their files")
    with_check(remove)
    with_folder(remove)

    command("confirm", node_changes.confirm, "keep the change that waits for it")
    drain = command("drain", node_changes.drain, "send no new connections to endpoints; established ones go on")
    drain_help = "an endpoint's address; without one, what was kept for connections that have ended is removed"
    drain.add_argument("addresses", nargs="*", metavar="ADDRESS", help=drain_help)
    undrain = command("undrain", node_changes.undrain, "have drained endpoints serve again, as the catalogue says")
    undrain.add_argument("addresses", nargs="*", metavar="ADDRESS", help="an endpoint's address")
    drain.add_argument("--node", action="store_true", help="tell routers to send nothing here; the rules stay")
    undrain.add_argument("--node", action="store_true", help="tell routers that this node serves again")
    for each in (drain, undrain):
        with_check(each)

    status = command(
        "status", node_reports.status, "say what this node is: backend, generation, Services, drift, the last error"
    )
    with_folder(status)
    form = status.add_mutually_exclusive_group()
    with_json(form)
    metrics_help = "print numbers as Prometheus reads them"
    form.add_argument("--metrics", action="store_true", help=metrics_help)
    out_help = "with --metrics: into this file, which changes all at once, for node_exporter"
    status.add_argument("--out", default="", metavar="FILE", help=out_help)

    top = command(
        "top", node_reports.top, "show what goes to Services and endpoints: connections per second, packets, bytes"
    )
    once_help = "print it once, as where there is no terminal, and end"
    top.add_argument("--once", action="store_true", help=once_help)
    with_json(top)
    interval_help = "between two looks at what the kernel counts (default: %(default)s)"
    top.add_argument("--interval", type=_interval, default=USUAL, metavar="SECONDS", help=interval_help)
    with_folder(top)

    health = command("health", node_reports.health, "say which endpoints answer, as this node's checks find")
    part = health.add_mutually_exclusive_group()
    with_json(part)
    part.add_argument("--metrics", action="store_true", help=metrics_help)
    part.add_argument("--supervise", action="store_true", help="be the process that keeps the kernel to it, as root")
    check_help = "be the process that asks the endpoints, for the supervisor; needs no privileges"
    part.add_argument("--check", action="store_true", help=check_help)

    with_json(command("history", node_reports.history, "list the generations that are kept, and what each changed"))

    rollback = command("rollback", node_changes.roll_back, "put back the rules that were in force before")
    to_help = "this generation (sluice history), instead of the one before the one in force"
    rollback.add_argument("--to", type=int, metavar="GENERATION", help=to_help)
    unconfirmed_help = "only a change that waits for its confirmation (its name is in /var/lib/sluice/pending)"
    rollback.add_argument("--unconfirmed", nargs="?", const="", metavar="CHANGE", help=unconfirmed_help)
    with_check(rollback)
    with_folder(rollback)

    def with_dumps(added: argparse.ArgumentParser) -> None:
        dumped = added.add_mutually_exclusive_group()
        dump_help = "what iptables-save, ip6tables-save, ipset save, ipvsadm -Sn, ip address, nft list ruleset printed"
        dumped.add_argument("--dump", nargs="+", metavar="FILE", help=dump_help)
        dumped.add_argument("--dir", metavar="DIR", help="a folder of rendered files")
        dumped.add_argument("--live", action="store_true", help="what this node's kernel holds; the default")
        own_help = "an address of the node that dumps do not tell"
        added.add_argument("--node-address", action="append", default=[], metavar="ADDRESS", help=own_help)

    trace = command("trace", rule_sets.trace, "say which way a packet takes through a node's rules, and why")
    to_help = "ADDRESS:PORT[/PROTOCOL], or NAMESPACE/NAME[:PORT] for all addresses of a Service"
    trace.add_argument("--to", required=True, metavar="PLACE", help=to_help)
    from_help = "the client's address: the node's own, an endpoint's, another one; default: one that no rule names"
    trace.add_argument("--from", dest="source", default="", metavar="ADDRESS", help=from_help)
    with_dumps(trace)
    ask_help = "also ask each endpoint for a TCP connection from this node: who is dead"
    trace.add_argument("--ask", action="store_true", help=ask_help)
    form = trace.add_mutually_exclusive_group()
    with_json(form)
    mermaid_help = "print a flowchart for a page of GitHub or GitLab, in Mermaid's language"
    form.add_argument("--mermaid", action="store_true", help=mermaid_help)
    form.add_argument("--svg", action="store_true", help="print a picture, for light and dark pages")

    explain = command(
        "explain", rule_sets.explain, "say which Services are in a node's rules, how many rules, and what is odd"
    )
    with_dumps(explain)
    with_json(explain)

    imported = command(
        "import", rule_sets.import_dumps, "write manifests and settings from dumps of a node that kube-proxy configured"
    )
    dump_help = "what iptables-save, ip6tables-save, ipset save, ipvsadm -Sn and ip address printed there"
    imported.add_argument("--dump", nargs="+", required=True, metavar="FILE", help=dump_help)
    imported.set_defaults(dir="", node_address=[])
    imported.add_argument("--out", required=True, metavar="DIR", help="where services.yml and settings.yml go")
    node_help = "what the node is called (sluice_node_name), default: this host's name"
    imported.add_argument("--node-name", default="", metavar="NAME", help=node_help)

    diff = command(
        "diff", node_changes.diff, "say how this node's kernel differs from files: + is missing, - should not be there"
    )
    with_folder(diff)
    with_force(diff)
    return parser


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not SHORTEST <= seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"must be from {SHORTEST} to {LONGEST} seconds, is {printable(text)}")
    return seconds
