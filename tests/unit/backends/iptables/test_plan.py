"""Plans, line by line: three steps in their order, others' rules untouched, and no line more than it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from sluice.backends.iptables import plan as module
from sluice.backends.iptables.ownership import is_ours, target_of
from sluice.backends.iptables.plan import ChainChange, Plan, plan
from sluice.backends.iptables.text import HOST_PORTS_CHAIN, OWNER_CHAIN, RuleSet

EMPTY: RuleSet = {"nat": {"PREROUTING": [], "OUTPUT": ["-j DOCKER"], "DOCKER": ["-j RETURN"]}}
WANTED: RuleSet = {
    "nat": {
        OWNER_CHAIN: [],
        "KUBE-SERVICES": ["-p tcp -j KUBE-SVC-A"],
        "PREROUTING": ["-j KUBE-SERVICES"],
        "KUBE-SVC-A": ["-j KUBE-SEP-A", "-j KUBE-SEP-B"],
        "KUBE-SEP-A": ["-j DNAT --to-destination 10.0.0.1:80"],
        "KUBE-SEP-B": ["-j DNAT --to-destination 10.0.0.2:80"],
    }
}


def kernel(**chains: list[str] | None) -> RuleSet:
    """A kernel with all of WANTED and with Docker's, but for ``chains``; None: it is not there."""
    held = {**EMPTY["nat"], **WANTED["nat"], **{name.replace("_", "-"): rules for name, rules in chains.items()}}
    return {"nat": {name: rules for name, rules in held.items() if rules is not None}}


def lines(found: Plan) -> list[str]:
    return [line for step in found.steps for line in step.splitlines() if line[0] not in "*C"]


def test_nothing_to_do() -> None:
    assert plan(kernel(), WANTED) == Plan((), ())
    assert plan(EMPTY, {}) == Plan((), ())


def test_everything_is_new() -> None:
    """Chains first, then rules, each behind what it refers to; the jump last."""
    (step,) = plan(EMPTY, WANTED).steps
    assert step == (
        "*nat\n"
        ":SLUICE-OWNER - [0:0]\n:KUBE-SEP-B - [0:0]\n:KUBE-SEP-A - [0:0]\n:KUBE-SVC-A - [0:0]\n:KUBE-SERVICES - [0:0]\n"
        "-A KUBE-SEP-B -j DNAT --to-destination 10.0.0.2:80\n"
        "-A KUBE-SEP-A -j DNAT --to-destination 10.0.0.1:80\n"
        "-A KUBE-SVC-A -j KUBE-SEP-A\n-A KUBE-SVC-A -j KUBE-SEP-B\n"
        "-A KUBE-SERVICES -p tcp -j KUBE-SVC-A\n"
        "-I PREROUTING 1 -j KUBE-SERVICES\n"
        "COMMIT\n"
    )


def test_everything_goes() -> None:
    """A chain is emptied before the jumps to it go, and removed behind those that refer to it."""
    found = lines(plan(kernel(), {}))
    emptied = [line[1:].split()[0] for line in found if line[0] == ":"]
    assert set(emptied) == {chain for chain in WANTED["nat"] if is_ours(chain)}
    assert emptied.index("KUBE-SERVICES") < emptied.index("KUBE-SVC-A") < emptied.index("KUBE-SEP-A")
    assert found[len(emptied) :] == ["-D PREROUTING -j KUBE-SERVICES", *(f"-X {chain}" for chain in emptied)]


def test_one_rule_goes_and_one_comes() -> None:
    held = kernel(
        KUBE_SVC_A=["-j KUBE-SEP-A", "-j KUBE-SEP-C"],
        KUBE_SEP_C=["-j DNAT --to-destination 10.0.0.3:80"],
        KUBE_SEP_B=None,
    )
    found = plan(held, WANTED)
    assert lines(found) == [
        ":KUBE-SEP-B - [0:0]",
        ":KUBE-SEP-C - [0:0]",
        "-A KUBE-SEP-B -j DNAT --to-destination 10.0.0.2:80",
        "-D KUBE-SVC-A -j KUBE-SEP-C",
        "-I KUBE-SVC-A 2 -j KUBE-SEP-B",
        "-X KUBE-SEP-C",
    ]
    assert found.changes == (
        ChainChange("nat", "KUBE-SVC-A", "change", ("-j KUBE-SEP-C",), ("-j KUBE-SEP-B",)),
        ChainChange("nat", "KUBE-SEP-B", "add", (), ("-j DNAT --to-destination 10.0.0.2:80",)),
        ChainChange("nat", "KUBE-SEP-C", "remove", ("-j DNAT --to-destination 10.0.0.3:80",), ()),
    )


def test_rules_that_changed_places() -> None:
    (change,) = plan(kernel(KUBE_SVC_A=["-j KUBE-SEP-B", "-j KUBE-SEP-A"]), WANTED).changes
    assert (change.removed, change.added) == (("-j KUBE-SEP-B", "-j KUBE-SEP-A"), ("-j KUBE-SEP-A", "-j KUBE-SEP-B"))


