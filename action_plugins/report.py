"""The action of sluice.lb.report: makes the page on the controller, of what nodes told of themselves."""

from __future__ import annotations

import gc
import os
import pkgutil
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.path import unfrackpath
from ansible_collections.sluice.lb.plugins.module_utils.sluice import fleet
from ansible_collections.sluice.lb.plugins.module_utils.sluice.fleet import merge, page, states
from ansible_collections.sluice.lb.plugins.module_utils.sluice.fleet.states import State
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system import owned_files

OPTIONS = {
    "path": {"type": "path", "required": True},
    "asked": {"type": "str", "default": "report_asked"},
    "group": {"type": "str", "default": "load_balancers"},
}


class ActionModule(ActionBase):
    """Writes the page; nothing is asked of any node here."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        gc.disable()  # builds large trees, in a process that ends with the task
        _result, given = self.validate_argument_spec(OPTIONS)
        variables = task_vars or {}
        told = list(_told(variables, given["asked"], variables["groups"].get(given["group"], ())))
        data = merge.merged(told, int(time.time()))
        path = unfrackpath(given["path"], follow=False, basedir=os.getcwd())
        if os.path.isdir(path):
            path = os.path.join(path, "sluice-report.html")
        text = page.page(data, page.Parts(*map(_part, ("html", "css", "js"))))
        try:
            owned_files.write({path: text}, sync=False)
        except OSError as error:
            return {"failed": True, "msg": f"{error.filename}: {error.strerror}: the page is not written"}
        lost = [node for node in data["nodes"] if node.get("failed", states.NOT_ASKED) != states.NOT_ASKED]
        return {
            "changed": False,
            "path": path,
            "bytes": len(text.encode()),
            "told": sum("status" in node for node in data["nodes"]),
            "lost": {node["name"]: f"{node['failed']}: {node['why']}" for node in lost},
        }


def _told(variables: Mapping[str, Any], name: str, hosts: Sequence[str]) -> Iterator[State]:
    played = variables.get("ansible_play_hosts_all", ())
    for host in hosts:
        if host not in played:
            yield State(host, None, states.NOT_ASKED)
            continue
        found = variables["hostvars"][host].get(name) or {}
        if found.get("file"):
            with open(found["file"], encoding="ascii") as stream:
                yield states.unpacked(host, stream.read())
        else:
            failed = states.UNREACHABLE if found.get("unreachable") else states.FAILED
            yield State(host, None, failed, " ".join(str(found.get("msg", "it was not asked")).split()))


def _part(kind: str) -> str:
    return (pkgutil.get_data(fleet.__name__, f"page.{kind}") or b"").decode()
