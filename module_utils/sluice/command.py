"""The ``sluice`` command: the engine without Ansible."""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Callable

from . import __version__, addresses
from .backends.registry import BACKENDS
from .faults import Fault, InputError, printable
from .manual import usage
from .node import apply, confirmation, files, origin, settling
from .system import owned_files
from .system.tools import NodeError

if TYPE_CHECKING:
    from .catalogue import listing
    from .catalogue.allocations_file import Allocations
    from .catalogue.build import Built
    from .catalogue.model import Catalogue
    from .node.result import Result
    from .observe.snapshot import Snapshot
    from .settings import Settings

# What reads manifests, renders or looks back is imported where it is used: an apply does neither, and starts faster.

_OF_AN_INVENTORY = ("hosts.yml", "hosts.yaml", "hosts.ini", "group_vars", "host_vars")

SHORTEST, LONGEST = 0.1, 3600.0
"""Seconds between two looks of ``sluice top``."""

_PATIENCE = 2.0
"""Seconds in which an endpoint that is asked has to answer."""

FINE, NO, FAILED = 0, 1, 2
"""Exit codes: fine; the answer is no (invalid, differs, dropped); it could not be asked or done."""


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
        _print_faults(error.faults)
        return NO
    except NodeError as error:
        _complain(f"sluice: {error}")
        return FAILED
    except OSError as error:
        needs_root = ": needs root" if isinstance(error, PermissionError) and os.geteuid() else ""
        _complain(f"{error.filename or 'sluice'}: {error.strerror or error}{needs_root}")
        return FAILED
    except MemoryError:
        _complain("sluice: there is not enough memory for this")
        return FAILED


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

    render = command("render", _render, "write the files of one node from manifests")
    with_manifests(render, needs_settings=True)
    render.add_argument("--backend", choices=BACKENDS, help="instead of sluice_backend")
    render.add_argument("--out", required=True, metavar="DIR", help="where the files go")

    validate = command("validate", _validate, "say what is wrong with manifests")
    validate.add_argument("--strict", action="store_true", help="take what would be a warning for a fault")
    with_inventory(validate, "an inventory of Ansible, without MANIFEST: what a run would say, and no node is asked")
    with_manifests(validate, needs_manifests=False)

    allocate = command(
        "allocate", _allocate, "give Services the addresses and ports that their manifests do not declare"
    )
    with_manifests(allocate, needs_allocations=True)
    with_check(allocate)

    get = command("get", _get, "print what a catalogue holds, as kubectl get does")
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

    apply = command("apply", _apply, "bring this node's kernel to what a folder of files says")
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

    command("confirm", _confirm, "keep the change that waits for it")
    drain = command("drain", _drain, "send no new connections to endpoints; established ones go on")
    drain_help = "an endpoint's address; without one, what was kept for connections that have ended is removed"
    drain.add_argument("addresses", nargs="*", metavar="ADDRESS", help=drain_help)
    undrain = command("undrain", _undrain, "have drained endpoints serve again, as the catalogue says")
    undrain.add_argument("addresses", nargs="*", metavar="ADDRESS", help="an endpoint's address")
    drain.add_argument("--node", action="store_true", help="tell routers to send nothing here; the rules stay")
    undrain.add_argument("--node", action="store_true", help="tell routers that this node serves again")
    for each in (drain, undrain):
        with_check(each)

    status = command("status", _status, "say what this node is: backend, generation, Services, drift, the last error")
    with_folder(status)
    form = status.add_mutually_exclusive_group()
    with_json(form)
    metrics_help = "print numbers as Prometheus reads them"
    form.add_argument("--metrics", action="store_true", help=metrics_help)
    out_help = "with --metrics: into this file, which changes all at once, for node_exporter"
    status.add_argument("--out", default="", metavar="FILE", help=out_help)

    top = command("top", _top, "show what goes to Services and endpoints: connections per second, packets, bytes")
    once_help = "print it once, as where there is no terminal, and end"
    top.add_argument("--once", action="store_true", help=once_help)
    with_json(top)
    interval_help = "between two looks at what the kernel counts (default: %(default)s)"
    top.add_argument("--interval", type=_interval, default=1.0, metavar="SECONDS", help=interval_help)
    with_folder(top)

    health = command("health", _health, "say which endpoints answer, as this node's checks find")
    part = health.add_mutually_exclusive_group()
    with_json(part)
    part.add_argument("--metrics", action="store_true", help=metrics_help)
    part.add_argument("--supervise", action="store_true", help="be the process that keeps the kernel to it, as root")
    check_help = "be the process that asks the endpoints, for the supervisor; needs no privileges"
    part.add_argument("--check", action="store_true", help=check_help)

    with_json(command("history", _history, "list the generations that are kept, and what each changed"))

    rollback = command("rollback", _roll_back, "put back the rules that were in force before")
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

    trace = command("trace", _trace, "say which way a packet takes through a node's rules, and why")
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

    explain = command("explain", _explain, "say which Services are in a node's rules, how many rules, and what is odd")
    with_dumps(explain)
    with_json(explain)

    imported = command(
        "import", _import, "write manifests and settings from dumps of a node that kube-proxy configured"
    )
    dump_help = "what iptables-save, ip6tables-save, ipset save, ipvsadm -Sn and ip address printed there"
    imported.add_argument("--dump", nargs="+", required=True, metavar="FILE", help=dump_help)
    imported.set_defaults(dir="", node_address=[])
    imported.add_argument("--out", required=True, metavar="DIR", help="where services.yml and settings.yml go")
    node_help = "what the node is called (sluice_node_name), default: this host's name"
    imported.add_argument("--node-name", default="", metavar="NAME", help=node_help)

    diff = command("diff", _diff, "say how this node's kernel differs from files: + is missing, - should not be there")
    with_folder(diff)
    with_force(diff)
    return parser


