"""The action of sluice.lb.render: works in Ansible's own process on the controller, no node is asked."""

from __future__ import annotations

import gc
import pathlib
from collections.abc import Mapping
from tempfile import mkdtemp
from typing import Any

from ansible.constants import DEFAULT_LOCAL_TMP
from ansible.plugins.action import ActionBase
from ansible.utils.path import unfrackpath
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.sluice.lb.plugins.module_utils.sluice import render
from ansible_collections.sluice.lb.plugins.module_utils.sluice.backends.registry import BACKENDS
from ansible_collections.sluice.lb.plugins.module_utils.sluice.catalogue import sources
from ansible_collections.sluice.lb.plugins.module_utils.sluice.faults import InputError
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import files
from ansible_collections.sluice.lb.plugins.module_utils.sluice.settings import from_variables
from ansible_collections.sluice.lb.plugins.module_utils.sluice.system import owned_files

AS_TEXT: dict[str, Any] = {"preserve_trailing_newlines": False, "escape_backslashes": False}
try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core before 2.19: all text may be a template, and text that looks like data becomes data
    AS_TEXT["convert_data"] = False

    def trust_as_template(value: str) -> str:
        return value


UNASKED = (
    "no node was asked for its addresses: node ports are rendered for those that the inventory tells (ansible_host or "
    "sluice_node_ips, loopback); sluice_node_addresses says all of them"
)
"""The same line for each node, of which Ansible prints one."""

OPTIONS = {
    "catalogue": {"type": "path", "required": True},
    "settings": {"type": "dict", "required": True},
    "kernel": {"type": "list", "elements": "int"},
    "path": {"type": "path"},
}


class ActionModule(ActionBase):
    """Loads the catalogue once and gives all that depends on it: the node's files, and what it needs beside them."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        gc.disable()  # builds large trees, in a process that ends with the task
        _result, given = self.validate_argument_spec(OPTIONS)
        result: dict[str, Any] = {}
        known = (task_vars or {}).get("sluice_node_addresses")
        try:
            settings, _warnings = from_variables(given["settings"], backends=BACKENDS)
            catalogue, text = sources.compiled_with_text(given["catalogue"])
            views = render.views(catalogue, settings)
            rendered = render.render(views, settings, text)
            if given["kernel"]:
                needs = render.needs(views, settings, given["kernel"])
                result["needs"] = {
                    "sysctls": dict(needs.sysctls),
                    "modules": list(needs.modules),
                    "module_options": {name: dict(options) for name, options in needs.module_options.items()},
                    "devices": list(BACKENDS[settings.backend].devices),
                }
            elif not known and BACKENDS[settings.backend].names_own(views, settings):
                result["warnings"] = [UNASKED]
        except InputError as error:
            return {"failed": True, "msg": "\n".join(map(str, error.faults))}
        try:
            texts = files.sealed(self._filled_in(rendered, task_vars or {}))
        except ValueError as error:
            return {"failed": True, "msg": f"{files.SETTINGS_FILE}.j2 does not give JSON: {error}"}
        keeps = bool(given["path"])
        path = unfrackpath(given["path"], follow=False) if keeps else mkdtemp(dir=DEFAULT_LOCAL_TMP, prefix="sluice-")
        try:
            changed = files.differing(path, texts)
            if not (keeps and self._task.check_mode):
                owned_files.write(changed, sync=False)
        except OSError as error:
            return {"failed": True, "msg": f"{error.filename}: {error.strerror}"}
        return {**result, "changed": keeps and bool(changed), "path": path}

    def _filled_in(self, rendered: Mapping[str, str], variables: Mapping[str, Any]) -> dict[str, str]:
        """Each file by its template ``NAME.j2``, which finds the text of all of them in the variable ``rendered``."""
        templar = self._templar.copy_with_new_env(available_variables={**variables, "rendered": wrap_var(rendered)})
        found = {}
        for name in rendered:
            template = pathlib.Path(self._find_needle("templates", f"{name}.j2")).read_text(encoding="utf-8")
            found[name] = str(templar.template(trust_as_template(template), **AS_TEXT))
        return found
