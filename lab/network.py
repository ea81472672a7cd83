#!/usr/bin/env python3
"""The embedded lab: every host of an inventory as namespaces of this computer, joined as a routed network.

    network.py up        start what is missing or changed; the last line is changed=N
    network.py down      end all of it
    network.py status    what runs
    network.py enter HOST [COMMAND ...]

The inventory (YAML files, later ones add to earlier ones) is the only source; a host's variables say what it is:

    lab_network    the network that it is on, one of another host's lab_networks
    lab_addresses  its addresses there, with prefix lengths; the gateway is the other host's address of the same family
    lab_networks   networks that it carries as bridges: {NAME: [its addresses there]}; it forwards packets
    lab_routes     [{to: PREFIX, via: ADDRESS}]
    lab_local      prefixes that it takes as its own addresses, all of them
    lab_listen     [PORT/PROTOCOL] on which it answers with its name
    lab_machine    true: a virtual machine, with a kernel of its own (lab/vm); its namespaces are where its links end

Nothing of this computer's own network is touched: links are made inside of the namespaces. State is a small file a
process.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import ipaddress
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing

import namespaces
import yaml

HERE = pathlib.Path(__file__).resolve().parent
INVENTORY = HERE.parent / "inventory/lab/hosts.yml"
# Each checkout has a lab of its own; inventory/lab/hosts.yml says the same to Ansible.
OWN = hashlib.sha256(str(INVENTORY.parent).encode()).hexdigest()[:8]
STATE = pathlib.Path(os.environ.get("SLUICE_LAB_STATE", f"/run/sluice-lab-{OWN}"))
ENDPOINT = HERE / "endpoint.py"
MACHINES = STATE / "machines"  # what belongs to virtual machines, ssh's configuration among it
MACHINES_SKIPPED = 77  # what vm/machines exits with where none can run
MACHINE = ".machine"  # after a host's name: the process of its virtual machine
Variables = dict[str, typing.Any]
STOP_TIMEOUT = 60.0  # seconds until the kernel has to have taken a killed host apart


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
    machine: bool = False


def read_hosts(*inventories: pathlib.Path) -> dict[str, Host]:
    """All hosts of YAML inventories, carriers of a network before those on it. Raises LabError, OSError, YAMLError."""
    variables: dict[str, Variables] = {}
    for inventory in inventories:
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
            machine=own.get("lab_machine", False),
        )
        for name, own in variables.items()
    ]
    for host in hosts:
        if host.machine and (not host.network or host.routes or host.local or host.listen):
            raise LabError(f"{host.name}: a virtual machine needs lab_network and has no lab_routes, _local or _listen")
    ordered: dict[str, Host] = {}
    known = {""}
    while len(ordered) < len(hosts):
        ready = [host for host in hosts if host.name not in ordered and host.network in known]
        if not ready:
            lost = ", ".join(f"{host.name} ({host.network})" for host in hosts if host.name not in ordered)
            raise LabError(f"{inventories[-1]}: no host carries the network of {lost}")
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


def parts(hosts: dict[str, Host]) -> dict[str, str]:
    """The processes of the lab, each with the one that it hangs on (or ""), which comes before it."""
    by_network = carriers(hosts)
    found: dict[str, str] = {}
    for host in hosts.values():  # carriers come first
        found[host.name] = by_network[host.network].name if host.network else ""
        if host.machine:
            found[host.name + MACHINE] = host.name
    return found


def digests(hosts: dict[str, Host]) -> dict[str, str]:
    """What each process was started from, those that it hangs on and the program that it runs included."""
    own = b"".join((HERE / script).read_bytes() for script in ("endpoint.py", "namespaces.py", "network.py"))
    machine = b"".join(script.read_bytes() for script in sorted((HERE / "vm").iterdir()))
    found = {"": ""}
    for part, above in parts(hosts).items():
        host = hosts[part.removesuffix(MACHINE)]
        program = machine if part.endswith(MACHINE) else own
        found[part] = hashlib.sha256(program + repr((host, found[above])).encode()).hexdigest()[:16]
    return found


# The batches of ip(8). Duplicate address detection is off (nodad here, accept_dad for link-local addresses): its wait
# would be most of the time that the lab takes.


def own_links(host: Host) -> list[str]:
    lines = ["link set lo up"]
    for network, at in bridges(host).items():
        lines.append(f"link add {network} type bridge forward_delay 0 mcast_snooping 0")
        lines += [f"address add {address} dev {network} nodad" for address in at]
        lines.append(f"link set {network} up")
    return lines


def bridges(host: Host) -> dict[str, tuple[str, ...]]:
    """The bridges of a host, with addresses. Those of a virtual machine have none: it is one of their ports."""
    if host.machine:
        return dict.fromkeys([host.network, *dict(host.networks)], ())
    return dict(host.networks)


def uplink(host: Host, pid: int) -> list[str]:
    """In the carrier's namespace. Hairpin: behind NAT a packet may leave by the port that it came in by."""
    # A virtual machine is behind a second bridge, which would look for it where its own broadcasts came back from.
    hairpin = "off" if host.machine else "on"
    return [
        f"link add {host.name} type veth peer name eth0 netns {pid}",
        f"link set {host.name} master {host.network} up",
        f"link set {host.name} type bridge_slave hairpin {hairpin}",
    ]


def own_addresses(host: Host, carrier: Host) -> list[str]:
    if host.machine:
        return [f"link set eth0 master {host.network} up"]
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


