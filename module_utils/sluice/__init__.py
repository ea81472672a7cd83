"""Sluice's engine: Services and their endpoints to kernel rule sets, the data plane of kube-proxy without Kubernetes.

Pure Python of the standard library, on purpose: the same modules serve Ansible's filters, the modules that run on the
nodes and the ``sluice`` command. The data goes one way, a module a step::

    manifests -> catalogue -> view -> iptables_rules -> ruleset -> plan -> iptables_kernel
"""

from __future__ import annotations

__version__ = "0.1.0"
