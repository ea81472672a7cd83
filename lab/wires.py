"""The links, addresses, routes and sysctls of a lab host, as lines of ip(8) that are run in its namespaces."""

from __future__ import annotations

import subprocess
import typing

import namespaces
from topology import Host, LabError, bridges, gateways

# Duplicate address detection is off (nodad here, accept_dad for link-local addresses): its wait would be most of the
# time that the lab takes.


def own_links(host: Host) -> list[str]:
    lines = ["link set lo up"]
    for network, at in bridges(host).items():
        lines.append(f"link add {network} type bridge forward_delay 0 mcast_snooping 0")
        lines += [f"address add {address} dev {network} nodad" for address in at]
        lines.append(f"link set {network} up")
    return lines


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