def sysctls(*scopes: str) -> dict[str, int]:
    """Of every host; ``scopes`` are interfaces, or all, default."""
    values = {
        # A refusal is an ICMP error; the kernel's limit of about one a second and client would slow the report down.
        "net/ipv4/icmp_ratelimit": 0,
        "net/ipv6/icmp/ratelimit": 0,
    }
    for scope in scopes:
        values[f"net/ipv4/conf/{scope}/rp_filter"] = 0
        values[f"net/ipv4/conf/{scope}/send_redirects"] = 0
        values[f"net/ipv6/conf/{scope}/accept_ra"] = 0
        values[f"net/ipv6/conf/{scope}/accept_dad"] = 0
    return values


def setup(host: Host) -> typing.Callable[[], None]:
    """Sets sysctls in the new network namespace before it has a link, so that links inherit them."""
    # A new namespace takes IPv4's from the computer outside (net.core.devconf_inherit_init_net).
    values = sysctls("all", "default")
    if host.networks and not host.machine:
        values |= {"net/ipv4/ip_forward": 1, "net/ipv6/conf/all/forwarding": 1}

    def apply() -> None:
        for name, value in values.items():
            namespaces.sysctl(name, value)

    return apply


# Virtual machines, by lab/vm/machines.


def machines(*words: str) -> None:
    done = subprocess.run([str(HERE / "vm/machines"), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        what = "no virtual machine can run here" if done.returncode == MACHINES_SKIPPED else f"vm/machines {words[0]}"
        raise LabError(f"{what}: {(done.stdout + done.stderr).strip()}")


def machine_files(host: Host, carrier: Host) -> dict[str, str]:
    """The files that make a virtual machine this host of the lab: its links (systemd.network(5)) and sysctls."""
    links = [(host.addresses, gateways(host, carrier)), *((at, []) for _, at in host.networks)]
    # The kernel of a machine of 512 MB remembers 4,096 connections, and closed ones for a minute or two.
    values = {**sysctls("*"), "net/netfilter/nf_conntrack_max": 131072}
    files = {
        "etc/modules-load.d/lab.conf": "nf_conntrack\n",
        "etc/sysctl.d/lab.conf": "".join(f"{name} = {value}\n" for name, value in values.items()),
    }
    for number, (at, via) in enumerate(links):
        lines = ["[Match]", f"Name=eth{number}", "[Network]", "IPv6AcceptRA=no", "IPv6DuplicateAddressDetection=0"]
        lines += [f"Address={address}" for address in at] + [f"Gateway={gateway}" for gateway in via]
        files[f"etc/systemd/network/eth{number}.network"] = "\n".join(lines) + "\n"
    return files


def start_machine(host: Host, carrier: Host, pids: dict[str, int]) -> int:
    """Start the virtual machine of a host whose namespaces are there; its PID. It boots when this returns."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in machine_files(host, carrier).items():
            file = pathlib.Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")
        machines(
            "start",
            str(MACHINES),
            host.name,
            f"within=nsenter --target={pids[host.name]} --net",
            f"from=nsenter --target={pids[carrier.name]} --net",
            f"bridges={' '.join(bridges(host))}",
            f"files={folder}",
            f"address={ipaddress.ip_interface(host.addresses[0]).ip}",
        )
    return int((MACHINES / host.name / "pid").read_text(encoding="ascii"))


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
        machines("check")
    wanted = digests(hosts)
    hanging = parts(hosts)
    now = running()
    pids: dict[str, int] = {}
    for part, above in hanging.items():
        if part in now and now[part][1] == wanted[part] and (not above or above in pids):
            pids[part] = now[part][0]
    kept = set(pids)
    ended = [part for part in now if part not in kept]
    STATE.mkdir(parents=True, exist_ok=True)
    forget_machines(kept)
    stop([now[part][0] for part in ended])
    for file in STATE.iterdir():
        if file.is_file() and file.name not in kept:
            file.unlink()
    by_network = carriers(hosts)
    for host in hosts.values():
        if host.name in kept:
            continue
        pid = namespaces.start(host.name, ENDPOINT, list(host.listen), setup(host))
        note(host.name, pid, wanted[host.name])
        pids[host.name] = pid
        lines = own_links(host)
        if host.network:
            carrier = by_network[host.network]
            if carrier.name in kept:
                forget_uplink(host, pids[carrier.name])
            ip_batch(pids[carrier.name], uplink(host, pid))
            lines += own_addresses(host, carrier)
        ip_batch(pid, lines + routes(host))
    for host in virtual:
        if (part := host.name + MACHINE) not in kept:
            pids[part] = start_machine(host, by_network[host.network], pids)
            note(part, pids[part], wanted[part])
    if virtual:
        machines("wait", str(MACHINES), *(host.name for host in virtual))
    return len(pids.keys() - kept) + len(now.keys() - hanging.keys())


def forget_machines(kept: set[str]) -> None:
    if MACHINES.is_dir():
        gone = [own.name for own in MACHINES.iterdir() if own.is_dir() and own.name + MACHINE not in kept]
        if gone:
            machines("forget", str(MACHINES), *gone)


def down() -> int:
    now = running()
    forget_machines(set())
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


def enter(name: str, command: list[str]) -> typing.NoReturn:
    now = running()
    if name not in now:
        raise LabError(f"{name} does not run; these do: {', '.join(now) or 'none'}")
    if name + MACHINE in now:
        # ssh joins words with blanks, for the shell over there.
        os.execvp("ssh", ["ssh", "-F", str(MACHINES / "ssh_config"), name, *([shlex.join(command)] if command else [])])
    program = command or [os.environ.get("SHELL", "/bin/sh")]
    options = ["--net", "--mount", "--uts", "--ipc", "--pid", "--wd=/"]
    os.execvp("nsenter", ["nsenter", f"--target={now[name][0]}", *options, "--", *program])


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
            print(f"changed={up(read_hosts(*chosen.inventory or [INVENTORY]))}")
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
