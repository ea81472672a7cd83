"""The commands that say what this node is and does: ``status``, ``top``, ``health`` and ``history``."""

from __future__ import annotations

import argparse
import gc
import json
import os

from ..system import owned_files
from ..system.tools import NodeError
from . import output


def status(arguments: argparse.Namespace) -> int:
    """Say what the node is."""
    from ..node import exported, status

    if arguments.out and not arguments.metrics:
        raise NodeError("status --out: goes with --metrics")
    found = status.status(arguments.dir)
    if arguments.out:
        owned_files.write({os.path.abspath(arguments.out): exported.text(found, arguments.dir)}, sync=False)
        return output.FINE
    if arguments.json:
        output.say(json.dumps(found.fields()))
    elif arguments.metrics:
        output.write(exported.text(found, arguments.dir))
    else:
        output.say("\n".join(found.lines()))
    if not found.well:
        return output.NO
    return output.FINE if found.asked else output.FAILED


def top(arguments: argparse.Namespace) -> int:
    """Show what flows, once or until somebody ends it."""
    from ..node import top

    gc.enable()
    if not (arguments.once or arguments.json) and top.is_terminal():
        top.watch(arguments.dir, arguments.interval)
        return output.FINE
    found = top.once(arguments.dir, arguments.interval)
    output.write(
        json.dumps(found.fields()) + "\n" if arguments.json else "".join(f"{line}\n" for line in found.lines())
    )
    return output.FINE


def health(arguments: argparse.Namespace) -> int:
    """Say which endpoints answer, or be one of the two processes that find out."""
    gc.enable()
    if arguments.check:
        from ..health import checker
        from ..node import supervisor

        return checker.main(supervisor.SOCKET)
    if arguments.supervise:
        from ..node import health_loop

        return health_loop.main()
    if arguments.metrics:
        from ..node import published

        output.write(published.read())
        return output.FINE
    from ..node import health_report

    found = health_report.report()
    if arguments.json:
        output.say(json.dumps(found.fields()))
    else:
        output.write(health_report.shown(found))
    return output.NO if found.summary.down else output.FINE


def history(arguments: argparse.Namespace) -> int:
    """List the generations."""
    from ..node import history

    found = history.entries()
    if arguments.json:
        output.say(json.dumps([each.fields() for each in found]))
    elif found:
        output.write(history.table(found))
    else:
        output.complain("No generations are kept")
    return output.FINE