def _render(arguments: argparse.Namespace) -> int:
    from . import render
    from .catalogue import compiled

    catalogue, settings = _catalogue(arguments, {"sluice_backend": arguments.backend} if arguments.backend else {})
    _put(arguments.out, render.render(render.views(catalogue, settings), settings, compiled.text(catalogue)))
    return FINE


def _put(folder: str, texts: Mapping[str, str]) -> None:
    """Writes files into a folder that somebody has named."""
    # A link in the folder is replaced. The folder may be one as well, unless another user made it: it may lead to
    # files that are root's.
    if os.path.islink(folder) and os.lstat(folder).st_uid not in (0, os.geteuid()):
        raise NodeError(f"{folder}: is a link that another user has made")
    owned_files.write({os.path.join(folder, name): text for name, text in texts.items()}, sync=False)


def _validate(arguments: argparse.Namespace) -> int:
    for path in arguments.manifests:
        if any(os.path.exists(os.path.join(path, name)) for name in _OF_AN_INVENTORY):
            raise NodeError(f"{printable(path)}: is an inventory, not a folder of manifests: -i {printable(path)}")
    if arguments.manifests:
        _catalogue(arguments, {})
    elif arguments.inventory:
        _of_inventory(arguments.inventory, strict=arguments.strict)
    else:
        raise NodeError("validate: name manifests, or an inventory (--inventory)")
    return FINE


def _of_inventory(path: str, *, strict: bool = False) -> Catalogue:
    from . import inventory

    found, warnings = inventory.compiled(path, strict=strict)
    _print_faults(warnings)
    return found


def _allocate(arguments: argparse.Namespace) -> int:
    built, _settings, before = _built(arguments, {})
    differs = built.allocated.differs(before)
    lines, kept = built.allocated.text.splitlines(), before.text.splitlines()
    removed, added = sorted(set(kept) - set(lines)), sorted(set(lines) - set(kept))
    for line in sorted(removed + added, key=lambda line: (line.partition(":")[0], line in added)):
        if differs and not line.startswith("#"):
            _say(f"{'+' if line in added else '-'} {line}")
    if differs and not arguments.check:
        owned_files.write({os.path.realpath(arguments.allocations): built.allocated.text})
    _say(f"changed={int(differs)}")
    return FINE


def _get(arguments: argparse.Namespace) -> int:
    from .catalogue import listing, selectors, yaml_text

    try:
        selector = selectors.parse(arguments.selector)
    except ValueError as error:
        raise NodeError(f"--selector: {error}") from None
    kind = listing.KINDS.get(arguments.kind)
    if not kind:
        raise NodeError(f"get knows services, endpoints and nodes, not {printable(arguments.kind)}")
    namespace = "" if arguments.all_namespaces or not kind.namespaced else arguments.namespace or "default"
    found = listing.select(_asked_catalogue(arguments), kind, namespace, selector)
    if arguments.output == "name":
        _write(listing.names(kind, found))
    elif arguments.output == "json":
        _say(json.dumps(listing.as_list(kind, found), indent=4, sort_keys=True))
    elif arguments.output == "yaml":
        _write(yaml_text.text(listing.as_list(kind, found)))
    elif found:
        wide = arguments.output == "wide"
        counted = _connections() if wide and kind is listing.SERVICES and _is_about_this_node(arguments) else {}
        more = [listing.connections(counted)] if counted else []
        if kind is listing.ENDPOINTS and _is_about_this_node(arguments):
            more += _out()
        options = {"namespaces": not namespace, "headers": not arguments.no_headers}
        _write(listing.table(kind, found, time.time(), wide=wide, more=more, **options))
    else:
        _complain(f"No resources found in {printable(namespace)} namespace." if namespace else "No resources found")
    return FINE


