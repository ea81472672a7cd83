#!/usr/bin/env python3
"""The embedded lab: every host of an inventory as namespaces of this machine, joined as a routed network.

    network.py up        start what is missing or changed; the last line is changed=N
    network.py down      end all of it
    network.py status    what runs
    network.py enter HOST [COMMAND ...]

The inventory (a YAML file) is the only source; a host's variables say what it is:

    lab_network    the network that it is on, one of another host's lab_networks
    lab_addresses  its addresses there, with prefix lengths; the gateway is the other host's address of the same family
    lab_networks   networks that it carries as bridges: {NAME: [its addresses there]}; it forwards packets
    lab_routes     [{to: PREFIX, via: ADDRESS}]
    lab_local      prefixes that it takes as its own addresses, all of them
    lab_listen     [PORT/PROTOCOL] on which it answers with its name

Nothing of this machine's own network is touched: links are made inside of the namespaces. State is a small file a host.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import ipaddress
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import typing

import namespaces
import yaml

HERE = pathlib.Path(__file__).resolve().parent
INVENTORY = HERE.parent / "inventory/lab/hosts.yml"
STATE = pathlib.Path(os.environ.get("SLUICE_LAB_STATE", "/run/sluice-lab"))
ENDPOINT = HERE / "endpoint.py"
Variables = dict[str, typing.Any]
STOP_TIMEOUT = 5.0  # seconds until the kernel has to have taken a killed host apart


class LabError(Exception):
    """What is wrong with the inventory or the machine, for the one who runs the lab."""


@dataclasses.dataclass(frozen=True)
class Host:
    """One host of the lab; addresses are with prefix lengths, as ip(8) takes them."""

    name: str
    network: str = ""
    addresses: tuple[str, ...] = ()
    networks: tuple[tuple[str, tuple[str, ...]], ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    local: tuple[str, ...] = ()
    listen: tuple[str, ...] = ()


def read_hosts(inventory: pathlib.Path) -> dict[str, Host]:
    """All hosts of a YAML inventory, carriers of a network before those on it. Raises LabError, OSError, YAMLError."""
    variables: dict[str, Variables] = {}
    _collect(yaml.safe_load(inventory.read_text(encoding="utf-8"))["all"], {}, variables)
    hosts = [
        Host(
            name=name,
            network=own.get("lab_network", ""),
            addresses=tuple(own.get("lab_addresses", ())),
            networks=tuple((network, tuple(at)) for network, at in own.get("lab_networks", {}).items()),
            routes=tuple((route["to"], route["via"]) for route in own.get("lab_routes", ())),
            local=tuple(own.get("lab_local", ())),
            listen=tuple(own.get("lab_listen", ())),
        )
        for name, own in variables.items()
    ]
    ordered: dict[str, Host] = {}
    known = {""}
    while len(ordered) < len(hosts):
        ready = [host for host in hosts if host.name not in ordered and host.network in known]
        if not ready:
            lost = ", ".join(f"{host.name} ({host.network})" for host in hosts if host.name not in ordered)
            raise LabError(f"{inventory}: no host carries the network of {lost}")
        for host in ready:
            ordered[host.name] = host
            known.update(network for network, _ in host.networks)
    return ordered


def _collect(group: Variables, inherited: Variables, into: dict[str, Variables]) -> None:
    """Variables of every host below ``group``: its own win over those of its groups, inner over outer ones."""
    own = {**inherited, **(group.get("vars") or {})}
    for name, variables in (group.get("hosts") or {}).items():
        into[name] = {**own, **into.get(name, {}), **(variables or {})}
    for child in (group.get("children") or {}).values():
        _collect(child or {}, own, into)


def carriers(hosts: dict[str, Host]) -> dict[str, Host]:
    """The host that carries each network."""
    return {network: host for host in hosts.values() for network, _ in host.networks}


def gateways(host: Host, carrier: Host) -> list[str]:
    """The carrier's address in each of the host's address families."""
    families = {ipaddress.ip_interface(address).version for address in host.addresses}
    at = dict(carrier.networks)[host.network]
    return [str(address.ip) for address in map(ipaddress.ip_interface, at) if address.version in families]


def digests(hosts: dict[str, Host]) -> dict[str, str]:
    """What each host was made from, the hosts that it hangs on and the program that it runs included."""
    program = b"".join((HERE / script).read_bytes() for script in ("endpoint.py", "namespaces.py", "network.py"))
    by_network = carriers(hosts)
    found: dict[str, str] = {}
    for host in hosts.values():  # carriers come first
        above = found[by_network[host.network].name] if host.network else ""
        found[host.name] = hashlib.sha256(program + repr((host, above)).encode()).hexdigest()[:16]
    return found


# The batches of ip(8). Duplicate address detection is off (nodad here, accept_dad for link-local addresses): its wait
# would be most of the time that the lab takes.


def own_links(host: Host) -> list[str]:
    lines = ["link set lo up"]
    for network, at in host.networks:
        lines.append(f"link add {network} type bridge forward_delay 0 mcast_snooping 0")
        lines += [f"address add {address} dev {network} nodad" for address in at]
        lines.append(f"link set {network} up")
    return lines


def uplink(host: Host, pid: int) -> list[str]:
    """In the carrier's namespace. Hairpin: behind NAT a packet may leave by the port that it came in by."""
    return [
        f"link add {host.name} type veth peer name eth0 netns {pid}",
        f"link set {host.name} master {host.network} up",
        f"link set {host.name} type bridge_slave hairpin on",
    ]


def own_addresses(host: Host, carrier: Host) -> list[str]:
    lines = [f"address add {address} dev eth0 nodad" for address in host.addresses]
    lines.append("link set eth0 up")
    lines += [f"route add default via {gateway}" for gateway in gateways(host, carrier)]
    lines += [f"route add local {prefix} dev lo" for prefix in host.local]
    return lines


