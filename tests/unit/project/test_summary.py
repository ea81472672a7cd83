"""What a run of our playbooks says: each fault and warning once, on a line of its own, and at the end what is.

And what each makes of the inventory, whichever hosts it is limited to.
"""

from __future__ import annotations

import os
import runpy
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SUMMARY = ROOT / "callback_plugins/summary.py"


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """The sample inventory, which an operator copies."""
    shutil.copytree(ROOT / "inventory/sample", tmp_path / "mine")
    return tmp_path / "mine"


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def render(inventory: Path, *words: str, **environment: str) -> tuple[int, list[str]]:
    """The exit code and the lines of a run that asks no node."""
    return play("playbooks/render.yml", inventory, *words, **environment)


def play(
    playbook: str, inventory: Path, *words: str, within: tuple[str, ...] = (), **environment: str
) -> tuple[int, list[str]]:
    """The exit code and the lines of a run, ``within`` what a command makes for it."""
    done = subprocess.run(
        [
            *within,
            *(Path(sys.executable).with_name("ansible-playbook"), "-i", inventory / "hosts.yml"),
            *(playbook, *words),
        ],
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, [line for line in done.stdout.splitlines() if line]


def test_the_last_line_says_what_is(inventory: Path) -> None:
    code, lines = render(inventory)
    assert (code, lines[-1]) == (0, "sluice: 3 Services, 6 endpoints (1 not ready)")


@pytest.mark.parametrize("shown", ["0", "1"])
def test_a_warning_is_seen_once(inventory: Path, shown: str) -> None:
    """Also where Ansible is told not to show tasks that are fine, and in check mode, and on the second run."""
    change(inventory / "services/shop.yml", "tier: database}", "tier: datbase}")
    change(inventory / "group_vars/load_balancers.yml", "sluice_service_cidrs", "sluice_servce_cidrs")
    text = (inventory / "group_vars/load_balancers.yml").read_text()
    line = 1 + text.count("\n", 0, text.index("sluice_servce_cidrs"))
    for words in ((), ("--check",), ()):
        code, lines = render(inventory, *words, ANSIBLE_DISPLAY_OK_HOSTS=shown)
        assert (code, lines[-1]) == (0, "sluice: 3 Services, 5 endpoints (1 not ready), 2 warnings")
        variables, services = inventory / "group_vars/load_balancers.yml", inventory / "services/shop.yml"
        typo = "sluice_servce_cidrs: warning: no such setting, did you mean sluice_service_cidrs?"
        nobody = "spec.selector: warning: no host of the inventory has these labels: connections are refused"
        for said in (
            f"{variables}:{line}: hosts edge1, edge2: {typo}",
            f"{services}:33: Service shop/database: {nobody}",
        ):
            assert lines.count(said) == 1, lines


def test_a_fault_is_a_line_and_not_a_wall(inventory: Path) -> None:
    change(inventory / "services/dns.yml", "clusterIP: 10.96.0.53", "clusterIP: 10.96.0.300")
    code, lines = render(inventory)
    said = f"{inventory}/services/dns.yml:9: Service infra/dns: spec.clusterIP: '10.96.0.300' is not an IP address"
    assert (code, [line for line in lines if "10.96.0.300" in line]) == (2, [said])


def test_wrong_settings_are_a_line_for_all_nodes(inventory: Path) -> None:
    (inventory / "group_vars/load_balancers.yml").write_text("sluice_backend: iptabels\n")
    code, lines = render(inventory)
    where = f"{inventory}/group_vars/load_balancers.yml:1: hosts edge1, edge2"
    said = f"{where}: sluice_backend: must be one of iptables, ipvs, nftables, is 'iptabels'"
    assert (code, [line for line in lines if "iptabels" in line]) == (2, [said])
    assert len(lines) < 20


def test_a_host_that_is_there_twice_is_said_and_strictly_a_fault(inventory: Path) -> None:
    change(inventory / "hosts.yml", "        shop2:\n", "        shop1:\n")
    code, lines = render(inventory)
    said = [line for line in lines if "is there twice" in line and line.startswith(f"{inventory}/hosts.yml:")]
    assert (code, len(said)) == (0, 1), lines
    assert ": warning: " in said[0]
    assert render(inventory, "-e", "sluice_strict=true")[0] == 2


def test_strict_takes_warnings_for_faults(inventory: Path) -> None:
    change(inventory / "services/shop.yml", "tier: database}", "tier: datbase}")
    assert render(inventory, "-e", "sluice_strict=true")[0] == 2


def test_a_node_that_cannot_be_reached_is_in_the_last_line(inventory: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        where = f"ansible_host: 127.0.0.1\n          ansible_port: {nobody.getsockname()[1]}"
        for address in ("192.0.2.11", "192.0.2.12"):
            change(inventory / "hosts.yml", f"ansible_host: {address}", where)
        code, lines = play("site.yml", inventory)
    assert (code, lines[-1]) == (4, "sluice: edge1, edge2 unreachable")


@pytest.mark.usefixtures("needs_root")
def test_a_node_that_lacks_its_tools_is_in_the_last_line_of_check_mode(inventory: Path) -> None:
    """What it would be told to change cannot be known before, and no node must be missing there."""
    here = f"ansible_connection: local\n          ansible_python_interpreter: {sys.executable}"
    change(inventory / "hosts.yml", "ansible_host: 192.0.2.11", here)
    nothing = 'mount --bind /dev/null "$(readlink -f "$(command -v iptables)")"; mount -t tmpfs none /var/lib/apt/lists'
    within = ("unshare", "--mount", "sh", "-ec", f'{nothing}; exec "$@"', "sh")
    code, lines = play("site.yml", inventory, "--check", "--limit", "edge1", within=within)
    assert code == 0, lines
    assert lines[-1].endswith("; edge1 cannot be asked before iptables would be installed"), lines


def test_no_services_never_look_like_success(inventory: Path) -> None:
    for path in (inventory / "services").iterdir():
        path.unlink()
    code, lines = render(inventory)
    assert (code, lines[-1]) == (0, "sluice: 0 Services, 0 endpoints, 1 warning, there is nothing to program")
    code, lines = render(inventory, "-e", "sluice_strict=true")
    assert (code, lines[-1]) == (2, "sluice: faults, see above: nothing was done")


def test_a_group_that_there_is_not_is_said(inventory: Path) -> None:
    change(inventory / "hosts.yml", "load_balancers:", "loadbalancers:")
    _code, lines = render(inventory)
    said = "in the play's group (load_balancers); is loadbalancers a slip of the pen?: nothing was done"
    assert f"sluice: no host of this inventory is {said}" in lines


def test_each_part_of_a_run_makes_the_same_catalogue(inventory: Path) -> None:
    """Else a node that was changed alone would be changed again by the run for all of them."""
    found = set()
    for words in ((), ("--limit", "edge1"), ("--limit", "edge2")):
        assert render(inventory, *words)[0] == 0
        found.add((inventory / ".sluice/catalogue.json").read_text())
    assert len(found) == 1
    change(inventory / "hosts.yml", "host: 192.0.2.12", "host: 192.0.2.12\n          sluice_masquerade_bit: 99")
    assert render(inventory, "--limit", "edge1")[0] == 0, "what is wrong with another node is that one's trouble"
    assert render(inventory)[0] == 2


@pytest.mark.parametrize(
    ("found", "check", "line"),
    [
        ({"backend": "ipvs", "former_backend": "iptables"}, False, "moved from iptables to ipvs generation 9"),
        ({"backend": "iptables", "former_backend": "ipvs"}, True, "would move from ipvs to iptables generation 9"),
        ({"backend": "ipvs", "former_backend": ""}, False, "ipvs generation 9: 51 kernel objects changed"),
        ({"backend": "ipvs", "former_backend": "ipvs"}, True, "ipvs generation 9: 51 kernel objects would change"),
    ],
)
def test_another_backend_is_said(found: dict[str, str], check: bool, line: str) -> None:
    """A migration that the inventory does not know of would be undone by the next run, whose rules say little."""
    counts = {"added": 50, "modified": 1, "removed": 0}
    result = {"changed": True, "generation": 9, "services": [], "counts": counts, **found}
    assert runpy.run_path(str(SUMMARY))["_of_node"](result, check=check) == line


@pytest.mark.parametrize(
    ("services", "check", "line"),
    [
        (["+ shop/new (ClusterIP 10.96.0.1, 0 endpoints)", "- shop/old", "shop/web:http: + 10.0.0.1:80"], False, ""),
        (["- shop/old", "- shop/web"], True, "without Sluice: 2 Services would be removed"),
        (["shop/web:http: - 10.0.0.1:80", "shop/web:https: - 10.0.0.1:443"], True, ": 1 Service would change"),
    ],
)
def test_what_changes_is_counted_by_service(services: list[str], check: bool, line: str) -> None:
    counts = {"added": 50, "modified": 1, "removed": 0}
    result = {"changed": True, "backend": "" if "without" in line else "ipvs", "generation": 9, "services": services}
    told = runpy.run_path(str(SUMMARY))["_of_node"]({**result, "counts": counts}, check=check)
    assert told.endswith(line or ": 1 Service added, 1 removed, 1 changed")


def test_what_is_out_is_told() -> None:
    told = runpy.run_path(str(SUMMARY))["_of_out"]
    assert told({"out": []}) == told({}) == ""
    assert told({"out": ["10.0.0.1:80 is down"]}) == ", out: 10.0.0.1:80 is down"
    assert told({"out": ["a", "b", "c", "d", "e"]}) == ", out: a, b, c, 2 more"


def test_a_file_of_variables_that_is_no_yaml_is_named(inventory: Path) -> None:
    """ansible-core 2.19 says that YAML parsing failed, and not of which file."""
    variables = inventory / "group_vars/load_balancers.yml"
    variables.write_text("sluice_ip_families:\n\t- IPv4\n")
    code, lines = render(inventory)
    assert code
    assert f"{variables}:2: YAML syntax: a tab stands where only blanks may: YAML indents with blanks" in lines


def test_a_value_of_the_command_line_is_not_blamed_on_the_inventory(inventory: Path) -> None:
    code, lines = render(inventory, "-e", "sluice_backend=ipsv")
    said = "--extra-vars: hosts edge1, edge2: sluice_backend: must be one of iptables, ipvs, nftables, is 'ipsv'"
    assert (code, lines.count(said)) == (2, 1)
