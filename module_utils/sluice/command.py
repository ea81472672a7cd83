"""The ``sluice`` command: the engine without Ansible."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Sequence

from . import __version__, files, inputs, manifests
from . import settings as node_settings
from .faults import Fault, InputError
from .settings import Settings

FINE, NO, FAILED = 0, 1, 2
"""Exit codes: fine; the answer is no (invalid, differs, dropped); it could not be asked or done."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with ``argv`` (default: the process's) and return its exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except InputError as error:
        _print_faults(error.faults)
        return NO
    except OSError as error:
        print(f"{error.filename or 'sluice'}: {error.strerror or error}", file=sys.stderr)
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


def _catalogue(arguments: argparse.Namespace, override: dict[str, str]) -> tuple[inputs.Catalogue, Settings]:
    """The catalogue and settings that the arguments name. Faults of both are raised together."""
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
    try:
        catalogue, warnings = inputs.catalogue_from(arguments.manifests, [settings], hosts)
    except InputError as error:
        raise InputError(faults + error.faults) from None
    _print_faults(warnings)
    if faults:
        raise InputError(faults)
    return catalogue, settings


def _print_faults(faults: Sequence[Fault]) -> None:
    for fault in faults:
        print(fault, file=sys.stderr)