def routes(host: Host) -> list[str]:
    return [f"route add {prefix} via {via}" for prefix, via in host.routes]


def forget_uplink(host: Host, pid: int) -> None:
    """In the namespace of a carrier that stayed: the kernel takes an ended host's links apart in its own time."""
    command = ["nsenter", f"--target={pid}", "--net", "ip", "link", "delete", host.name]
    subprocess.run(command, capture_output=True, check=False)  # mostly it is gone already


def ip_batch(pid: int, lines: list[str]) -> None:
    command = ["nsenter", f"--target={pid}", "--net", "ip", "-batch", "-"]
    done = subprocess.run(command, input="\n".join(lines) + "\n", text=True, capture_output=True, check=False)
    if done.returncode:
        raise LabError(f"ip: {done.stderr.strip()}")


def sysctls(host: Host) -> typing.Callable[[], None]:
    """Set in the new network namespace before it has a link, so that links inherit them."""

    def setup() -> None:
        # A new namespace takes IPv4's from the machine outside (net.core.devconf_inherit_init_net).
        for scope in ("all", "default"):
            namespaces.sysctl(f"net/ipv4/conf/{scope}/rp_filter", 0)
            namespaces.sysctl(f"net/ipv4/conf/{scope}/send_redirects", 0)
            namespaces.sysctl(f"net/ipv6/conf/{scope}/accept_ra", 0)
            namespaces.sysctl(f"net/ipv6/conf/{scope}/accept_dad", 0)
        # A refusal is an ICMP error; the kernel's limit of about one a second and client would slow the report down.
        namespaces.sysctl("net/ipv4/icmp_ratelimit", 0)
        namespaces.sysctl("net/ipv6/icmp/ratelimit", 0)
        if host.networks:
            namespaces.sysctl("net/ipv4/ip_forward", 1)
            namespaces.sysctl("net/ipv6/conf/all/forwarding", 1)

    return setup


# State: STATE/NAME holds "PID STARTTIME DIGEST".


def start_time(pid: int) -> str:
    """Field 22 of /proc/PID/stat (proc(5)), by which a process is told from a later one of the same number.

    Raises OSError where it has ended, also if nobody has waited for it yet.
    """
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    if fields[0] == "Z":
        raise ProcessLookupError(pid)
    return fields[19]


def running() -> dict[str, tuple[int, str]]:
    """PID and digest of every host that runs."""
    found: dict[str, tuple[int, str]] = {}
    if STATE.is_dir():
        for file in sorted(STATE.iterdir()):
            pid, started, digest = file.read_text(encoding="ascii").split()
            try:
                alive = start_time(int(pid)) == started
            except OSError:
                alive = False
            if alive:
                found[file.name] = (int(pid), digest)
    return found


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
    """Bring the lab to what the inventory says; the number of hosts that were started or ended."""
    require_machine()
    wanted = digests(hosts)
    now = running()
    keep = {name: pid for name, (pid, digest) in now.items() if wanted.get(name) == digest}
    ended = [name for name in now if name not in keep]
    stop([now[name][0] for name in ended])
    STATE.mkdir(parents=True, exist_ok=True)
    for file in STATE.iterdir():
        if file.name not in keep:
            file.unlink()
    by_network = carriers(hosts)
    pids = dict(keep)
    missing = [host for host in hosts.values() if host.name not in keep]
    for host in missing:
        pid = namespaces.start(host.name, ENDPOINT, list(host.listen), sysctls(host))
        (STATE / host.name).write_text(f"{pid} {start_time(pid)} {wanted[host.name]}\n", encoding="ascii")
        pids[host.name] = pid
        lines = own_links(host)
        if host.network:
            carrier = by_network[host.network]
            if carrier.name in keep:
                forget_uplink(host, pids[carrier.name])
            ip_batch(pids[carrier.name], uplink(host, pid))
            lines += own_addresses(host, carrier)
        ip_batch(pid, lines + routes(host))
    return len(missing) + len([name for name in ended if name not in hosts])


def down() -> int:
    now = running()
    stop([pid for pid, _ in now.values()])
    if STATE.is_dir():
        shutil.rmtree(STATE)
    return len(now)


def require_machine() -> None:
    if os.geteuid():
        raise LabError("the lab needs root: it makes namespaces")
    for program in ("ip", "nsenter", namespaces.PYTHON):
        if not shutil.which(program):
            raise LabError(f"{program} is missing (Debian: iproute2, util-linux, python3)")


def enter(name: str, command: list[str]) -> typing.NoReturn:
    now = running()
    if name not in now:
        raise LabError(f"{name} does not run; these do: {', '.join(now) or 'none'}")
    program = command or [os.environ.get("SHELL", "/bin/sh")]
    options = ["--net", "--mount", "--uts", "--ipc", "--pid", "--wd=/"]
    os.execvp("nsenter", ["nsenter", f"--target={now[name][0]}", *options, "--", *program])


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inventory", type=pathlib.Path, default=INVENTORY, help="default: inventory/lab/hosts.yml")
    actions = parser.add_subparsers(dest="action", required=True)
    for action in ("up", "down", "status"):
        actions.add_parser(action)
    entering = actions.add_parser("enter")
    entering.add_argument("host")
    entering.add_argument("command", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.action == "up":
            print(f"changed={up(read_hosts(chosen.inventory))}")
        elif chosen.action == "down":
            print(f"changed={down()}")
        elif chosen.action == "status":
            for name, (pid, _) in running().items():
                print(f"{name:12} {pid}")
        else:
            enter(chosen.host, chosen.command)
    except (LabError, OSError, yaml.YAMLError) as error:
        print(f"network.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
