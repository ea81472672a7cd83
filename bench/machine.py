"""A node with a kernel that has IPVS: a virtual machine, whose own clock is asked (ipvs_node.py)."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator

from process import REPOSITORY, MeasureError, Run, median
from results import Ipvs

MACHINES = REPOSITORY / "lab" / "vm" / "machines"
CANNOT = 77
"""What it exits with where this host can run none."""

NAME, BRIDGE, ADDRESS, OURS = "node", "bench", "198.51.100.1", "198.51.100.254"
ROUNDS = 3
"""First applies, and loads by the kernel's tools; the median counts."""


def obstacle() -> str:
    """Why no virtual machine can run here; nothing where one can. Makes their image (a minute, once)."""
    done = subprocess.run([MACHINES, "check"], capture_output=True, text=True, check=False)
    if done.returncode not in (0, CANNOT):
        raise MeasureError(" ".join((done.stdout + done.stderr).split()))
    return "" if done.returncode == 0 else " ".join((done.stdout + done.stderr).split())


def measure(folder: pathlib.Path) -> list[Ipvs]:
    """What is measured on nodes with the files that ``folder``/nodes/SERVICES holds. Needs a network of its own."""
    found = []
    with _machine(folder) as ssh:
        processor = _said(ssh, "systemd-detect-virt || true").strip()
        for services in sorted(int(path.name) for path in (folder / "nodes").iterdir()):
            runs: dict[str, list[Run]] = {}
            for part in ("floor", "apply") * ROUNDS:
                # A network namespace each, as empty as the one before.
                answer = _said(ssh, f"cd sluice && unshare --net python3 bench/ipvs_node.py {part} {services}")
                for name, taken in json.loads(answer).items():
                    runs.setdefault(name, []).extend(Run(*each) for each in taken)
            found.append(Ipvs(services, processor, {name: median(each) for name, each in runs.items()}))
    return found


@contextlib.contextmanager
def _machine(folder: pathlib.Path) -> Iterator[list[str]]:
    """Boot a machine with the engine and the nodes' files; gives how to run a command there."""
    files, state = folder / "files", folder / "machines"
    network = files / "etc" / "systemd" / "network" / "eth0.network"
    network.parent.mkdir(parents=True)
    network.write_text(f"[Match]\nName=eth0\n[Network]\nAddress={ADDRESS}/24\n", encoding="ascii")
    for words in (
        f"link add {BRIDGE} type bridge",
        f"address add {OURS}/24 dev {BRIDGE}",
        f"link set {BRIDGE} up",
        "link set lo up",
    ):
        _run("ip", *words.split())
    try:
        _run(
            *(str(MACHINES), "start", str(state), NAME, "within=", f"bridges={BRIDGE}", f"files={files}"),
            *(f"address={ADDRESS}", "clock=instructions"),
        )
        _run(str(MACHINES), "wait", str(state), NAME)
        ssh = ["ssh", "-F", str(state / "ssh_config"), NAME]
        pack = ["tar", "-c", "-C", str(REPOSITORY), "--exclude=__pycache__", "bench", "module_utils/sluice"]
        with subprocess.Popen([*pack, "-C", str(folder), "nodes"], stdout=subprocess.PIPE) as tar:
            unpack = "mkdir sluice && tar -x -m -C sluice && python3 -m compileall -q sluice"
            _run(*ssh, unpack, stdin=tar.stdout)
        yield ssh
    finally:
        with contextlib.suppress(OSError):
            os.kill(int((state / NAME / "pid").read_text(encoding="ascii")), signal.SIGKILL)
        _run(str(MACHINES), "forget", str(state))


def _said(ssh: list[str], command: str) -> str:
    return _run(*ssh, command)


def _run(*command: str, stdin: object = subprocess.DEVNULL) -> str:
    done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=False)  # type: ignore[call-overload]
    if done.returncode:
        raise MeasureError(f"{command[-1]}: {' '.join((done.stderr or done.stdout).split())[-500:]}")
    return str(done.stdout)
