"""A site of one node or more, in namespaces, that playbooks are run against."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
RECORDER = Path(__file__).with_name("syslog_recorder.py")
REMOTE_TMP = "/tmp/sluice-remote"


class Ran(NamedTuple):
    """A run of a playbook: its exit code, what it printed, and its recap."""

    code: int
    output: str

    @property
    def modules(self) -> list[str]:
        """The modules that ran, in their order."""
        return re.findall(r"Using module file \S+/(\w+)\.py", self.output)

    @property
    def sent(self) -> list[str]:
        """The names of the files that were sent to the node, sorted."""
        return sorted(re.findall(r"cat > \S+/([\w.]+\.(?:rules|json))\b", self.output))

    @property
    def changed(self) -> int:
        return int(re.findall(r" changed=(\d+) ", self.output)[-1])


class Site:
    """A node of the lab, if need be with ``others``, their inventory and catalogue."""

    def __init__(self, folder: Path, *others: str) -> None:
        self.folder = folder
        self.inventory = folder / "hosts.yml"
        self.names: tuple[str, ...] = ()
        self.as_declared = False
        variables = {
            "ansible_connection": "sluice.lb.netns",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_remote_tmp": REMOTE_TMP,
        }
        node = {"sluice_node_addresses": ["127.0.0.1", "192.0.2.1"], "sluice_node_ips": ["192.0.2.1"]}
        groups = {"load_balancers": {"hosts": dict.fromkeys(("node", *others), node)}}
        self.inventory.write_text(yaml.safe_dump({"all": {"vars": variables, "children": groups}}))
        (folder / "services").mkdir()

    def declare(self, *names: str) -> None:
        """Make Services of these names the catalogue."""
        self.names = names
        self.as_declared = False
        objects: list[dict[str, Any]] = []
        for name in names:
            number = sum(name.encode()) % 250
            metadata = {"name": name, "namespace": "shop"}
            ports = [{"port": 80, "protocol": "TCP"}]
            spec = {"clusterIP": f"10.96.0.{number}", "ports": ports}
            labels = {"kubernetes.io/service-name": name}
            objects += [
                {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec},
                {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "metadata": {**metadata, "labels": labels},
                    "addressType": "IPv4",
                    "ports": ports,
                    "endpoints": [{"addresses": [f"10.244.0.{number}"]}],
                },
            ]
        (self.folder / "services/all.yml").write_text(yaml.safe_dump_all(objects))

    def run(self, *command: str | Path, environment: dict[str, str] | None = None) -> Ran:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=ROOT,
            env={
                **os.environ,
                "SLUICE_LAB_STATE": str(self.folder / "state"),
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_NOCOLOR": "1",
                "LC_ALL": "C.UTF-8",
                **(environment or {}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Ran(done.returncode, done.stdout)

    def play(self, playbook: str, *words: str, fails: bool = False, **environment: str) -> Ran:
        ansible = Path(sys.executable).with_name("ansible-playbook")
        ran = self.run(ansible, "-vvv", "-i", self.inventory, playbook, *words, environment=environment)
        assert (ran.code != 0) is fails, ran.output
        self.as_declared = playbook == "site.yml" and not words
        return ran

    def lab(self, *words: str) -> str:
        ran = self.run(sys.executable, ROOT / "lab/network.py", "--inventory", self.inventory, *words)
        assert ran.code == 0, ran.output
        return ran.output

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """Its nodes run meanwhile."""
        self.lab("up")
        try:
            yield
        finally:
            self.lab("down")

    @contextlib.contextmanager
    def recording(self) -> Iterator[Callable[[], list[str]]]:
        """What the node's syslog gets meanwhile: a function that gives the messages up to now."""
        source = RECORDER.read_text()
        lab = [sys.executable, str(ROOT / "lab/network.py"), "--inventory", str(self.inventory)]
        enter = [*lab, "enter", "node", "/usr/bin/python3", "-c", source, "/tmp/syslog"]
        environment = {**os.environ, "SLUICE_LAB_STATE": str(self.folder / "state")}
        with subprocess.Popen(enter, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            try:
                yield lambda: [text for text in self.shell("cat /tmp/syslog").split("\n\n") if text]
            finally:
                self.shell("umount -l /dev; umount -l /tmp/syslog.devices; rm -r /tmp/syslog*")
                process.kill()

    def shell(self, script: str, on: str = "node") -> str:
        """What a shell script printed on a node."""
        return self.lab("enter", on, "/bin/sh", "-ec", script)

    def meddle(self, script: str) -> None:
        """Run a shell script that changes the node."""
        self.as_declared = False
        self.shell(script)

    def state(self) -> str:
        """All that check mode must not touch, as text."""
        folders = "/etc/sluice /etc/sysctl.d /etc/modprobe.d /etc/modules-load.d /var/lib/sluice /usr/local/lib/sluice"
        files = f"find {folders} -type f -exec sha256sum {{}} + | sort"
        return self.shell(f"iptables-save | grep -v '^#'; ip6tables-save | grep -v '^#' || true; {files}")

    def files(self) -> dict[str, str]:
        """The node's files, by name."""
        names = self.shell("ls /etc/sluice").split()
        return {name: self.shell(f"cat /etc/sluice/{name}") for name in names}

    def status(self, on: str = "node") -> dict[str, Any]:
        """What ``sluice status`` says there, well or not."""
        found: dict[str, Any] = json.loads(self.shell("sluice status --json || true", on))
        return found
