"""Single chains: jumps to nowhere, chains that nobody jumps to, shares."""

from __future__ import annotations

from planted import recorded, replaced, said, without

RULES = recorded("04-clusterip-3ep")[".rules"]


def _with_third(text: str) -> str:
    return text.replace("0.33333333349", "0.40000000000")


def test_jump_to_a_chain_that_is_not_there() -> None:
    chain = RULES.partition(":KUBE-SEP-")[2].partition(" ")[0]
    text = without(without(RULES, f":KUBE-SEP-{chain}"), f"-A KUBE-SEP-{chain}")
    assert f"! jump to a chain that is not there: KUBE-SEP-{chain}" in said(text)


def test_jump_to_a_chain_of_another_program_that_is_not_there() -> None:
    text = replaced(RULES, "*filter\n", "*filter\n-A FORWARD -j MY-CHAIN\n")
    assert "jump to a chain that is not there: MY-CHAIN: iptables filter: FORWARD rule 1" in said(text)


def test_service_chain_that_nobody_jumps_to() -> None:
    assert "- chain to which no rule jumps: iptables nat: KUBE-SVC-" in said(without(RULES, "-j KUBE-SVC-"))


def test_endpoint_chain_that_nobody_jumps_to() -> None:
    text = replaced(RULES, "*nat\n", "*nat\n:KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]\n")
    assert "KUBE-SEP-AAAAAAAAAAAAAAAA" in said(text)


def test_shares_that_differ() -> None:
    found = said(_with_third(RULES))
    assert "endpoints that do not get the same share" in found
    assert "3 endpoints get 2/5, 3/10, 3/10" in found


def test_five_digits_of_old_releases_are_even() -> None:
    assert not said(RULES.replace("0.33333333349", "0.33332999982"))


def test_last_endpoint_by_chance() -> None:
    lines = RULES.splitlines(keepends=True)
    last = max(at for at, line in enumerate(lines) if "-j KUBE-SEP-" in line)
    lines[last] = lines[last].replace(" -j ", " -m statistic --mode random --probability 0.50000000000 -j ")
    found = said("".join(lines))
    assert found.startswith("! endpoints that are chosen by chance, and no last one"), found
    assert "1/6 of all connections go to no endpoint" in found


def test_endpoint_without_dnat() -> None:
    lines = RULES.splitlines(keepends=True)
    lines.pop(next(at for at, line in enumerate(lines) if "-j DNAT" in line))
    assert "! endpoint chain without DNAT" in said("".join(lines))


def test_endpoint_that_cannot_call_itself() -> None:
    lines = RULES.splitlines(keepends=True)
    lines.pop(next(at for at, line in enumerate(lines) if line.startswith("-A KUBE-SEP-")))
    assert "! endpoint chain that does not masquerade the endpoint itself" in said("".join(lines))


def test_service_chain_without_endpoints() -> None:
    text = without(without(without(RULES, "-j KUBE-SEP-"), "-A KUBE-SEP-"), ":KUBE-SEP-")
    assert "! Service chain without endpoints" in said(text)


def test_probability_that_is_none() -> None:
    found = said(RULES.replace("0.33333333349", "0.3/0", 1))
    assert "! endpoints that do not get the same share" in found
