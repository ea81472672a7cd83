"""The recorded state of kube-proxy's IPVS mode, against ours, and ours against what the kernel makes of it.

Rules are loaded into an empty network namespace that has the sets, with the tool of each variant of iptables, and saved
again by that tool. The match ``-m ipvs`` is held back, as it was when the cases were recorded: few kernels have it.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import compare
import pytest
import support
import yaml
from support import in_a_namespace, rules_by_chain

from sluice import render, settings, view
from sluice.addresses import IPV4, IPV6
from sluice.backends.iptables import text as ruleset
from sluice.backends.ipvs import ipset_text, tables
from sluice.backends.ipvs import rules as ipvs_rules
from sluice.backends.ipvs import text as ipvs_text
from sluice.catalogue import sources
from sluice.catalogue.model import Catalogue

HERE = Path(__file__).parent
VERSIONS = sorted(path.name for path in HERE.glob("[0-9]*") if (path / "ipvs").is_dir())
CASES = [
    pytest.param(path.stem, version, id=f"{version}-{path.stem}")
    for version in VERSIONS
    for path in sorted((HERE / version / "ipvs").glob("*.ipvs"))
]
RULES = {IPV4: ".rules", IPV6: ".rules6"}
COMMAND = {IPV4: "iptables", IPV6: "ip6tables"}
HELD_BACK = re.compile(r"^-A .* -m ipvs .*\n", re.MULTILINE)


@functools.cache
def seen(case: str, version: str) -> tuple[Catalogue, settings.Settings]:
    """The case's catalogue, and the settings of its node in a dialect."""
    variables: dict[str, Any] = yaml.safe_load((HERE / "settings.yaml").read_text())[case]
    variables |= {"sluice_backend": "ipvs", "sluice_compat": version}
    variables |= variables.pop("per_version", {}).get(version, {})
    node, warnings = settings.from_variables(variables, case)
    assert not warnings
    catalogue, _ = sources.catalogue_of(
        sources.read([str(HERE / "cases" / f"{case}.yaml")]), (), render.checks_for([node])
    )
    return catalogue, node


@functools.cache
def states(case: str, version: str) -> dict[str, ipvs_rules.IpvsState]:
    """What the case's node wants in a dialect, by family."""
    catalogue, node = seen(case, version)
    return {family: ipvs_rules.state(view.view(catalogue, node, family), node) for family in node.ip_families}


def recorded(case: str, version: str, suffix: str) -> str:
    """A recorded file, empty where the case has none."""
    path = HERE / version / "ipvs" / f"{case}{suffix}"
    return path.read_text() if path.exists() else ""


def in_save_form(rule: str) -> str:
    """A recorded rule that no kernel printed, as iptables-save prints it."""
    address = re.search(r"-s (\S+)", rule)
    assert address, rule
    port = re.search(r"--vport (\d+)", rule)
    assert port, rule
    number = {"tcp": 6, "udp": 17, "sctp": 132}[rule.partition("--vproto ")[2].split()[0]]
    prefix = 128 if ":" in address[1] else 32
    match = f"-m ipvs --vproto {number} --vaddr {address[1]} --vport {port[1]}"
    return f"-A KUBE-IPVS-OUT-FILTER -s {address[1]}/{prefix} {match} -j DROP"


def bracketed(line: str) -> str:
    """The recordings have the IPv6 address of a virtual server without the brackets in which ipvsadm prints it."""
    return re.sub(r"^(-[Aa] \S+) ([^\s\[]*:[^\s\[]*:\S*):(\d+)( |$)", r"\1 [\2]:\3\4", line)


@pytest.mark.parametrize(("case", "version"), CASES)
def test_rules_are_kube_proxys(case: str, version: str) -> None:
    for family, state in states(case, version).items():
        expected = recorded(case, version, RULES[family])
        ours = ruleset.text(state.rules)
        assert not compare.compare(expected, HELD_BACK.sub("", ours))
        # compare.py leaves KUBE-FIREWALL to the kubelet; in IPVS mode the one of nat is kube-proxy's.
        want = ruleset.parse(expected)["nat"].get("KUBE-FIREWALL")
        assert state.rules["nat"].get("KUBE-FIREWALL") == want


