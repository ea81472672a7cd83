"""The action of sluice.lb.drain: says who drains."""

from __future__ import annotations

from ansible_collections.sluice.lb.plugins.plugin_utils.asked_by import AskedBy


class ActionModule(AskedBy):
    """One run of the module."""
