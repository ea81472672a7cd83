"""Sluice's engine: Services and their endpoints to kernel rule sets, the data plane of kube-proxy without Kubernetes.

Pure Python of the standard library, on purpose: the same modules serve Ansible's filters, the modules that run on the
nodes and the ``sluice`` command. The data goes one way: manifests, catalogue, view, rule set, files, plan, kernel.

The rooms, from the top. A module may import from its own room and from those below it::

    command         the sluice command: its arguments, and how it ends
    commands        what each of its subcommands does: one call, lines out
    manual          what the command says of itself: help, manual page, what shells complete
    inventory       the catalogue of an inventory, by Ansible
    variable_files  what is wrong with the files of an inventory's variables
    render          catalogue and settings to a node's files
    fleet           what many nodes tell of themselves, as one page; on the controller
    node            one node: its files, changes, memory; knows no backend by name
    observe         what a rule set does to packets, and what it means; reads dumps, of whatever program
    backends        what programs Services in the kernel; the rest meets it through interface and registry
    view            the catalogue as one node sees it
    catalogue       text to one sound catalogue; nothing of nodes or rules
    health          whether endpoints answer: an unprivileged process that asks them, and what it is told
    settings        the settings of a node, their defaults and checks
    system          the host, by its tools; knows nothing of Services
    words           release balancing probes probe_http probe_values notrack outages forms names pools addresses faults
                    seal lines chance: small, and known to all
    archive         where Python takes all of it from

Among the backends, ``ipvs`` may import from ``iptables``, whose rules it needs besides its own tables; all may import
from ``shared``. Others meet backends through ``interface`` and ``registry``, but for ``observe``: it imports the forms
that they write, though nothing that changes a kernel.
"""

from __future__ import annotations

__version__ = "0.1.0"

import sys

from . import archive

__path__ = archive.compiled(sys.modules[__name__])
