"""The ``sluice`` command: the engine without Ansible."""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from collections.abc import Sequence

from . import __version__, apply, drain, files
from . import settings as node_settings
from .catalogue import Catalogue
from .faults import Fault, InputError
from .iptables_kernel import KernelError
from .settings import Settings

FINE, NO, FAILED = 0, 1, 2
"""Exit codes: fine; the answer is no (invalid, differs, dropped); it could not be asked or done."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with ``argv`` (default: the process's) and return its exit code."""
    # One short run builds large trees and frees none of them: looking for garbage would take half of its time.
    gc.disable()
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except InputError as error:
        _print_faults(error.faults)
        return NO
    except KernelError as error:
        _complain(f"sluice: {error}")
        return FAILED
    except OSError as error:
        _complain(f"{error.filename or 'sluice'}: {error.strerror or error}")
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sluice", description="Services for plain Linux hosts: kube-proxy's rules.")
    parser.add_argument("--version", action="version", version=f"sluice {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    render = commands.add_parser("render", help="write the files of one node from manifests")
    render.add_argument("--settings", required=True, metavar="FILE", help="sluice_* variables, YAML or JSON")
    render.add_argument("--backend", choices=node_settings.BACKENDS, help="instead of sluice_backend")
    render.add_argument("--out", required=True, metavar="DIR", help="where the files go")
    render.set_defaults(run=_render)

    validate = commands.add_parser("validate", help="say what is wrong with manifests")
    validate.add_argument("--settings", metavar="FILE", help="sluice_* variables, YAML or JSON")
    validate.set_defaults(run=_validate)

    for command in (render, validate):
        command.add_argument(
            "manifests", nargs="+", metavar="MANIFEST", help="a file or folder of manifests, or a compiled catalogue"
        )

    applying = commands.add_parser("apply", help="bring this node's kernel to what a folder of files says")
    applying.add_argument("--check", action="store_true", help="change nothing, say what would change")
    applying.add_argument("--diff", action="store_true", help="show each chain's rules that go and come")
    applying.add_argument("--json", action="store_true", help="print the result as JSON")
    applying.add_argument("--backend", choices=node_settings.BACKENDS, help="instead of the one in settings.json")
    applying.set_defaults(run=_apply)

    applying.add_argument(
        "--confirm", type=int, default=0, metavar="SECONDS", help="take the change back unless it is confirmed by then"
    )

    applying.add_argument("--boot", action="store_true", help="take a change back that waited when the node went down")

    confirming = commands.add_parser("confirm", help="keep the change that waits for it")
    confirming.set_defaults(run=_confirm)

    draining = commands.add_parser("drain", help="remove real servers that go and whose connections have ended")
    draining.set_defaults(run=_drain)

    rolling_back = commands.add_parser("rollback", help="put back the rules that were in force before")
    rolling_back.add_argument(
        "--unconfirmed",
        nargs="?",
        const="",
        metavar="CHANGE",
        help="only a change that waits for its confirmation (its name is in /var/lib/sluice/pending)",
    )
    rolling_back.add_argument("--check", action="store_true", help="change nothing, say what would change")
    rolling_back.set_defaults(run=_roll_back)

    differing = commands.add_parser("diff", help="say how this node's kernel differs from a folder of files")
    differing.set_defaults(run=_diff)

    for command in (applying, rolling_back, differing):
        command.add_argument("--dir", default=files.DIRECTORY, metavar="DIR", help="default: %(default)s")
    return parser


def _render(arguments: argparse.Namespace) -> int:
    catalogue, settings = _catalogue(arguments, {"sluice_backend": arguments.backend} if arguments.backend else {})
    os.makedirs(arguments.out, exist_ok=True)
    for name, text in files.render(catalogue, settings).items():
        with open(os.path.join(arguments.out, name), "w", encoding="utf-8") as stream:
            stream.write(text)
    return FINE


def _validate(arguments: argparse.Namespace) -> int:
    _catalogue(arguments, {})
    return FINE


def _apply(arguments: argparse.Namespace) -> int:
    if arguments.boot:
        apply.take_back(arguments.dir)
        if not os.path.exists(os.path.join(arguments.dir, files.SETTINGS_FILE)):
            return FINE  # there was nothing before it
    wanted = apply.load(arguments.dir, arguments.backend)
    result = apply.apply(wanted, check=arguments.check, confirm=arguments.confirm)
    for warning in result.warnings:
        _complain(f"warning: {warning}")
    if arguments.json:
        shown = {"changed": result.changed, "variant": result.variant, **result.counts(), "diff": result.diff()}
        _say(json.dumps(shown))
        return FINE
    if arguments.diff:
        _say("\n".join(result.diff()))
    _say(result.summary())
    return FINE


def _confirm(_arguments: argparse.Namespace) -> int:
    _say("confirmed" if apply.confirm() else "nothing waits for a confirmation")
    return FINE


def _drain(_arguments: argparse.Namespace) -> int:
    _say("connections are left" if drain.run() else "nothing is left to drain")
    return FINE


def _roll_back(arguments: argparse.Namespace) -> int:
    if arguments.unconfirmed is None:
        result = apply.roll_back(arguments.dir, check=arguments.check)
    else:
        result = apply.take_back(arguments.dir, change=arguments.unconfirmed, check=arguments.check)
    _say(result.summary())
    return FINE


def _diff(arguments: argparse.Namespace) -> int:
    result = apply.apply(apply.load(arguments.dir), check=True)
    for line in result.diff():
        _say(line)
    return NO if result.changed else FINE


def _catalogue(arguments: argparse.Namespace, override: dict[str, str]) -> tuple[Catalogue, Settings]:
    """The catalogue and settings that the arguments name. Faults of both are raised together."""
    # Here, since an apply needs neither and starts a tenth quicker without them.
    from . import inputs, manifests

    faults: list[Fault] = []
    settings, hosts = Settings(), ()
    if arguments.settings:
        try:
            variables = {**manifests.load_variables(arguments.settings), **override}
            hosts = variables.get("sluice_endpoint_hosts") or ()
            settings, warnings = node_settings.from_variables(variables, arguments.settings)
            _print_faults(warnings)
        except InputError as error:
            faults = error.faults
    ready = inputs.compiled_in(arguments.manifests[0]) if len(arguments.manifests) == 1 else None
    if ready is not None:
        catalogue, warnings = ready, []
    else:
        try:
            sources = inputs.read(arguments.manifests)
            catalogue, warnings = inputs.build(sources, hosts, inputs.checks_for([settings]))
        except InputError as error:
            raise InputError(faults + error.faults) from None
    _print_faults(warnings)
    if faults:
        raise InputError(faults)
    return catalogue, settings


def _print_faults(faults: Sequence[Fault]) -> None:
    for fault in faults:
        _complain(fault)


def _say(line: object) -> None:
    sys.stdout.write(f"{line}\n")


def _complain(line: object) -> None:
    sys.stderr.write(f"{line}\n")
