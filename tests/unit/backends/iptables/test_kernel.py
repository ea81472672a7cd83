"""Which variant of iptables is used, as what the kernel holds already says."""

from __future__ import annotations

import pathlib

import pytest

from sluice.addresses import IPV4, IPV6
from sluice.backends.iptables.kernel import HINT_CHAIN, LEGACY, NFT, Tools, choose_variant
from sluice.backends.iptables.text import RuleSet
from sluice.system import tools
from sluice.system.tools import NodeError

DOCKER: RuleSet = {"nat": {"DOCKER": ["-j RETURN"]}}
OURS: RuleSet = {"nat": {"KUBE-SERVICES": ["-j DROP"]}}
HINT: RuleSet = {"mangle": {HINT_CHAIN: []}}


def readings(nft: RuleSet, legacy: RuleSet) -> dict[Tools, RuleSet]:
    return {
        Tools(NFT, IPV4): nft,
        Tools(NFT, IPV6): {},
        Tools(LEGACY, IPV4): {},
        Tools(LEGACY, IPV6): legacy,
    }


@pytest.mark.parametrize(
    ("nft", "legacy", "chosen"),
    [
        (HINT, DOCKER, NFT),
        (DOCKER, HINT, LEGACY),
        (DOCKER, OURS, NFT),
        (OURS, DOCKER, LEGACY),
        ({}, OURS, LEGACY),
        (OURS, {}, NFT),
    ],
)
def test_auto_follows_what_is_there(nft: RuleSet, legacy: RuleSet, chosen: str) -> None:
    assert choose_variant("auto", readings(nft, legacy)) == chosen


def test_a_choice_counts() -> None:
    assert choose_variant(LEGACY, readings(HINT, {})) == LEGACY


def test_what_is_not_installed() -> None:
    with pytest.raises(NodeError, match=r"^iptables is not installed"):
        choose_variant("auto", {})
    with pytest.raises(NodeError, match=r"^iptables-legacy is not installed"):
        choose_variant(LEGACY, {Tools(NFT, IPV4): {}})
    assert choose_variant("auto", {Tools(LEGACY, IPV4): {}}) == LEGACY


def test_names_of_the_tools() -> None:
    assert (Tools(NFT, IPV4).name, Tools(LEGACY, IPV6).name) == ("iptables-nft", "ip6tables-legacy")


@pytest.mark.parametrize(("missing", "there"), [("-save", "-restore"), ("-restore", "-save")])
def test_one_tool_of_two(missing: str, there: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "PATH", str(tmp_path))
    assert Tools(NFT, IPV4).reading()() == b"", "neither is installed"
    program = tmp_path / f"iptables-nft{there}"
    program.write_text("#!/bin/sh\n", encoding="ascii")
    program.chmod(0o755)
    Tools(NFT, IPV4).require(there)
    with pytest.raises(NodeError, match=f"^iptables-nft{missing} is not installed, but iptables-nft{there} is: "):
        Tools(NFT, IPV4).require(missing)
    if missing == "-save":
        with pytest.raises(NodeError, match=r"^iptables-nft-save is not installed"):
            Tools(NFT, IPV4).reading()
