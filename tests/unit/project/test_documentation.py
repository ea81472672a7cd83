"""What the documentation says is so: settings, tables, examples, pictures, links, and the sample inventory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from sluice import render, settings
from sluice.backends.registry import BACKENDS
from sluice.catalogue import compiled, sources

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "inventory/sample"
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "roles/*/README.md", "lab/*.md")
    for page in ROOT.glob(pattern)
)
DEFAULTS = {
    # Known only where the node is.
    "node_name": "inventory_hostname",
    "node_addresses": "gathered",
    "node_ips": "gathered",
}
NOT_OF_A_ROLE = {
    *(f"sluice_{name}" for name in ("endpoint_hosts", "render_dir", "serial", "generation", "consent")),
    *(f"sluice_drain{name}" for name in ("", "_node", "_state")),
}
"""Names that have the prefix and that nobody sets in an inventory."""


def entry_points() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Role, entry point and its options, of all roles."""
    for role in ROLES:
        specs = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())["argument_specs"]
        yield from ((role, name, spec["options"]) for name, spec in specs.items())


def options() -> dict[str, dict[str, Any]]:
    """All options that are inventory variables, by name. Each stands in one entry point only."""
    found: dict[str, dict[str, Any]] = {}
    for role, entry_point, several in entry_points():
        for name, option in several.items():
            if name.startswith(settings.PREFIX):
                assert name not in found, f"{name} is documented again in {role} {entry_point}"
                found[name] = option
    return found


def shown(name: str, value: Any) -> str:
    """A default as a description says it, in YAML."""
    if name in DEFAULTS:
        return DEFAULTS[name]
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).strip().removesuffix("\n...")
    return text.replace("'", '"')


def told_default(option: Mapping[str, Any]) -> str:
    default = option["description"][0].partition(" Default ")[2].rstrip(".")
    return re.sub(r"V\((.*)\)", r"\1", default)


# --- settings and argument specs

FIELDS = settings.Settings._fields


@pytest.mark.parametrize("field", FIELDS)
def test_setting_is_documented_with_its_default(field: str) -> None:
    defaults = settings.to_variables(settings.Settings())
    option = options()[f"sluice_{field}"]
    assert told_default(option) == shown(field, defaults[f"sluice_{field}"])


def test_no_more_is_documented_than_there_is() -> None:
    others = {settings.PREFIX + name for name in settings._NOT_ON_A_NODE} - NOT_OF_A_ROLE
    known = {f"sluice_{field}" for field in FIELDS} | others | {"sluice_weight"}
    assert set(options()) == known


@pytest.mark.parametrize("name", options())
def test_ansible_neither_sets_nor_demands_a_setting(name: str) -> None:
    # A null means the default; Ansible lets it through only where the spec has no default.
    assert not {"default", "required"} & set(options()[name])


@pytest.mark.parametrize("field", FIELDS)
def test_type_is_what_the_engine_takes(field: str) -> None:
    option, value = options()[f"sluice_{field}"], getattr(settings.Settings(), field)
    types = {bool: "bool", int: "int", str: "str", tuple: "list", dict: "dict"}
    # A range is text, and a probe is kept as text of what is a mapping in an inventory.
    others = {"nodeport_range": "str", "health_check": "raw"}
    assert option["type"] == others.get(field, types[type(value)])


@pytest.mark.parametrize("name", [name for name, option in options().items() if "choices" in option])
def test_choices_are_the_engine_s(name: str) -> None:
    option = options()[name]
    for choice in option["choices"]:
        value = [choice] if option["type"] == "list" else choice
        found, faults = settings.from_variables({name: value}, backends=BACKENDS)
        assert not faults
        assert settings.to_variables(found)[name] == value
    with pytest.raises(settings.InputError) as caught:
        settings.from_variables({name: "nonsense"}, backends=BACKENDS)
    assert f"one of {', '.join(option['choices'])}," in str(caught.value)


