"""Files of variables that no host gets, and those that are no YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice import variable_files

GROUPS = ("all", "ungrouped", "load_balancers", "endpoints")
HOSTS = ("lb1", "web1")
OURS = "sluice_backend: ipvs\n"


def write(path: Path, text: str = OURS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_key_that_is_there_twice_is_a_warning(tmp_path: Path) -> None:
    """Ansible goes on with the second one."""
    hosts = tmp_path / "hosts.yml"
    hosts.write_text("all:\n  hosts:\n    a: {}\n    a: {}\n")
    (fault,) = variable_files.broken([str(hosts)])
    assert (fault.line, fault.warning) == (4, True)
    assert str(fault).endswith("the key 'a' is there twice")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("group_vars/load_balancers.yml", ""),
        ("group_vars/load_balancers", ""),
        ("group_vars/load_balancers/sluice.yml", ""),
        ("group_vars/all.yml", ""),
        ("group_vars/.load_balancer.yml.swp", ""),
        ("group_vars/load_balancer.yml~", ""),
        ("host_vars/lb1.json", ""),
        ("host_vars/lb1.example.com.yml", "there is no host lb1.example.com"),
        ("group_vars/loadbalancers.yml", "there is no group loadbalancers, did you mean load_balancers?"),
        ("group_vars/loadbalancers/sluice.yml", "there is no group loadbalancers, did you mean load_balancers?"),
        (
            "group_vars/load_balancers.yam",
            "is not read: the names of files of variables end with .yml, .yaml, .json",
        ),
        ("host_vars/lb2.yml", "there is no host lb2, did you mean lb1?"),
    ],
)
def test_settings_that_no_host_gets(name: str, message: str, tmp_path: Path) -> None:
    file = write(tmp_path / name)
    hosts = write(tmp_path / "hosts.yml", "")
    entry = file.parent if file.name == "sluice.yml" else file
    for source in (hosts, tmp_path):
        faults = variable_files.unread([str(source)], GROUPS, HOSTS)
        assert list(map(str, faults)) == ([f"{entry}: warning: {message}"] if message else [])
    write(file, "backend: ipvs\n# sluice_backend: ipvs\n")
    assert variable_files.unread([str(hosts)], GROUPS, HOSTS) == [], "another inventory's"


def test_what_is_no_yaml(tmp_path: Path) -> None:
    hosts = write(tmp_path / "hosts.yml", "load_balancers:\n\thosts:\n")
    group = write(tmp_path / "group_vars/load_balancers/a.yml", "a: [\n")
    (tmp_path / "group_vars/load_balancers/loop").symlink_to(tmp_path)
    write(tmp_path / "group_vars/all.yml", "$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    write(tmp_path / "host_vars/lb1", "---\npassword: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\nb: !unsafe '{{'\n")
    found = [(fault.file, fault.line) for fault in variable_files.broken([str(hosts)])]
    assert found == [(str(hosts), 2), (str(group), 2)]
    assert variable_files.broken(["lb1,lb2", str(tmp_path / "elsewhere" / "missing")]) == []


def test_an_inventory_that_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "group_vars/nobody.yml")
    monkeypatch.chdir(tmp_path)
    assert variable_files.unread(["lb1,"], GROUPS, HOSTS) == []
    assert len(variable_files.unread(["hosts.yml"], GROUPS, HOSTS)) == 1