def _connections() -> dict[tuple[str, str, int], int]:
    """What this node's kernel counts, as far as it can be read."""
    from .node import traffic

    with contextlib.suppress(NodeError):
        return {entry: count.connections for found in traffic.read() for entry, count in found.entries.items()}
    return {}


def _out() -> list[listing.Column]:
    """The column that says what is out on this node, where anything is."""
    from .catalogue import listing
    from .node import outage, state, verdicts

    known = verdicts.kept_down() if state.last().files and files.setting(state.last().files, "health") else {}
    down = {check[:2]: verdict.since for check, verdict in known.items()}
    drained = outage.current().drained
    return [listing.out(drained, down, time.time())] if down or drained else []


def _is_about_this_node(arguments: argparse.Namespace) -> bool:
    return not (arguments.manifests or arguments.inventory)


def _asked_catalogue(arguments: argparse.Namespace) -> Catalogue:
    """That of the manifests, else of the inventory, else what this node was given."""
    from .catalogue import sources

    for path in arguments.manifests:
        if not (os.path.lexists(path) or "/" in path or "." in path):
            hint = "get takes no names, --selector chooses by labels"
            raise NodeError(f"{printable(path)}: no such manifest: {hint}")
    if arguments.manifests:
        return _catalogue(arguments, {}, to_program=False)[0]
    if arguments.inventory:
        return _of_inventory(arguments.inventory)
    path = os.path.join(arguments.dir, files.CATALOGUE_FILE)
    if not os.path.lexists(path):
        raise NodeError(f"there is no {path}: name manifests, or an inventory (--inventory)")
    return sources.compiled(path)


def _apply(arguments: argparse.Namespace) -> int:
    if arguments.boot:
        result = apply.boot(arguments.dir)
    else:
        result = apply.apply(
            lambda: files.load(arguments.dir, arguments.backend, force=arguments.force),
            check=arguments.check,
            confirm=arguments.confirm,
            origin=origin.Origin(origin.REPAIR) if arguments.repair else origin.of_command(),
        )
    if arguments.repair and not result.changed:
        return FINE
    _warn(result.warnings)
    if arguments.json:
        shown = {"changed": result.changed, **result.details, **result.counts(), "diff": result.diff()}
        _say(json.dumps({**shown, "services": result.services()}))
    else:
        if arguments.diff:
            _say_difference(result)
        _say(result.summary())
    return NO if arguments.exit_code and result.changed else FINE


def _confirm(_arguments: argparse.Namespace) -> int:
    _say("confirmed" if confirmation.confirm(origin.of_command()) else "nothing waits for a confirmation")
    return FINE


def _drain(arguments: argparse.Namespace) -> int:
    if arguments.node:
        return _drain_node(arguments, drained=True)
    if arguments.addresses:
        from .node import drain

        return _say_drain(drain.drain(_endpoints(arguments), check=arguments.check, origin=origin.of_command()))
    if arguments.check:
        raise NodeError("drain --check: name addresses, or --node")
    warnings: list[str] = []
    left = settling.run(warnings)
    _warn(warnings)
    _say("connections are left" if left else "nothing is left to drain")
    return FINE


def _drain_node(arguments: argparse.Namespace, *, drained: bool) -> int:
    from .node import drain

    if arguments.addresses:
        raise NodeError("--node goes with no address")
    changed = drain.node(drained=drained, check=arguments.check, origin=origin.of_command())
    _say(f"changed={int(changed)}")
    return FINE


def _undrain(arguments: argparse.Namespace) -> int:
    from .node import drain

    if arguments.node:
        return _drain_node(arguments, drained=False)
    if not arguments.addresses:
        raise NodeError("undrain: name addresses, or --node")

    return _say_drain(drain.undrain(_endpoints(arguments), check=arguments.check, origin=origin.of_command()))