@pytest.mark.parametrize(
    "variables",
    [
        settings.to_variables(settings.Settings()),
        {f"sluice_{field}": None for field in FIELDS if "choices" not in options()[f"sluice_{field}"]},
        {"sluice_masquerade_all": "true", "sluice_masquerade_bit": "14", "sluice_nodeport_addresses": "primary"},
        {"sluice_ip_families": "IPv4,IPv6"},
    ],
    ids=["defaults", "null", "text", "comma"],
)
def test_ansible_takes_what_the_engine_takes(variables: dict[str, Any]) -> None:
    settings.from_variables(variables, backends=BACKENDS)
    spec = {name: {**option} for name, option in options().items()}
    assert ArgumentSpecValidator(spec).validate(variables).error_messages == []


# --- roles


@pytest.mark.parametrize("role", ROLES)
def test_role_is_described(role: str) -> None:
    for name in ("README.md", "meta/main.yml", "meta/argument_specs.yml"):
        assert (ROOT / "roles" / role / name).is_file()
    assert f"roles/{role}/README.md" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_of_a_role_is_documented(role: str) -> None:
    documented = {name for _role, _entry, several in entry_points() for name in several}
    own = {name for found, _entry, several in entry_points() if found == role for name in several}
    defaults = ROOT / "roles" / role / "defaults/main.yml"
    declared = yaml.safe_load(defaults.read_text()) if defaults.exists() else {}
    for name, value in declared.items():
        assert name in own
        assert any(several.get(name, {}).get("default") == value for _role, _entry, several in entry_points())
    used: set[str] = set()
    computed = ROOT / "roles" / role / "vars/main.yml"
    registered = set(yaml.safe_load(computed.read_text()) if computed.exists() else ())
    for path in [*(ROOT / "roles" / role).glob("tasks/*.yml"), *(ROOT / "roles" / role).glob("templates/*")]:
        text = path.read_text()
        registered |= set(re.findall(r"(?:register|loop_var): (\w+)", text))
        # Variables, not attributes of others nor filters of the collection.
        prefixes = "|".join(["sluice", *ROLES])
        used |= set(re.findall(rf"(?<![\w.])(?:{prefixes})_[a-z_]+", text))
    assert used - registered - {"node_facts"} <= documented


def test_entry_points_are_those_that_playbooks_and_roles_use() -> None:
    documented = {(role, entry) for role, entry, _options in entry_points()}
    used = set()
    for playbook in [*(ROOT / "playbooks").glob("*.yml"), *(ROOT / "roles").glob("*/tasks/*.yml")]:
        text = playbook.read_text()
        for role, entry in re.findall(r"name: sluice\.lb\.(\w+)\n(?:\s+tasks_from: (\w+))?", text):
            used.add((role, entry or "main"))
        if 'name: "sluice.lb.{{ node_settings.sluice_backend }}"' in text:
            used.update((backend, "main") for backend in BACKENDS)
    assert documented == used


# --- pages


