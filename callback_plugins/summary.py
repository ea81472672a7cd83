"""Says at the end of a run what is: Services, endpoints, warnings, and what changed on which node.

The collection's playbooks bring it along (playbooks/callback_plugins); it prints beside any other callback.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: summary
type: aggregate
author: The Sluice authors (!UNKNOWN)
short_description: What a run found and changed, in a line
description:
  - Prints what is wrong or odd with settings and catalogue, each line once a run.
  - The last line says how many Services and endpoints there are, and what changed on which node.
  - Of M(sluice.lb.trace) it says where nodes differ, and which way the packets take there.
  - The collection's playbooks have it without being configured.
    For playbooks of your own that use its roles, enable it.
requirements:
  - C(callbacks_enabled = sluice.lb.summary) in C(ansible.cfg)
"""

import difflib
import os
import re
from collections.abc import Iterable
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.plugins.callback import CallbackBase
from ansible_collections.sluice.lb.plugins.module_utils.sluice import variable_files
from ansible_collections.sluice.lb.plugins.plugin_utils import told

_GROUP = "load_balancers"
_OF_ALL_NODES = ("sluice.lb.catalogue", "sluice.lb.variables")
"""Actions that run once, for all nodes."""

_SERVICE = re.compile(r"([+-]?) ?([a-z0-9-]+/[a-z0-9-]+)")
_VERBS = {"+": ("added", "would be added"), "-": ("removed", "would be removed"), "": ("changed", "would change")}
"""By the sign of a Service's line: what a run did, and what it would do."""


