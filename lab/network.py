#!/usr/bin/env python3
"""The embedded lab: every host of an inventory as namespaces of this computer, joined as a routed network.

    network.py up        start what is missing or changed; the last line is changed=N
    network.py down      end all of it
    network.py status    what runs
    network.py enter HOST [COMMAND ...]

Nothing of this computer's own network is touched: links are made inside of the namespaces. State is a small file a
process.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import pathlib
import shlex
import shutil
import signal
import sys
import time
import typing

import machines
import namespaces
import topology
import wires
import yaml
from topology import INVENTORY, MACHINE, Host, LabError

HERE = pathlib.Path(__file__).resolve().parent
# Each checkout has a lab of its own; inventory/lab/hosts.yml says the same to Ansible.
OWN = hashlib.sha256(str(INVENTORY.parent).encode()).hexdigest()[:8]
STATE = pathlib.Path(os.environ.get("SLUICE_LAB_STATE", f"/run/sluice-lab-{OWN}"))
ENDPOINT = HERE / "endpoint.py"
MACHINES = STATE / "machines"  # what belongs to virtual machines, ssh's configuration among it
STOP_TIMEOUT = 60.0  # seconds until the kernel has to have taken a killed host apart


def digests(hosts: dict[str, Host]) -> dict[str, str]:
    """What each process was started from, those that it hangs on and the program that it runs included."""
    scripts = ("endpoint.py", "namespaces.py", "network.py", "wires.py")
    own = b"".join((HERE / script).read_bytes() for script in scripts)
    machine = b"".join(script.read_bytes() for script in [HERE / "machines.py", *sorted((HERE / "vm").iterdir())])
    found = {"": ""}
    for part, above in topology.parts(hosts).items():
        host = hosts[part.removesuffix(MACHINE)]
        program = machine if part.endswith(MACHINE) else own
        found[part] = hashlib.sha256(program + repr((host, found[above])).encode()).hexdigest()[:16]
    return found


# State: STATE/NAME and STATE/NAME.machine hold "PID STARTTIME DIGEST".


def start_time(pid: int) -> str:
    """Field 22 of /proc/PID/stat (proc(5)), by which a process is told from a later one of the same number.

    Raises OSError where it has ended, also if nobody has waited for it yet.
    """
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    if fields[0] == "Z":
        raise ProcessLookupError(pid)
    return fields[19]


def running() -> dict[str, tuple[int, str]]:
    """PID and digest of every host and virtual machine that runs."""
    found: dict[str, tuple[int, str]] = {}
    if STATE.is_dir():
        for file in sorted(file for file in STATE.iterdir() if file.is_file()):
            pid, started, digest = file.read_text(encoding="ascii").split()
            try:
                alive = start_time(int(pid)) == started
            except OSError:
                alive = False
            if alive:
                found[file.name] = (int(pid), digest)
    return found


def note(part: str, pid: int, digest: str) -> None:
    (STATE / part).write_text(f"{pid} {start_time(pid)} {digest}\n", encoding="ascii")


def stop(pids: list[int]) -> None:
    """End hosts: with its first process a PID namespace ends, with that the rest. Returns when they are gone."""
    started = {}
    for pid in pids:
        try:
            started[pid] = start_time(pid)
            os.kill(pid, signal.SIGKILL)
        except OSError:
            continue
    deadline = time.monotonic() + STOP_TIMEOUT
    for pid, since in started.items():
        while time.monotonic() < deadline:
            try:
                if start_time(pid) != since:
                    break
            except OSError:
                break
            time.sleep(0.01)
        else:
            raise LabError(f"process {pid} does not end")


def up(hosts: dict[str, Host]) -> int:
    """Bring the lab to what the inventory says; the number of hosts and machines that were started or ended."""
    require_programs()
    virtual = [host for host in hosts.values() if host.machine]
    if virtual:
        machines.run("check")
    wanted = digests(hosts)
    hanging = topology.parts(hosts)
    now = running()
    pids: dict[str, int] = {}
    for part, above in hanging.items():
        if part in now and now[part][1] == wanted[part] and (not above or above in pids):
            pids[part] = now[part][0]
    kept = set(pids)
    ended = [part for part in now if part not in kept]
    STATE.mkdir(parents=True, exist_ok=True)
    machines.forget(MACHINES, kept)
    stop([now[part][0] for part in ended])
    for file in STATE.iterdir():
        if file.is_file() and file.name not in kept:
            file.unlink()
    by_network = topology.carriers(hosts)
    for host in hosts.values():
        if host.name in kept:
            continue
        pid = namespaces.start(host.name, ENDPOINT, list(host.listen), wires.setup(host))
        note(host.name, pid, wanted[host.name])
        pids[host.name] = pid
        lines = wires.own_links(host)
        if host.network:
            carrier = by_network[host.network]
            if carrier.name in kept:
                wires.forget_uplink(host, pids[carrier.name])
            wires.ip_batch(pids[carrier.name], wires.uplink(host, pid))
            lines += wires.own_addresses(host, carrier)
        wires.ip_batch(pid, lines + wires.routes(host))
    for host in virtual:
        if (part := host.name + MACHINE) not in kept:
            pids[part] = machines.start(MACHINES, host, by_network[host.network], pids)
            note(part, pids[part], wanted[part])
    if virtual:
        machines.run("wait", str(MACHINES), *(host.name for host in virtual))
    return len(pids.keys() - kept) + len(now.keys() - hanging.keys())


def down() -> int:
    now = running()
    machines.forget(MACHINES, set())
    stop([pid for pid, _ in now.values()])
    if STATE.is_dir():
        shutil.rmtree(STATE)
    return len(now)


def require_programs() -> None:
    if os.geteuid():
        raise LabError("the lab needs root: it makes namespaces")
    for program in ("ip", "nsenter", namespaces.PYTHON):
        if not shutil.which(program):
            raise LabError(f"{program} is missing (Debian: iproute2, util-linux, python3)")


def command(name: str, words: list[str]) -> list[str]:
    """The command that runs ``words`` on a host of the lab."""
    now = running()
    if name not in now:
        raise LabError(f"{name} does not run; these do: {', '.join(now) or 'none'}")
    if name + MACHINE in now:
        # ssh joins words with blanks, for the shell over there.
        return ["ssh", "-F", str(MACHINES / "ssh_config"), name, *([shlex.join(words)] if words else [])]
    options = ["--net", "--mount", "--uts", "--ipc", "--pid", "--wd=/"]
    return ["nsenter", f"--target={now[name][0]}", *options, "--", *(words or [os.environ.get("SHELL", "/bin/sh")])]


def enter(name: str, words: list[str]) -> typing.NoReturn:
    entering = command(name, words)
    os.execvp(entering[0], entering)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    more = "more than once: later ones add to earlier ones; default: inventory/lab/hosts.yml"
    parser.add_argument("--inventory", type=pathlib.Path, action="append", metavar="FILE", help=more)
    actions = parser.add_subparsers(dest="action", required=True)
    for action in ("up", "down", "status"):
        actions.add_parser(action)
    entering = actions.add_parser("enter")
    entering.add_argument("host")
    entering.add_argument("command", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.action == "up":
            print(f"changed={up(topology.read_hosts(*chosen.inventory or [INVENTORY]))}")
        elif chosen.action == "down":
            print(f"changed={down()}")
        elif chosen.action == "status":
            for name, (pid, _) in running().items():
                print(f"{name:16} {pid}")
        else:
            enter(chosen.host, chosen.command)
    except (LabError, OSError, yaml.YAMLError) as error:
        print(f"network.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
