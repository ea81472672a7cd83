"""``--check`` says what the run then does, over random series of changes."""

from __future__ import annotations

import json
import random
from typing import Any

import cases
import hosts
import pytest
import support

from sluice import names, render
from sluice.backends.iptables import text as ruleset
from sluice.catalogue import compiled

NUMBERS = range(40)
BOTH = ["IPv4", "IPv6"]


@pytest.mark.parametrize("seed", [1, 2])
def test_check_predicts(node: hosts.Node, plane: str, seed: int) -> None:
    source = random.Random(f"{plane} {seed}")
    services = cases.random_services(source, range(20))
    settings: dict[str, Any] = cases.settings_of(plane)
    for _ in range(12):
        files = cases.rendered(services.values(), **settings)
        generation, held = node.generation(), (node.save("nft"), node.save("legacy"))
        expected = node.apply(files, check=True)
        assert (node.generation(), node.save("nft"), node.save("legacy")) == (generation, *held)
        done = node.apply(files)
        assert done._replace(flows=0) == expected
        assert done.diff() == expected.diff()
        assert node.differs() == ()
        if plane != "nftables":
            # The kernel's text is the files': they are written in its own spelling.
            kernel = {table: chains for table, chains in ruleset.parse(node.save(plane)).items() if table != "mangle"}
            assert kernel == with_built_in(ruleset.parse(files["iptables.rules"]), kernel)
        services = cases.random_step(source, services, NUMBERS)
        settings["iptables_dispatch"] = source.choice(["linear", "linear", "prefix"])
        settings["masquerade_all"] = source.random() < 0.1
        settings["ip_families"] = source.choice([BOTH, BOTH[:1]])
        settings["compat"] = source.choice(["1.36", "1.36", "1.20"]) if plane != "nftables" else "1.36"


def with_built_in(rules: ruleset.RuleSet, kernel: ruleset.RuleSet) -> ruleset.RuleSet:
    """``rules`` with those built-in chains besides that the kernel always has."""
    empty = {
        table: {chain: [] for chain in chains if chain.isupper() and "-" not in chain}
        for table, chains in kernel.items()
    }
    return {table: {**empty[table], **rules.get(table, {})} for table in kernel}


def test_command_says_the_same(node: hosts.Node, variant: str) -> None:
    """The command's JSON and its exit codes, from outside."""
    services = [cases.Service(number) for number in range(5)]
    node.write(cases.rendered(services, iptables_variant=variant))
    assert node.installed("diff", check=False).returncode == 1
    expected = node.installed("apply", "--check", "--json").stdout
    assert node.installed("apply", "--json").stdout == expected
    assert json.loads(expected)["changed"]
    assert node.installed("diff").stdout == ""
    assert node.installed("apply").stdout == "changed=0\n"
    node.write(cases.rendered(services[1:], iptables_variant=variant))
    shown = node.installed("apply", "--check", "--diff").stdout
    assert node.installed("diff", check=False).stdout.splitlines() == shown.splitlines()[:-1]
    assert node.installed("apply", "--diff").stdout == shown
    assert f"remove iptables-{variant} -t nat KUBE-SVC-" in shown
    assert node.installed("diff").returncode == 0


def test_services_come_first(node: hosts.Node, variant: str) -> None:
    """Before and after an apply as in its JSON; and rules that somebody has changed are drift."""
    web, other = (support.endpoint_slice(address) for address in ("10.0.0.1", "10.0.0.2"))
    changed = "shop/web: + 10.0.0.2:8080, - 10.0.0.1:8080"
    settings = support.node(iptables_variant=variant)
    for piece in (web, other):
        catalogue = support.catalogue(support.service(), piece)
        node.write(render.render(render.views(catalogue, settings), settings, compiled.text(catalogue)))
        shown = node.sluice("diff", check=False).stdout.splitlines()
        told = json.loads(node.sluice("apply", "--json").stdout)["services"]
        assert shown[0] == told[0]
        assert shown[1].startswith(("add iptables-", "change iptables-"))
    assert told == [changed]
    node.shell(f"iptables-{variant} -t nat -F KUBE-SVC-{names.hashed('shop/webtcp')}")
    shown = node.sluice("diff", check=False).stdout.splitlines()
    assert shown[0] == "drift: the catalogue is the same, the kernel's rules are not: shop/web"
    assert node.sluice("apply", "--diff").stdout.splitlines()[0] == shown[0]
    assert node.sluice("diff").stdout == ""