class CallbackModule(CallbackBase):
    """Collects the results of sluice.lb's tasks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "sluice.lb.summary"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._quiet = os.environ.setdefault(told.READER, told.ON) != told.ON
        self._told: dict[str, None] = {}
        self._catalogue: dict[str, Any] = {}
        self._refused = False
        self._nodes: dict[str, str] = {}
        self._traces: dict[str, dict[str, Any]] = {}
        self._page = ""
        # Then the default callback shows no warning of a task that has changed nothing.
        shown = C.config.get_config_value("display_ok_hosts", plugin_type="callback", plugin_name="default")
        self._are_hidden = not shown

    def v2_playbook_on_start(self, playbook: Any) -> None:
        # Ansible ends at such a file, and does not say which one it is.
        for fault in variable_files.broken(context.CLIARGS.get("inventory") or ()):
            if not fault.warning:
                self._tell(str(fault))

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._play = play

    def v2_playbook_on_no_hosts_matched(self) -> None:
        near = difflib.get_close_matches(_GROUP, self._play.get_variable_manager().get_vars()["groups"], n=1)
        hint = f"; is {near[0]} a slip of the pen?" if near and near[0] != _GROUP else ""
        line = f"sluice: no host of this inventory is in the play's group ({_GROUP}){hint}: nothing was done"
        # Also where another program reads what a run says: nothing else would tell it.
        self._display.display(line, color=C.COLOR_WARN, stderr=self._quiet)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._collect(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._collect(result)
        if ignore_errors:
            return
        action = str(_of(result, "task").resolved_action)
        if action in _OF_ALL_NODES:
            self._refused = True
        else:
            self._nodes.setdefault(_of(result, "host").get_name(), "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._nodes[_of(result, "host").get_name()] = "unreachable"

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if self._refused:
            self._say("sluice: faults, see above: nothing was done", odd=True)
            return
        if self._traces:
            # Of all playbooks one traces: the others start faster without.
            from ansible_collections.sluice.lb.plugins.module_utils.sluice.observe import comparison

            answers = {host: comparison.answer_of(values) for host, values in self._traces.items()}
            head, *trees = comparison.compared(answers)
            self._say(f"sluice: {head}")
            for line in trees:
                self._say(line)
        parts = [self._of_catalogue()] if self._catalogue else []
        parts += [self._page] if self._page else []
        by_text: dict[str, list[str]] = {}
        for host in sorted(self._nodes):
            by_text.setdefault(self._nodes[host], []).append(host)
        parts += [f"{', '.join(hosts)} {text}" for text, hosts in by_text.items()]
        if parts:
            self._say(f"sluice: {'; '.join(parts)}", odd=bool(self._catalogue) and not self._catalogue["services"])

    def _collect(self, result: Any) -> None:
        task, host, values = (_of(result, name) for name in ("task", "host", "result"))
        action = str(task.resolved_action or task.action)
        if not action.startswith("sluice.lb."):
            return
        for line in told.lines(values):
            self._tell(line)
        for warning in values.get("warnings") or ():
            if self._are_hidden and not values.get("changed"):
                self._tell(f"{host.get_name()}: warning: {warning}", warning)
            else:
                self._told[warning] = None  # Ansible says it
        if action == "sluice.lb.catalogue" and "services" in values:
            self._catalogue = values
        elif action == "sluice.lb.report" and "path" in values:
            self._page = f"{values['path']} tells of {_number(values['told'], 'node')}"
        elif action == "sluice.lb.node_facts" and task.check_mode and values.get("node", {}).get("missing_packages"):
            # Check mode ends here for the node: without its tools it cannot say what would change.
            lacking = ", ".join(values["node"]["missing_packages"])
            self._nodes[host.get_name()] = f"cannot be asked before {lacking} would be installed"
        elif action == "sluice.lb.apply" and "counts" in values:
            if values.get("msg"):  # what a rollback goes back to
                self._say(f"{host.get_name()}: {values['msg']}")
            self._nodes[host.get_name()] = _of_node(values, check=bool(task.check_mode)) + _of_out(values)
        elif action == "sluice.lb.trace" and "packets" in values:
            self._traces[host.get_name()] = values
        elif values.get("taken_back"):
            self._nodes[host.get_name()] = "took its change back"

    def _tell(self, line: str, key: str = "") -> None:
        """Say a line that nobody has said yet in this run, of whatever node."""
        if (key or line) not in self._told:
            self._told[key or line] = None
            self._say(line, odd=True)

    def _of_catalogue(self) -> str:
        found = self._catalogue
        not_ready = f" ({found['not_ready']} not ready)" if found["not_ready"] else ""
        warnings = [_number(len(self._told), "warning")] if self._told else []
        nothing = [] if found["services"] else ["there is nothing to program"]
        endpoints = _number(found["endpoints"], "endpoint") + not_ready
        idle = f" ({found['idle']} without rules)" if found["idle"] else ""
        services = _number(found["services"] + found["idle"], "Service") + idle
        return ", ".join([services, endpoints, *warnings, *nothing])

    def _say(self, line: str, *, odd: bool = False) -> None:
        if not self._quiet:
            self._display.display(line, color=C.COLOR_WARN if odd else None)


def _of(result: Any, name: str) -> Any:
    """An attribute of a result, which before ansible-core 2.19 has an underscore before its name."""
    return getattr(result, name) if hasattr(result, name) else getattr(result, f"_{name}")


def _of_node(result: dict[str, Any], *, check: bool) -> str:
    """``iptables generation 7: 2 Services changed``; a new node has no generation in check mode."""
    generation = f" generation {result['generation']}" if result["generation"] else ""
    state = f"{result['backend']}{generation}" if result.get("backend") else "without Sluice"
    if not result.get("changed"):
        return f"{state}: nothing {'would change' if check else 'changed'}"
    former = result.get("former_backend")
    if former and result.get("backend") and former != result["backend"]:
        return f"{'would move' if check else 'moved'} from {former} to {state}"
    by_service = _of_services(result.get("services") or (), check=check)
    if by_service:
        return f"{state}: {by_service}"
    counts = result["counts"]
    things = counts["added"] + counts["modified"] + counts["removed"]
    return f"{state}: {_number(things, 'kernel object') if things else 'only its files'} {_VERBS[''][check]}"


def _of_out(result: dict[str, Any]) -> str:
    """``, out: 10.0.0.1:80 is down``: what checks or operators have taken out is no drift, and told all the same."""
    found = result.get("out") or []
    more = [f"{len(found) - _OUT} more"] if len(found) > _OUT else []
    return f", out: {', '.join([*found[:_OUT], *more])}" if found else ""


_OUT = 3
"""So many of a node are named."""


def _of_services(lines: Iterable[str], *, check: bool) -> str:
    """``2 Services added, 1 removed``. A line is of one (`+ shop/new (…)`) or of its port (`shop/web:http: …`)."""
    matches = list(filter(None, map(_SERVICE.match, lines)))
    numbers = {sign: len({match[2] for match in matches if match[1] == sign}) for sign in _VERBS}
    told = [(number, _VERBS[sign][check]) for sign, number in numbers.items() if number]
    words = [f"{number} {verb}" for number, verb in told]
    return ", ".join([f"{_number(told[0][0], 'Service')} {told[0][1]}", *words[1:]]) if told else ""


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count:,} {what}s"
