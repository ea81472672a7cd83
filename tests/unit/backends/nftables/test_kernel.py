"""Scripts for nft, and what its errors become."""

from __future__ import annotations

import pytest

from sluice.addresses import IPV4, IPV6
from sluice.backends.interface import KernelChanged
from sluice.backends.nftables import kernel
from sluice.backends.nftables.text import Skeleton
from sluice.system.tools import NodeError

SKELETON = Skeleton(
    {"lists": "\t\ttype classid : classid\n", "hairpin": "\t\ttype ipv4_addr . ipv4_addr\n"},
    {},
    {"kinds": "\t\tdrop\n", "new": "\t\taccept\n"},
)


def test_scripts() -> None:
    whole = kernel.whole(IPV6, SKELETON)
    assert whole.startswith("table ip6 sluice {\n\tmap lists {\n\t\ttype classid : classid\n\t}\n\tset hairpin {\n")
    some = kernel.chains(IPV4, SKELETON, ["new"])
    assert some == "table ip sluice {\n\tchain new {\n\t\taccept\n\t}\n}\n"
    assert kernel.chains_anew(IPV4, SKELETON).startswith("flush table ip sluice\ntable ip sluice {\n\tchain kinds {\n")
    anew = kernel.anew(IPV4, SKELETON, {"lists": ["0:1 : 0:2"], "hairpin": []})
    assert anew.startswith("table ip sluice\ndelete table ip sluice\ntable ip sluice {\n")
    assert anew.endswith("add element ip sluice lists {\n\t0:1 : 0:2,\n}\n")


@pytest.mark.usefixtures("needs_root")
def test_errors_are_a_line() -> None:
    with pytest.raises(NodeError, match=r"^this node's kernel or nft cannot do this: .*syntax error[^\n]*$"):
        kernel.check("table ip sluice { nonsense }\n")
    without = (
        "table ip sluice {\n\tflowtable f {\n\t\thook ingress priority filter\n\t\tdevices = { nowhere0 }\n\t}\n}\n"
    )
    with pytest.raises(NodeError, match=r"^this node's kernel or nft cannot do this, with a flowtable: "):
        kernel.check(without)
    with pytest.raises(KernelChanged, match=r"^nft: .*No such file or directory[^\n]*$"):
        kernel.load("delete table ip there_is_none\n")