@pytest.mark.parametrize(
    "tool", ["write_tables", "draw_packet_way", "draw_nftables_way", "run_examples", "write_manual"]
)
def test_what_is_made_by_a_tool_is_current(tool: str) -> None:
    command = [sys.executable, f"tools/{tool}.py", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


# Figures that a benchmark wrote are as wide as they are.
@pytest.mark.parametrize("page", [page for page in PAGES if "bench" not in page])
def test_tables_fit(page: str) -> None:
    assert [line for line in (ROOT / page).read_text().splitlines() if line.startswith("|") and len(line) > 120] == []


@pytest.mark.parametrize("page", PAGES)
def test_yaml_is_yaml(page: str) -> None:
    for block in re.findall(r"^```yaml\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE):
        if "bad.yml" not in block:  # shows a fault of syntax, too
            assert all(isinstance(entry, (dict, list)) for entry in yaml.safe_load_all(block))


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(page: str) -> None:
    """Playbooks, make targets and subcommands that a page tells to use."""
    text = (ROOT / page).read_text()
    targets = set(re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = {word for line in targets for word in line.split()}
    help_text = subprocess.run(
        [sys.executable, "-m", "sluice", "--help"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "module_utils")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    code = "\n".join(re.findall(r"^ *```(?:sh|console)\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE))
    code += "\n" + "\n".join(re.findall(r"`([^`\n]+)`", text))
    for name in re.findall(r"\b(?:playbooks/\w+|site)\.yml", code):
        assert (ROOT / name).is_file(), name
    for target in re.findall(r"^make ([a-z-]+)", code, re.MULTILINE):
        assert target in made, target
    for subcommand in re.findall(r"^(?:\$ )?sluice ([a-z]+)", code, re.MULTILINE):
        assert re.search(rf"^ +{subcommand} ", help_text, re.MULTILINE), subcommand


def test_modules_that_contributing_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    folders = ("", "module_utils/sluice", "tools", "roles/node", "playbooks", "tests/golden")
    for name in re.findall(r"`(?:python )?((?!RELEASE)[\w./]+\.(?:py|yml|yaml|md))`", text):
        assert any((ROOT / folder / name).is_file() for folder in folders), name
    for name in re.findall(r"`(_\w+)\(\)`", text):
        assert any(f"def {name}(" in path.read_text() for path in (ROOT / "module_utils/sluice").rglob("*.py")), name


def test_the_lab_s_output_is_about_the_lab() -> None:
    text = (ROOT / "README.md").read_text()
    printed = re.search(r"^```text\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert printed
    entries = yaml.safe_load((ROOT / "lab/expectations.yml").read_text())
    expected = {(entry["service"], each["kind"], each["to"]) for entry in entries for each in entry["addresses"]}
    service, found = "", set()
    for line in printed[1].splitlines():
        service = line if re.fullmatch(r"[\w-]+/[\w-]+", line) else service
        row = re.match(r"  (ClusterIP|NodePort|LoadBalancer|HostPort|external IP) +(\S+) ", line)
        if row:
            found.add((service, row[1], row[2].removesuffix("/tcp").removesuffix("/udp")))
    assert found
    assert found <= {(name, kind, to.removesuffix("/udp")) for name, kind, to in expected}


# --- the sample inventory


def sample_hosts() -> list[dict[str, Any]]:
    hosts = yaml.safe_load((SAMPLE / "hosts.yml").read_text())["all"]["children"]["endpoints"]["hosts"]
    return [
        {
            "name": name,
            "endpoint_ip": variables["ansible_host"],
            **{key.removeprefix("sluice_"): value for key, value in variables.items() if key.startswith("sluice_")},
        }
        for name, variables in hosts.items()
    ]


def test_sample_settings_in_comments_are_settings() -> None:
    text = (SAMPLE / "group_vars/load_balancers.yml").read_text()
    variables = yaml.safe_load(re.sub(r"^# (sluice_\w+: )", r"\1", text, flags=re.MULTILINE))
    literal = {key: value for key, value in variables.items() if "{{" not in str(value)}
    _found, warnings = settings.from_variables(literal)
    assert warnings == []
    assert len(variables) > 10
    assert ArgumentSpecValidator({**options()}).validate(variables).error_messages == []


@pytest.mark.skipif(not shutil.which("ansible-playbook", path=str(Path(sys.executable).parent)), reason="no Ansible")
def test_sample_renders(tmp_path: Path) -> None:
    inventory = tmp_path / "mine"
    shutil.copytree(SAMPLE, inventory)
    command = [
        Path(sys.executable).with_name("ansible-playbook"),
        "-i",
        inventory / "hosts.yml",
        "playbooks/render.yml",
    ]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr

    variables = yaml.safe_load((SAMPLE / "group_vars/load_balancers.yml").read_text())
    nodes = {}
    for name, address in (("edge1", "192.0.2.11"), ("edge2", "192.0.2.12")):
        own = {"sluice_node_name": name, "sluice_node_addresses": ["127.0.0.1", "::1", address]}
        nodes[name], warnings = settings.from_variables({**variables, **own})
        assert warnings == []
    given = sources.read([str(SAMPLE / "services")])
    catalogue, warnings = sources.catalogue_of(given, sample_hosts(), render.checks_for(nodes.values()))
    assert warnings == []
    for name, node in nodes.items():
        written = {path.name: path.read_text() for path in (inventory / "rendered" / name).iterdir()}
        assert written == render.render(render.views(catalogue, node), node, compiled.text(catalogue))
        # An endpoint that is not ready, one by a port's name, one by a slice.
        assert "192.0.2.23:8081" not in written["iptables.rules"]
        assert "192.0.2.22:8080" in written["iptables.rules"]
        assert "192.0.2.41:5353" in written["iptables.rules"]