def _endpoints(arguments: argparse.Namespace) -> list[str]:
    found = {text: addresses.address(text) for text in arguments.addresses}
    wrong = [printable(text) for text, address in found.items() if not address]
    if wrong:
        raise NodeError(f"not an IP address: {', '.join(wrong)}")
    return list(found.values())


def _say_drain(result: Result) -> int:
    _warn(result.warnings)
    for line in result.reasons():
        _say(line)
    _say(result.summary())
    return FINE


def _roll_back(arguments: argparse.Namespace) -> int:
    by = origin.of_command()
    if arguments.unconfirmed is None:
        from .node import rollback

        result = rollback.roll_back(arguments.dir, to=arguments.to, check=arguments.check, origin=by)
    else:
        change = arguments.unconfirmed
        result = confirmation.take_back(arguments.dir, change=change, check=arguments.check, origin=by)
    _warn(result.warnings)
    if result.headline:
        _say(result.headline)
    _say(result.summary())
    return FINE


def _status(arguments: argparse.Namespace) -> int:
    from .node import exported, status

    if arguments.out and not arguments.metrics:
        raise NodeError("status --out: goes with --metrics")
    found = status.status(arguments.dir)
    if arguments.out:
        owned_files.write({os.path.abspath(arguments.out): exported.text(found, arguments.dir)}, sync=False)
        return FINE
    if arguments.json:
        _say(json.dumps(found.fields()))
    elif arguments.metrics:
        _write(exported.text(found, arguments.dir))
    else:
        _say("\n".join(found.lines()))
    if not found.well:
        return NO
    return FINE if found.asked else FAILED


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not SHORTEST <= seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"must be from {SHORTEST} to {LONGEST} seconds, is {printable(text)}")
    return seconds


def _top(arguments: argparse.Namespace) -> int:
    from .node import top

    gc.enable()
    if not (arguments.once or arguments.json) and top.is_terminal():
        top.watch(arguments.dir, arguments.interval)
        return FINE
    found = top.once(arguments.dir, arguments.interval)
    _write(json.dumps(found.fields()) + "\n" if arguments.json else "".join(f"{line}\n" for line in found.lines()))
    return FINE


def _health(arguments: argparse.Namespace) -> int:
    gc.enable()
    if arguments.check:
        from .health import checker
        from .node import supervisor

        return checker.main(supervisor.SOCKET)
    if arguments.supervise:
        from .node import health_loop

        return health_loop.main()
    if arguments.metrics:
        from .node import published

        _write(published.read())
        return FINE
    from .node import health_report

    found = health_report.report()
    if arguments.json:
        _say(json.dumps(found.fields()))
    else:
        _write(health_report.shown(found))
    return NO if found.summary.down else FINE


def _history(arguments: argparse.Namespace) -> int:
    from .node import history

    found = history.entries()
    if arguments.json:
        _say(json.dumps([each.fields() for each in found]))
    elif found:
        _write(history.table(found))
    else:
        _complain("No generations are kept")
    return FINE


