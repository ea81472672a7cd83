"""A kernel without IPVS is refused before anything is changed."""

from __future__ import annotations

import os

import cases
import hosts
import pytest

from sluice.system.tools import NodeError


@pytest.mark.skipif(os.path.exists("/proc/net/ip_vs"), reason="this kernel has IPVS: molecule/ipvs tests it")
def test_nothing_is_changed_without_ipvs(node: hosts.Node) -> None:
    files = cases.rendered([cases.Service(1)], backend="ipvs")
    with pytest.raises(NodeError, match=r"has no IPVS .module ip_vs.; nothing was changed"):
        node.apply(files)
    assert node.run("ipset", "list", "-name").stdout == ""
    assert "KUBE-" not in node.save("nft")