@pytest.mark.parametrize(("case", "version"), CASES)
def test_held_back_rules_are_kube_proxys(case: str, version: str) -> None:
    ours = [line for state in states(case, version).values() for line in HELD_BACK.findall(ruleset.text(state.rules))]
    held = [in_save_form(line) for line in recorded(case, version, ".held").splitlines()]
    assert sorted(line.strip() for line in ours) == sorted(held)


@pytest.mark.parametrize(("case", "version"), CASES)
def test_sets_servers_and_addresses_are_kube_proxys(case: str, version: str) -> None:
    found = tables.merged(state.tables for state in states(case, version).values())
    for suffix, ours in (
        (".ipset", ipset_text.text(found.sets)),
        (".ipvs", ipvs_text.text(found.servers)),
        (".addresses", ipvs_text.addresses_text(found.addresses)),
    ):
        want = sorted(map(bracketed, recorded(case, version, suffix).splitlines()))
        assert sorted(ours.splitlines()) == want, suffix


@pytest.mark.parametrize(("case", "version"), CASES)
def test_text_says_what_was_meant(case: str, version: str) -> None:
    found = tables.merged(state.tables for state in states(case, version).values())
    assert ipset_text.parse(ipset_text.text(found.sets)) == found.sets
    assert ipvs_text.parse(ipvs_text.text(found.servers)) == found.servers
    assert ipvs_text.parse_addresses(ipvs_text.addresses_text(found.addresses)) == found.addresses
    for state in states(case, version).values():
        assert ruleset.parse(ruleset.text(state.rules)) == state.rules


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_rendered_by_default_is_what_was_compared(version: str) -> None:
    """No default setting adds to what kube-proxy has."""
    different = []
    for case in (case.values[0] for case in CASES if case.values[1] == version):
        catalogue, node = seen(str(case), version)
        written = support.rendered(catalogue, node)
        wanted = states(str(case), version)
        if (ruleset.parse_files(written), tables.parse_files(written)) != (
            {family: held.rules for family, held in wanted.items()},
            tables.merged(held.tables for held in wanted.values()),
        ):
            different.append(case)
    assert not different, f"{len(different)} cases differ by what settings add to them"


def through_the_kernel(sets: str, rules: str, tool: str) -> tuple[str, str]:
    """What ``ipset save`` and ``tool``-save print in an empty network namespace after they took these texts."""
    script = f"ipset restore <<'EOF'\n{sets}EOF\n{tool}-restore --noflush\n{tool}-save\necho '# sets'\nipset save"
    saved, _, held = in_a_namespace(script, rules).partition("# sets\n")
    return held, saved


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize(("case", "version"), CASES)
def test_the_kernel_prints_our_text(case: str, version: str, variant: str) -> None:
    for family, state in states(case, version).items():
        rules = HELD_BACK.sub("", ruleset.text(state.rules))
        sets, saved = through_the_kernel(ipset_text.text(state.tables.sets), rules, f"{COMMAND[family]}-{variant}")
        assert rules_by_chain(saved) == rules_by_chain(rules), "iptables-save prints our rules differently"
        kernel = ipset_text.parse(sets)
        assert {name: held._replace(members=tuple(sorted(held.members))) for name, held in kernel.items()} == {
            name: held._replace(members=tuple(sorted(held.members))) for name, held in state.tables.sets.items()
        }


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_the_kernel_prints_our_text_of_what_was_held_back(variant: str) -> None:
    case, version = "18-loadbalancer-sourceranges", "1.36"
    state = states(case, version)[IPV4]
    rules = ruleset.text(state.rules)
    assert HELD_BACK.search(rules)
    if in_a_namespace(f"iptables-{variant} -A INPUT -m ipvs --ipvs || echo none"):
        pytest.skip("NOT TESTED AGAINST THE KERNEL: this one has no match ipvs, so KUBE-IPVS-OUT-FILTER was not loaded")
    _, saved = through_the_kernel(ipset_text.text(state.tables.sets), rules, f"iptables-{variant}")
    assert rules_by_chain(saved) == rules_by_chain(rules)


def test_every_recording_was_read() -> None:
    """A recorded file that nobody reads is no judge."""
    files = [path for version in VERSIONS for path in (HERE / version / "ipvs").iterdir()]
    read = {".rules", ".rules6", ".held", ".ipset", ".ipvs", ".addresses"}
    assert {path.suffix for path in files} <= read
    assert {(path.stem, path.parents[1].name) for path in files} == {tuple(case.values) for case in CASES}
