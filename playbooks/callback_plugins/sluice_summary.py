"""Runs sluice.lb.summary with the playbooks of this folder, which nobody has to configure.

Ansible loads what lies here beside the playbooks, from the tree and from the installed collection.
"""

from __future__ import annotations

from typing import Any

from ansible import constants as C
from ansible_collections.sluice.lb.plugins.callback import summary

DOCUMENTATION = r"""
name: sluice_summary
type: aggregate
author: The Sluice authors (!UNKNOWN)
short_description: What a run found and changed, in a line
description: The callback P(sluice.lb.summary#callback), for the playbooks beside it.
"""


class CallbackModule(summary.CallbackModule):
    """The summary, unless a configuration enables it: then it is there already."""

    CALLBACK_NAME = "sluice_summary"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.disabled = summary.CallbackModule.CALLBACK_NAME in C.CALLBACKS_ENABLED
