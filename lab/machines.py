"""The lab's virtual machines, by lab/vm/machines."""

from __future__ import annotations

import ipaddress
import pathlib
import subprocess
import tempfile

from topology import MACHINE, Host, LabError, bridges, gateways
from wires import sysctls

PROGRAM = pathlib.Path(__file__).resolve().parent / "vm/machines"
SKIPPED = 77  # what it exits with where none can run


def run(*words: str) -> None:
    done = subprocess.run([str(PROGRAM), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        what = "no virtual machine can run here" if done.returncode == SKIPPED else f"vm/machines {words[0]}"
        raise LabError(f"{what}: {(done.stdout + done.stderr).strip()}")


def files(host: Host, carrier: Host) -> dict[str, str]:
    """The files that make a virtual machine this host of the lab: its links (systemd.network(5)) and sysctls."""
    links = [(host.addresses, gateways(host, carrier)), *((at, []) for _, at in host.networks)]
    # The kernel of a machine of 512 MB remembers 4,096 connections, and closed ones for a minute or two.
    values = {**sysctls("*"), "net/netfilter/nf_conntrack_max": 131072}
    found = {
        "etc/modules-load.d/lab.conf": "nf_conntrack\n",
        "etc/sysctl.d/lab.conf": "".join(f"{name} = {value}\n" for name, value in values.items()),
    }
    for number, (at, via) in enumerate(links):
        lines = ["[Match]", f"Name=eth{number}", "[Network]", "IPv6AcceptRA=no", "IPv6DuplicateAddressDetection=0"]
        lines += [f"Address={address}" for address in at] + [f"Gateway={gateway}" for gateway in via]
        found[f"etc/systemd/network/eth{number}.network"] = "\n".join(lines) + "\n"
    return found


def start(state: pathlib.Path, host: Host, carrier: Host, pids: dict[str, int]) -> int:
    """Start the virtual machine of a host whose namespaces are there; its PID. It boots when this returns."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files(host, carrier).items():
            file = pathlib.Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")
        run(
            "start",
            str(state),
            host.name,
            f"within=nsenter --target={pids[host.name]} --net",
            f"from=nsenter --target={pids[carrier.name]} --net",
            f"bridges={' '.join(bridges(host))}",
            f"files={folder}",
            f"address={ipaddress.ip_interface(host.addresses[0]).ip}",
        )
    return int((state / host.name / "pid").read_text(encoding="ascii"))


def forget(state: pathlib.Path, kept: set[str]) -> None:
    """Remove what is left of those that are not ``kept``, but for their processes."""
    if state.is_dir():
        gone = [own.name for own in state.iterdir() if own.is_dir() and own.name + MACHINE not in kept]
        if gone:
            run("forget", str(state), *gone)
