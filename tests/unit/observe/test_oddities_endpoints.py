"""Chains of endpoints that send elsewhere, or that session affinity does not find."""

from __future__ import annotations

import re

import pytest
from planted import CASES, moved, odd, recorded, replaced, said, spoilt

WITH_ENDPOINTS = [
    (case, version, suffix)
    for case, mode, version in CASES
    if mode == "iptables" and not case.startswith("52")
    for suffix, text in recorded(case, version=version).items()
    if text.count("-j DNAT") > 2
]
STICKY = [(version, "27-session-affinity-600") for version in ("1.20", "1.36")]


@pytest.mark.parametrize(("case", "version", "suffix"), WITH_ENDPOINTS)
def test_other_port(case: str, version: str, suffix: str) -> None:
    text = recorded(case, version=version)[suffix]
    found = odd(re.sub(r"(--to-destination \S+):\d+", r"\1:9", text, count=1))
    assert any(each.hurts and each.what == "endpoint chain that sends elsewhere" for each in found), found


@pytest.mark.parametrize(("case", "version", "suffix"), WITH_ENDPOINTS)
def test_other_address(case: str, version: str, suffix: str) -> None:
    text = recorded(case, version=version)[suffix]
    other = "[fd00::9]:80" if suffix == ".rules6" else "192.0.2.9:80"
    found = odd(re.sub(r"(--to-destination) \S+", rf"\1 {other}", text, count=1))
    assert any(each.hurts and each.what == "endpoint chain of two endpoints" for each in found), found


def test_endpoint_of_another_service() -> None:
    text = recorded("08-multi-port-named")[".rules"]
    ends = [line.rpartition(" ")[2] for line in text.splitlines() if " -j KUBE-SEP-" in line]
    found = said(replaced(text, f"-j {ends[0]}\n", f"-j {ends[-1]}\n"))
    assert "! endpoint chain that sends elsewhere" in found


@pytest.mark.parametrize(("version", "case"), STICKY)
def test_affinity(version: str, case: str) -> None:
    text = recorded(case, version=version)[".rules"]
    asks = r"--rcheck (.*)--name KUBE-SEP-\w+"
    found = said(spoilt(text, asks, r"--rcheck \1--name KUBE-SEP-ANOTHERONE234567"))
    assert "! session affinity that asks for another list than it writes" in found
    assert "! endpoint with session affinity to which no rule brings clients back" in said(spoilt(text, "--rcheck", ""))
    found = said(spoilt(text, r"-m recent --set --name \S+ (--mask \S+ )?--rsource ", " "))
    assert "! endpoint chain that does not write down its clients" in found
    late = moved(text, "--rcheck", "-A KUBE-SVC-")
    assert "! session affinity that is asked behind the choice by chance" in said(late)


@pytest.mark.parametrize("chain", ["KUBE-SVC-", "KUBE-SEP-", "KUBE-EXT-"])
@pytest.mark.parametrize("rule", ["-j ACCEPT", "-s 192.0.2.0/24 -j DROP", "-j RETURN"])
def test_rule_of_somebody_else_in_a_services_chain(chain: str, rule: str) -> None:
    text = recorded("16-loadbalancer")[".rules"]
    line = next(line for line in text.splitlines() if line.startswith(f"-A {chain}"))
    name = line.split(" ")[1]
    found = said(replaced(text, line, f"-A {name} {rule}\n{line}"))
    assert "! a rule in a Service's chain that no proxy writes" in found
    assert f"{name}: {rule}" in found
