"""``sluice get``: what a catalogue holds as kubectl prints it, and what the node knows of it besides."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
from typing import TYPE_CHECKING

from ..faults import printable
from ..node import files
from ..system.tools import NodeError
from . import catalogues, output

if TYPE_CHECKING:
    from ..catalogue import listing
    from ..catalogue.model import Catalogue


def get(arguments: argparse.Namespace) -> int:
    """Print Services, endpoints or nodes."""
    from ..catalogue import listing, selectors, yaml_text

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
        output.write(listing.names(kind, found))
    elif arguments.output == "json":
        output.say(json.dumps(listing.as_list(kind, found), indent=4, sort_keys=True))
    elif arguments.output == "yaml":
        output.write(yaml_text.text(listing.as_list(kind, found)))
    elif found:
        wide = arguments.output == "wide"
        counted = _connections() if wide and kind is listing.SERVICES and _is_about_this_node(arguments) else {}
        more = [listing.connections(counted)] if counted else []
        if kind is listing.ENDPOINTS and _is_about_this_node(arguments):
            more += _out()
        options = {"namespaces": not namespace, "headers": not arguments.no_headers}
        output.write(listing.table(kind, found, time.time(), wide=wide, more=more, **options))
    else:
        output.complain(
            f"No resources found in {printable(namespace)} namespace." if namespace else "No resources found"
        )
    return output.FINE


def _asked_catalogue(arguments: argparse.Namespace) -> Catalogue:
    """That of the manifests, else of the inventory, else what this node was given."""
    from ..catalogue import sources

    for path in arguments.manifests:
        if not (os.path.lexists(path) or "/" in path or "." in path):
            hint = "get takes no names, --selector chooses by labels"
            raise NodeError(f"{printable(path)}: no such manifest: {hint}")
    if arguments.manifests:
        return catalogues.of_manifests(arguments, {}, to_program=False)[0]
    if arguments.inventory:
        return catalogues.of_inventory(arguments.inventory)
    path = os.path.join(arguments.dir, files.CATALOGUE_FILE)
    if not os.path.lexists(path):
        raise NodeError(f"there is no {path}: name manifests, or an inventory (--inventory)")
    return sources.compiled(path)


def _connections() -> dict[tuple[str, str, int], int]:
    """What this node's kernel counts, as far as it can be read."""
    from ..node import traffic

    with contextlib.suppress(NodeError):
        return {
            entry: count.connections
            for found in traffic.read(endpoints=False)
            for entry, count in found.entries.items()
        }
    return {}


def _out() -> list[listing.Column]:
    """The column that says what is out on this node, where anything is."""
    from ..catalogue import listing
    from ..node import outage, state, verdicts

    known = verdicts.kept_down() if state.last().files and files.setting(state.last().files, "health") else {}
    down = {check[:2]: verdict.since for check, verdict in known.items()}
    drained = outage.current().drained
    return [listing.out(drained, down, time.time())] if down or drained else []


def _is_about_this_node(arguments: argparse.Namespace) -> bool:
    return not (arguments.manifests or arguments.inventory)