@pytest.mark.parametrize(("gone", "whole"), [(1, False), (200, False), (300, True), (900, True)])
def test_a_chain_that_loses_much_is_written_anew(gone: int, whole: bool) -> None:
    """Each rule that goes has to be found among all of its chain, so many take time with the square of their count."""
    rules = [f"-d 10.96.0.{number}/32 -j ACCEPT" for number in range(2000)]
    held, wanted = ({"nat": {"KUBE-SERVICES": part}} for part in (rules, rules[gone:]))
    assert (len(lines(plan(held, wanted))) == 1 + 2000 - gone) is whole


def test_our_jump_comes_first_and_others_stay() -> None:
    assert lines(plan(kernel(PREROUTING=["-j DOCKER"]), WANTED)) == ["-I PREROUTING 1 -j KUBE-SERVICES"]
    moved = lines(plan(kernel(PREROUTING=["-j DOCKER", "-j KUBE-SERVICES"]), WANTED))
    assert moved == ["-D PREROUTING -j KUBE-SERVICES", "-I PREROUTING 1 -j KUBE-SERVICES"]


def test_host_ports_may_come_behind_others() -> None:
    """A kubelet appends its jump, and appends it again where it is not last."""
    jump = f"-j {HOST_PORTS_CHAIN}"
    wanted = {"nat": {**WANTED["nat"], "PREROUTING": ["-j KUBE-SERVICES", jump], HOST_PORTS_CHAIN: []}}
    held = {"nat": {**kernel()["nat"], "PREROUTING": ["-j KUBE-SERVICES", "-j DOCKER", jump], HOST_PORTS_CHAIN: []}}
    assert plan(held, wanted) == Plan((), ())
    assert (
        lines(plan({"nat": {**held["nat"], "PREROUTING": ["-j KUBE-SERVICES"]}}, wanted))[-1] == f"-A PREROUTING {jump}"
    )


def test_a_chain_of_others_that_asks_ours() -> None:
    """It may ask a chain that stays; what asks one that goes would keep it from going."""
    held = kernel(OTHERS=["-j KUBE-SERVICES", "-j KUBE-SVC-OLD", "-j LOG"], KUBE_SVC_OLD=[])
    found = lines(plan(held, WANTED))
    assert "-D OTHERS -j KUBE-SVC-OLD" in found
    assert not [line for line in found if line.endswith(("KUBE-SERVICES", "LOG"))]


def test_much_that_is_new_comes_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_CHAINS", 2)
    monkeypatch.setattr(module, "SINGLE_LINES", 3)
    steps = plan(EMPTY, WANTED).steps
    assert [step.count("\n:") for step in steps] == [2, 2, 1, 0]
    assert "PREROUTING" in steps[-1]
    known: set[str] = set()
    for step in steps:
        known |= {line[1:].split()[0] for line in step.splitlines() if line[0] == ":"}
        assert {target_of(line) for line in step.splitlines() if "KUBE" in target_of(line)} <= known
    (whole,) = plan(EMPTY, WANTED, batches=False).steps
    chains = [line.split()[0] for line in whole.splitlines() if line[0] == ":"]
    assert chains == sorted(chains), "iptables-legacy keeps them by name"


@pytest.mark.parametrize("order", [list, sorted])
@pytest.mark.parametrize("mark", [[], ["-j KUBE-SEP-B"]], ids=["as it is", "with somebody's rule"])
def test_the_mark_goes_last(
    monkeypatch: pytest.MonkeyPatch, order: Callable[[Iterable[str]], list[str]], mark: list[str]
) -> None:
    """Whichever order the chains are told in: iptables-save has them by name, a file of ours as they were made."""
    monkeypatch.setattr(module, "BATCH_CHAINS", 1)
    monkeypatch.setattr(module, "SINGLE_LINES", 0)
    held = {**kernel()["nat"], OWNER_CHAIN: mark}
    steps = plan({"nat": {chain: held[chain] for chain in order(held)}}, {}).steps
    removed = [line for step in steps for line in step.splitlines() if line.startswith("-X")]
    assert removed[-1] == f"-X {OWNER_CHAIN}"
    assert [f"{OWNER_CHAIN} " in step for step in steps] == [bool(mark), *[False] * 4, True]


def test_the_mark_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it comes to what a kube-proxy has left."""
    monkeypatch.setattr(module, "BATCH_CHAINS", 1)
    monkeypatch.setattr(module, "SINGLE_LINES", 0)
    wanted = {"nat": {chain: WANTED["nat"][chain] for chain in sorted(WANTED["nat"])}}
    for held in (EMPTY, kernel(SLUICE_OWNER=None, KUBE_SERVICES=[])):
        assert plan(held, wanted).steps[0].splitlines() == ["*nat", f":{OWNER_CHAIN} - [0:0]", "COMMIT"]
