"""The options of every filter that computes something for one node."""

from __future__ import annotations


class ModuleDocFragment:
    """See DOCUMENTATION."""

    DOCUMENTATION = r"""
options:
  _input:
    description: The path of a catalogue that M(sluice.lb.catalogue) compiled.
    type: path
    required: true
  settings:
    description: The node's settings, from P(sluice.lb.settings#filter).
    type: dict
    required: true
"""
