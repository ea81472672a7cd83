"""A kernel without IPVS is refused before anything is changed."""

from __future__ import annotations

import os

import cases
import hosts
import namespaces
import pytest

from sluice.system.tools import NodeError

MODULES = "/lib/modules"


def test_nothing_is_changed_without_ipvs(node: hosts.Node) -> None:
    # Asked now: tests before this one may have had it loaded, by a rule with a match of its own.
    if os.path.exists("/proc/net/ip_vs"):
        pytest.skip("NOT TESTED: this kernel has IPVS loaded, the Molecule scenario ipvs tests with that")
    node.call(hide_modules)
    files = cases.rendered([cases.Service(1)], backend="ipvs")
    with pytest.raises(NodeError, match=r"has no IPVS .module ip_vs.; nothing was changed"):
        node.apply(files)
    assert node.run("ipset", "list", "-name").stdout == ""
    assert "KUBE-" not in node.save("nft")


def hide_modules() -> None:
    """As on a machine whose kernel could load none: this one's is not to load it for a test."""
    if os.path.isdir(MODULES):
        namespaces.mount("tmpfs", MODULES, "tmpfs")
