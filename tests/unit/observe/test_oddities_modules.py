"""Modules that rules need, as far as somebody has said which are loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted import odd, recorded

ALL = (
    "x_tables",
    "nf_tables",
    "nf_conntrack",
    "nf_nat",
    "xt_addrtype",
    "xt_statistic",
    "xt_recent",
    "xt_physdev",
    "xt_set",
)
IPVS = (*ALL, "ip_vs", "ip_vs_rr")
NFT = (*ALL, "nft_numgen", "nft_fib", "nft_masq", "nft_nat", "nft_ct")


def lsmod(*names: str) -> str:
    return "Module Size Used by\n" + "".join(f"{name} 16384 0\n" for name in names)


@pytest.mark.parametrize("missing", ["xt_addrtype", "xt_statistic", "xt_recent"])
def test_rules_of_iptables(missing: str) -> None:
    rules = recorded("27-session-affinity-600")[".rules"]
    assert not odd(rules, lsmod(*ALL))
    (found,) = odd(rules, lsmod(*(name for name in ALL if name != missing)))
    assert (found.what, found.hurts) == ("kernel module that is not loaded", True)
    assert found.remedy.startswith(f"modprobe {missing},")


@pytest.mark.parametrize("missing", ["ip_vs_rr", "xt_set", "ip_vs"])
def test_ipvs(missing: str) -> None:
    held = recorded("16-loadbalancer", "ipvs").values()
    assert not odd(*held, lsmod(*IPVS))
    (found,) = odd(*held, lsmod(*(name for name in IPVS if name != missing)))
    assert found.remedy.startswith(f"modprobe {missing},")


@pytest.mark.parametrize("missing", ["nft_numgen", "nft_fib", "nft_masq"])
def test_nftables(missing: str) -> None:
    table = (Path(__file__).parent / "kube-proxy-1.36.nft").read_text()
    assert not odd(table, lsmod(*NFT))
    (found,) = odd(table, lsmod(*(name for name in NFT if name != missing)))
    assert found.remedy.startswith(f"modprobe {missing},")


def test_what_is_built_in_is_in_no_list() -> None:
    assert not odd(recorded("27-session-affinity-600")[".rules"], lsmod("virtio_net"))
