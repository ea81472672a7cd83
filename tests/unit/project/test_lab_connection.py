"""The connection plugin netns: it enters the host that it means, and files land there with and without pipelining."""

from __future__ import annotations

import functools
import os
import pathlib
import subprocess
import sys

import network
import pytest
import topology
import yaml
from ansible_collections.sluice.lb.plugins.connection import netns

ROOT = pathlib.Path(__file__).resolve().parents[3]


def test_keeper_is_this_process(tmp_path: pathlib.Path) -> None:
    state = tmp_path / "lb1"
    state.write_text(f"{os.getpid()} {network.start_time(os.getpid())} digest\n", encoding="ascii")
    assert netns.keeper(state) == os.getpid()


@pytest.mark.parametrize("content", ["1 1 digest\n", "4194304 1 digest\n", "", "none\n"])
def test_keeper_refuses_any_other_process(tmp_path: pathlib.Path, content: str) -> None:
    state = tmp_path / "lb1"
    state.write_text(content, encoding="ascii")
    with pytest.raises((OSError, ValueError)):
        netns.keeper(state)


PLAY = """
- hosts: node
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        content: "of {{ inventory_hostname }}\\n"
        dest: "/etc/sluice lab test"
        mode: "0600"
    - ansible.builtin.fetch:
        src: "/etc/sluice lab test"
        dest: "{{ fetched }}"
        flat: true
    - ansible.builtin.command: "true"
      become: true
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
@pytest.mark.parametrize("pipelining", ["0", "1"])
def test_files_land_on_the_host(tmp_path: pathlib.Path, pipelining: str) -> None:
    inventory, play, fetched = (tmp_path / name for name in ("hosts.yml", "play.yml", "fetched"))
    variables = {"ansible_connection": "sluice.lb.netns", "ansible_python_interpreter": "/usr/bin/python3"}
    inventory.write_text(yaml.safe_dump({"all": {"vars": variables, "hosts": {"node": {}}}}), encoding="utf-8")
    play.write_text(PLAY, encoding="utf-8")
    environment = {
        **os.environ,
        "SLUICE_LAB_STATE": str(tmp_path / "state"),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_PIPELINING": pipelining,
        "LC_ALL": "C.UTF-8",
    }

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
        )

    lab = (sys.executable, str(ROOT / "lab/network.py"), "--inventory", str(inventory))
    playbook = str(pathlib.Path(sys.executable).with_name("ansible-playbook"))
    try:
        assert run(*lab, "up").stdout == "changed=1\n"
        done = run(playbook, "-i", str(inventory), "-e", f"fetched={fetched}", str(play))
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        run(*lab, "down")
    assert fetched.read_text(encoding="utf-8") == "of node\n"
    assert not pathlib.Path("/etc/sluice lab test").exists()


def test_ansible_looks_for_hosts_where_the_lab_keeps_them() -> None:
    """In a folder of this checkout, unless the environment names another."""
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8"}
    environment.pop("SLUICE_LAB_STATE", None)
    inventories = [f"--inventory={path}" for path in (topology.INVENTORY, ROOT / "inventory/lab-machines/hosts.yml")]
    ask = ["ansible", "lb1", "-m", "debug", "-a", "msg={{ ansible_netns_state_dir }}", *inventories]
    asked = "import network; print(network.STATE)"
    for more in ({}, {"SLUICE_LAB_STATE": "/run/elsewhere"}):
        run = functools.partial(
            subprocess.run, env={**environment, **more}, stdout=subprocess.PIPE, text=True, check=True, timeout=600
        )
        state = run([sys.executable, "-c", asked], cwd=ROOT / "lab").stdout.strip()
        assert state == more.get("SLUICE_LAB_STATE", state)
        assert f"msg: {state}\n" in run([pathlib.Path(sys.executable).with_name(ask[0]), *ask[1:]], cwd=ROOT).stdout
