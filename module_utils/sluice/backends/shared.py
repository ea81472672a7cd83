"""What all backends ask of a view and of a node's settings."""

from __future__ import annotations

from .. import addresses
from ..balancing import Balancing, balancing
from ..catalogue.model import HostPort
from ..faults import Fault, InputError
from ..release import RELEASES
from ..settings import Settings
from ..view import PortView, View
from .interface import Views


def balancing_of(port: PortView, scheduler: str) -> Balancing:
    """How the port is balanced on a node whose default is ``scheduler``.

    Raises InputError: the flags of a Service that names no scheduler may be those of another one.
    """
    try:
        return balancing(port.annotations, scheduler)
    except ValueError as error:
        subject = f"Service {port.display_name}"
        raise InputError([Fault("catalogue", 0, subject, "metadata.annotations", str(error))]) from None


def serves_localhost(settings: Settings) -> bool:
    """Whether node ports answer on 127.0.0.1, which takes the sysctl route_localnet."""
    if not RELEASES[settings.compat].localhost_setting:
        return True
    networks = settings.nodeport_networks(addresses.IPV4)
    return settings.localhost_nodeports and any(
        addresses.is_loopback(net.partition("/")[0]) or addresses.contains(net, "127.0.0.0") for net in networks
    )


def has_host_ports_on_loopback(view: View) -> bool:
    """Whether a Pod's host port names a loopback address, which takes the sysctl route_localnet."""
    return any(is_on_loopback(entry) for entry in view.host_ports)


def is_on_loopback(entry: HostPort) -> bool:
    return bool(entry.host_ip) and addresses.is_loopback(entry.host_ip)


def names_own(views: Views, settings: Settings) -> bool:
    """Whether node ports name addresses of the node: with networks that serve them; else the kernel knows its own."""
    return any(
        addresses.ANY[family] not in settings.nodeport_networks(family) and any(port.node_port for port in view.ports)
        for family, view in views.items()
    )


def sysctls(settings: Settings, *, localnet: bool) -> dict[str, str]:
    """The sysctls that a load balancer needs: it forwards, and what it serves on 127.0.0.0/8 needs route_localnet."""
    found = {}
    if addresses.IPV4 in settings.ip_families:
        found["net.ipv4.ip_forward"] = "1"
        if not settings.send_redirects:
            # An interface sends them where its own value or that of all is 1 (ip-sysctl of the kernel's documentation).
            # Not every tool knows the asterisk: new interfaces take their values from default.
            found.update({f"net.ipv4.conf.{which}.send_redirects": "0" for which in ("*", "all", "default")})
        if not settings.accept_redirects:
            found["net.ipv4.conf.all.accept_redirects"] = "0"  # a host that forwards asks for both
        if localnet:
            found["net.ipv4.conf.all.route_localnet"] = "1"
    if addresses.IPV6 in settings.ip_families:
        found["net.ipv6.conf.all.forwarding"] = "1"
    return found


def node_may_enter(port: PortView, settings: Settings, family: str) -> bool:
    """Whether loadBalancerSourceRanges let the node itself in."""
    node_ip = settings.node_ip(family)
    return bool(node_ip) and any(addresses.contains(source, node_ip) for source in port.source_ranges)