def _trace(arguments: argparse.Namespace) -> int:
    from .observe import notes, outcomes, trace, trace_text
    from .system import connecting

    if arguments.ask and (arguments.dump or arguments.dir):
        raise NodeError("trace --ask: asks from this node, and does not go with --dump or --dir")
    held = _snapshot(arguments)
    if held is None:
        return FAILED
    with _sound(trace.QuestionError):
        found = trace.traced(held, arguments.to, arguments.source)
        refusals = (lambda places: connecting.refusals(places, _PATIENCE)) if arguments.ask else None
        found = notes.noted(held, found, refusals)
    if arguments.json:
        told = [each.fields() for each in found]
        _say(json.dumps(told[0] if trace.is_place(arguments.to) else told))
    elif arguments.mermaid:
        from .observe import trace_mermaid

        _write(trace_mermaid.text(found))
    elif arguments.svg:
        from .observe import trace_svg

        _write(trace_svg.text(found))
    else:
        _write(trace_text.text(found, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    lost = (outcomes.REJECT, outcomes.DROP)
    return NO if any(outcome.verdict in lost for each in found for outcome in each.outcomes) else FINE


def _snapshot(arguments: argparse.Namespace) -> Snapshot | None:
    """What the dumps hold that are asked for; None where they are none: exit code 1 says something else here."""
    from .observe import dumps, live

    try:
        if arguments.dump:
            return dumps.of_files(arguments.dump, arguments.node_address)
        if arguments.dir:
            return dumps.of_folder(arguments.dir, arguments.node_address)
        return live.dump(arguments.node_address)
    except InputError as error:
        _print_faults(error.faults)
        return None


@contextlib.contextmanager
def _sound(*told: type[Exception]) -> Iterator[None]:
    """Raises NodeError for errors that are ``told`` as they are, and for rules that no kernel can have had: a dump that
    was edited, or cut."""
    from .observe.nft_values import DAMAGED

    try:
        yield
    except told as error:
        raise NodeError(printable(str(error))) from None
    except DAMAGED as error:
        raise NodeError(f"what was dumped is damaged: {printable(str(error))}") from None


def _explain(arguments: argparse.Namespace) -> int:
    from .node import outage
    from .observe import explain, explain_text

    held = _snapshot(arguments)
    if held is None:
        return FAILED
    if not (arguments.dump or arguments.dir):
        asked = outage.current().down
        down = (addresses.host_port(address, port) if port else address for address, port, _question in asked)
        held = held._replace(dead=held.dead.union(down))
    with _sound():
        found = explain.explain(held)
    if arguments.json:
        _say(json.dumps(found.fields()))
    else:
        _write(explain_text.text(found))
    return FINE if found.is_well else NO


def _import(arguments: argparse.Namespace) -> int:
    from .observe import recover, recovered

    held = _snapshot(arguments)
    if held is None:
        return FAILED
    with _sound(recovered.RecoverError):
        found = recover.recover(held, arguments.node_name or os.uname().nodename.lower())
    _put(arguments.out, found.files)
    _warn(found.warnings)
    return FINE


def _diff(arguments: argparse.Namespace) -> int:
    result = apply.apply(lambda: files.load(arguments.dir, force=arguments.force), check=True)
    _warn(result.warnings)
    _say_difference(result)
    return NO if result.changed else FINE


def _say_difference(result: Result) -> None:
    """Why the kernel differs, then how."""
    for line in (*result.reasons(), *result.diff()) if result.changed else ():
        _say(line)


def _catalogue(
    arguments: argparse.Namespace, override: dict[str, str], *, to_program: bool = True
) -> tuple[Catalogue, Settings]:
    """The catalogue and settings that the arguments name. Faults of both are raised together.

    ``to_program``: one that would program nothing gets a warning.
    """
    built, settings, before = _built(arguments, override, to_program=to_program)
    if before.name and built.allocated.new:
        reason = "does not have all of them yet, `sluice allocate` writes it" if before.text else "is not there yet"
        _complain(built.allocated.unwritten(before.name, reason))
    return built.catalogue, settings


def _built(
    arguments: argparse.Namespace, override: dict[str, str], *, to_program: bool = True
) -> tuple[Built, Settings, Allocations]:
    """The same, with what its Services were given now and before."""
    from . import render
    from . import settings as settings_module
    from .catalogue import manifests, sources
    from .catalogue.allocations_file import NOTHING_GIVEN

    faults: list[Fault] = []
    settings, hosts = settings_module.Settings(), ()
    if arguments.settings:
        try:
            variables = {**manifests.load_variables(arguments.settings), **override}
            hosts = variables.get("sluice_endpoint_hosts") or ()
            settings, warnings = settings_module.from_variables(variables, arguments.settings, backends=BACKENDS)
            _print_faults(warnings)
        except InputError as error:
            faults = error.faults
    strict = settings.strict or getattr(arguments, "strict", False)
    before = NOTHING_GIVEN
    try:
        before = sources.allocations(arguments.allocations) if arguments.allocations else NOTHING_GIVEN
    except InputError as error:
        faults += error.faults
    try:
        ready = sources.compiled_in(arguments.manifests[0]) if len(arguments.manifests) == 1 else None
        if ready is not None:
            built = sources.ready(ready)
        else:
            checks = render.checks_for([settings] if arguments.settings else [])
            built = sources.built(sources.read(arguments.manifests), hosts, checks._replace(strict=strict), before)
    except InputError as error:
        raise InputError(faults + error.faults) from None
    warnings = built.faults
    if to_program:
        warnings = warnings + sources.emptiness(built.catalogue, arguments.manifests, strict=strict)
    _print_faults(warnings)
    if faults:
        raise InputError(faults)
    return built, settings, before


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        _complain(f"warning: {warning}")


def _print_faults(faults: Sequence[Fault]) -> None:
    for fault in faults:
        _complain(fault)


def _say(line: object) -> None:
    _write(f"{line}\n")


def _write(text: str) -> None:
    sys.stdout.write(text)


def _complain(line: object) -> None:
    sys.stderr.write(f"{line}\n")
