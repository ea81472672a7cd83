"""The commands that change this node, or say what a change would be: ``apply`` and ``diff``, ``remove``,
``confirm``, ``rollback``, ``drain`` and ``undrain``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from .. import addresses
from ..faults import printable
from ..node import apply as node_apply
from ..node import confirmation, files, origin, settling
from ..system.tools import NodeError
from . import output

if TYPE_CHECKING:
    from ..node.result import Result


def apply(arguments: argparse.Namespace) -> int:
    """Bring the kernel to the files."""
    if arguments.boot:
        result = node_apply.boot(arguments.dir)
    else:
        result = node_apply.apply(
            lambda: files.load(arguments.dir, arguments.backend, force=arguments.force),
            check=arguments.check,
            confirm=arguments.confirm,
            origin=origin.Origin(origin.REPAIR) if arguments.repair else origin.of_command(),
        )
    if arguments.repair and not result.changed:
        return output.FINE
    output.warn(result.warnings)
    if arguments.json:
        shown = {"changed": result.changed, **result.details, **result.counts(), "diff": result.diff()}
        output.say(json.dumps({**shown, "services": result.services()}))
    else:
        if arguments.diff:
            _say_difference(result)
        output.say(result.summary())
    return output.NO if arguments.exit_code and result.changed else output.FINE


def diff(arguments: argparse.Namespace) -> int:
    """Say how the kernel differs from the files."""
    result = node_apply.apply(lambda: files.load(arguments.dir, force=arguments.force), check=True)
    output.warn(result.warnings)
    _say_difference(result)
    return output.NO if result.changed else output.FINE


def _say_difference(result: Result) -> None:
    """Why the kernel differs, then how."""
    for line in (*result.reasons(), *result.diff()) if result.changed else ():
        output.say(line)


def remove(arguments: argparse.Namespace) -> int:
    """Take Sluice's rules out of the kernel, and what they are made of from the node."""
    result = node_apply.remove(check=arguments.check, directory=arguments.dir, origin=origin.of_command())
    output.warn(result.warnings)
    output.say(result.summary())
    return output.FINE


def confirm(_arguments: argparse.Namespace) -> int:
    """Keep the change that waits."""
    output.say("confirmed" if confirmation.confirm(origin.of_command()) else "nothing waits for a confirmation")
    return output.FINE


def roll_back(arguments: argparse.Namespace) -> int:
    """Put back what was in force before."""
    by = origin.of_command()
    if arguments.unconfirmed is None:
        from ..node import rollback

        result = rollback.roll_back(arguments.dir, to=arguments.to, check=arguments.check, origin=by)
    else:
        change = arguments.unconfirmed
        result = confirmation.take_back(arguments.dir, change=change, check=arguments.check, origin=by)
    output.warn(result.warnings)
    if result.headline:
        output.say(result.headline)
    output.say(result.summary())
    return output.FINE


def drain(arguments: argparse.Namespace) -> int:
    """Take endpoints out of service, or the node; without either, remove what was kept for connections."""
    if arguments.node:
        return _drain_node(arguments, drained=True)
    if arguments.addresses:
        from ..node import drain

        return _say_drain(drain.drain(_endpoints(arguments), check=arguments.check, origin=origin.of_command()))
    if arguments.check:
        raise NodeError("drain --check: name addresses, or --node")
    warnings: list[str] = []
    left = settling.run(warnings)
    output.warn(warnings)
    output.say("connections are left" if left else "nothing is left to drain")
    return output.FINE


def undrain(arguments: argparse.Namespace) -> int:
    """Have them serve again."""
    from ..node import drain

    if arguments.node:
        return _drain_node(arguments, drained=False)
    if not arguments.addresses:
        raise NodeError("undrain: name addresses, or --node")

    return _say_drain(drain.undrain(_endpoints(arguments), check=arguments.check, origin=origin.of_command()))


def _drain_node(arguments: argparse.Namespace, *, drained: bool) -> int:
    from ..node import drain

    if arguments.addresses:
        raise NodeError("--node goes with no address")
    changed = drain.node(drained=drained, check=arguments.check, origin=origin.of_command())
    output.say(f"changed={int(changed)}")
    return output.FINE


def _endpoints(arguments: argparse.Namespace) -> list[str]:
    found = {text: addresses.address(text) for text in arguments.addresses}
    wrong = [printable(text) for text, address in found.items() if not address]
    if wrong:
        raise NodeError(f"not an IP address: {', '.join(wrong)}")
    return list(found.values())


def _say_drain(result: Result) -> int:
    output.warn(result.warnings)
    for line in result.reasons():
        output.say(line)
    output.say(result.summary())
    return output.FINE
