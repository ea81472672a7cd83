"""The commands that read rules, of whatever program: ``trace``, ``explain`` and ``import``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .. import addresses
from ..faults import InputError, printable
from ..system.tools import NodeError
from . import output

if TYPE_CHECKING:
    from ..observe.snapshot import Snapshot

_PATIENCE = 2.0
"""Seconds in which an endpoint that is asked has to answer."""


def trace(arguments: argparse.Namespace) -> int:
    """Say which way a packet takes. The answer is no where it is rejected or dropped."""
    from ..observe import notes, outcomes, services, trace, trace_text
    from ..system import connecting

    if arguments.ask and (arguments.dump or arguments.dir):
        raise NodeError("trace --ask: asks from this node, and does not go with --dump or --dir")
    held = _snapshot(arguments)
    if held is None:
        return output.FAILED
    with _sound(trace.QuestionError):
        ports = services.once(held)
        found = trace.traced(held, arguments.to, arguments.source, ports)
        refusals = (lambda places: connecting.refusals(places, _PATIENCE)) if arguments.ask else None
        found = notes.noted(held, found, refusals, ports)
    if arguments.json:
        told = [each.fields() for each in found]
        output.say(json.dumps(told[0] if trace.is_place(arguments.to) else told))
    elif arguments.mermaid:
        from ..observe import trace_mermaid

        output.write(trace_mermaid.text(found))
    elif arguments.svg:
        from ..observe import trace_svg

        output.write(trace_svg.text(found))
    else:
        output.write(trace_text.text(found, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    lost = (outcomes.REJECT, outcomes.DROP)
    return output.NO if any(outcome.verdict in lost for each in found for outcome in each.outcomes) else output.FINE


def explain(arguments: argparse.Namespace) -> int:
    """Say which Services are in the rules. The answer is no where something hurts."""
    from ..node import outage
    from ..observe import explain, explain_text

    held = _snapshot(arguments)
    if held is None:
        return output.FAILED
    if not (arguments.dump or arguments.dir):
        asked = outage.current().down
        down = (addresses.host_port(address, port) if port else address for address, port, _question in asked)
        held = held._replace(dead=held.dead.union(down))
    with _sound():
        found = explain.explain(held)
    if arguments.json:
        output.say(json.dumps(found.fields()))
    else:
        output.write(explain_text.text(found))
    return output.FINE if found.is_well else output.NO


def import_dumps(arguments: argparse.Namespace) -> int:
    """Write manifests and settings that give the same rules."""
    from ..observe import recover, recovered

    held = _snapshot(arguments)
    if held is None:
        return output.FAILED
    with _sound(recovered.RecoverError):
        found = recover.recover(held, arguments.node_name or os.uname().nodename.lower())
    output.put(arguments.out, found.files)
    output.warn(found.warnings)
    return output.FINE


def _snapshot(arguments: argparse.Namespace) -> Snapshot | None:
    """What the dumps hold that are asked for; None where they are none: exit code 1 says something else here."""
    from ..observe import dumps, live

    try:
        if arguments.dump:
            return dumps.of_files(arguments.dump, arguments.node_address)
        if arguments.dir:
            return dumps.of_folder(arguments.dir, arguments.node_address)
        return live.dump(arguments.node_address)
    except InputError as error:
        output.print_faults(error.faults)
        return None


@contextlib.contextmanager
def _sound(*told: type[Exception]) -> Iterator[None]:
    """Raises NodeError for errors that are ``told`` as they are, and for rules that no kernel can have had: a dump that
    was edited, or cut."""
    from ..observe import damage
    from ..observe.nft_values import DAMAGED

    try:
        yield
    except told as error:
        raise NodeError(printable(str(error))) from None
    except DAMAGED as error:
        raise NodeError(f"what was dumped is damaged: {printable(damage.said(error))}") from None
