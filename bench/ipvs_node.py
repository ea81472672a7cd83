"""What is measured on one node in IPVS mode; runs there, in a network namespace of its own.

``ipvs_node.py apply|floor SERVICES``: ``sluice apply``, or the kernel's own tools with the same files, which lie in
``nodes/SERVICES/STATE`` of the folder above. Prints the runs as JSON.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys
import time

from process import NODE_PYTHON, REPOSITORY, MeasureError, Run, run, sluice

sys.path.insert(0, str(REPOSITORY / "module_utils"))

from sluice import render
from sluice.backends.ipvs.tables import DEVICE
from sluice.settings import Settings

REST = 2
"""Seconds in which the kernel clears up an earlier namespace: thousands of virtual servers take some."""


def measure_apply(node: pathlib.Path) -> dict[str, list[Run]]:
    """A first apply, then one with nothing to do, then changes and back."""

    def apply(state: str) -> Run:
        return sluice(NODE_PYTHON, "apply", "--dir", node / state)

    shutil.rmtree("/var/lib/sluice", ignore_errors=True)
    runs = {"first": [apply("base")], "again": [apply("base")]}
    for name, state in (("endpoint", "endpoint"), ("", "base"), ("added", "added"), ("removed", "base")):
        taken = apply(state)
        if not taken.lines:
            raise MeasureError(f"{state}: an apply that has to change something sent nothing")
        runs.setdefault(name or "endpoint", []).append(taken)
    return runs


def measure_floor(node: pathlib.Path) -> dict[str, list[Run]]:
    """The kernel's tools: what loads the files, then what prints what is there."""
    files = node / "base"
    addresses = (files / "addresses").read_text(encoding="ascii").split()
    batch = node / "batch"
    lines = [f"link add {DEVICE} type dummy", f"link set {DEVICE} arp off"]
    batch.write_text("\n".join([*lines, *(f"address add {prefix} dev {DEVICE}" for prefix in addresses), ""]))
    commands = {
        "ipset restore": (["ipset", "restore"], files / "ipset.conf"),
        "ipvsadm -R": (["ipvsadm", "-R"], files / "ipvs.conf"),
        "ip -batch": (["ip", "-batch", "-"], batch),
        "iptables-restore": (["iptables-nft-restore"], files / "iptables.rules"),
        "ipset save": (["ipset", "save"], None),
        "ipvsadm -Sn": (["ipvsadm", "-Sn"], None),
        "python": ([NODE_PYTHON, "-c", "pass"], None),
    }
    return {name: [run(command, input_file=text)[0]] for name, (command, text) in commands.items()}


if __name__ == "__main__":
    modules = render.needs({}, Settings(backend="ipvs"), ()).modules
    subprocess.run(["modprobe", "--all", *modules], check=True)
    # Without any local address every address of a real server is refused.
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    time.sleep(REST)
    measure = {"apply": measure_apply, "floor": measure_floor}[sys.argv[1]]
    try:
        print(json.dumps(measure(REPOSITORY / "nodes" / sys.argv[2])))
    except MeasureError as error:
        sys.exit(str(error))
