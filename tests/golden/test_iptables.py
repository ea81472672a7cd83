"""The recorded rule sets of kube-proxy, against what the kernel holds after it was given ours.

Each case is rendered as ``sluice render`` does it, loaded into an empty network namespace with the tool of each variant
of iptables, and saved again by that tool.
"""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import compare
import pytest
import support
import yaml
from support import in_a_namespace, rules_by_chain

from sluice import render, settings
from sluice.addresses import IPV4, IPV6
from sluice.backends.iptables import text as ruleset
from sluice.catalogue import sources

HERE = Path(__file__).parent
RECORDED = {".rules": IPV4, ".rules6": IPV6}
COMMAND = {IPV4: "iptables", IPV6: "ip6tables"}
CASES = [
    pytest.param(case, version.name, RECORDED[case.suffix], id=f"{version.name}-{case.name}")
    for version in sorted(HERE.glob("[0-9]*"))
    for case in sorted((version / "iptables").iterdir())
    if case.suffix in RECORDED
]
WALKTHROUGH = HERE / "1.18" / "iptables" / "00-published-walkthrough.nat"
PAGES = sorted((HERE.parents[1] / "docs").glob("walkthrough*.md"))


@functools.cache
def rendered(case: str, version: str) -> dict[str, str]:
    """The files of the case's node in a dialect, by name."""
    variables: dict[str, Any] = yaml.safe_load((HERE / "settings.yaml").read_text())[case]
    variables |= {"sluice_compat": version, "sluice_ip_families": [IPV4, IPV6]}
    variables |= variables.pop("per_version", {}).get(version, {})
    return rendered_from(variables, HERE / "cases" / f"{case}.yaml")


def rendered_from(variables: dict[str, Any], manifest: Path) -> dict[str, str]:
    node, warnings = settings.from_variables(variables, manifest.stem)
    manifests = sources.read([str(manifest)])
    assert not warnings
    catalogue, _ = sources.catalogue_of(manifests, (), render.checks_for([node]))
    return support.rendered(catalogue, node)


def through_the_kernel(text: str, tool: str) -> str:
    """What ``tool``-save prints in an empty network namespace after ``tool``-restore took ``text``."""
    if not shutil.which(f"{tool}-restore"):
        pytest.fail(f"{tool}-restore is not installed: the package iptables has it")
    return in_a_namespace(f"{tool}-restore --noflush; {tool}-save", text)


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize(("recorded", "version", "family"), CASES)
def test_kernel_holds_what_kube_proxy_programmed(recorded: Path, version: str, family: str, variant: str) -> None:
    ours = rendered(recorded.stem, version)[ruleset.FILES[family]]
    saved = through_the_kernel(ours, f"{COMMAND[family]}-{variant}")
    differences = compare.compare(recorded.read_text(), saved)
    assert not differences, "\n".join(differences)
    assert rules_by_chain(saved) == rules_by_chain(ours), "iptables-save prints our rules in another form"


def test_cases_were_found() -> None:
    """A recorded file that nobody reads is no judge."""
    recorded = {path.relative_to(HERE) for path in HERE.glob("*/iptables/*")}
    assert len(recorded) == len(CASES) + 1, "the walkthrough is the only one that has a test of its own"


def walkthrough_lines(text: str) -> Iterator[str]:
    """The lines that the walkthrough prints: chains of the service, and the rules of all but those that it cuts."""
    yield from (line.partition(" ")[0] for line in text.splitlines() if re.match(r":KUBE-(FW|SEP|SVC|XLB)-", line))
    yield from (line for line in text.splitlines() if re.match(r"-A KUBE-(FW|SEP|SVC|XLB|NODEPORTS)", line))


def test_published_walkthrough() -> None:
    same_as_published(rendered(WALKTHROUGH.stem, "1.18")[ruleset.FILES[IPV4]])


@pytest.mark.parametrize("page", [page.name for page in PAGES])
def test_page_about_the_published_walkthrough(page: str, tmp_path: Path) -> None:
    """Its files give what was published, and it shows the same in each language."""
    blocks = {each.name: re.findall(r"^```.*?^```$", each.read_text(), re.DOTALL | re.MULTILINE) for each in PAGES}
    assert blocks[page] == blocks["walkthrough.md"]
    variables, manifest = (block.partition("\n")[2].removesuffix("```") for block in blocks[page][:2])
    (tmp_path / "kubernetes-lb.yml").write_text(manifest)
    have = rendered_from(yaml.safe_load(variables), tmp_path / "kubernetes-lb.yml")
    same_as_published(have[ruleset.FILES[IPV4]])


def same_as_published(have: str) -> None:
    """The six chain names of the walkthrough and all its rules, in their order within each chain."""
    want = WALKTHROUGH.read_text()
    assert sorted(walkthrough_lines(have)) == sorted(walkthrough_lines(want))
    chains = rules_by_chain(have)
    for (_, chain), rules in rules_by_chain(f"*nat\n{want}").items():
        found = iter(chains["nat", chain])
        assert all(rule in found for rule in rules), f"{chain} does not have these in this order: {rules}"
