"""IP addresses and networks as text, in the form that the kernel's tools print."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable

IPV4 = "IPv4"
IPV6 = "IPv6"
FAMILIES = (IPV4, IPV6)

_HOST_PREFIX = {IPV4: "/32", IPV6: "/128"}
ANY = {IPV4: "0.0.0.0/0", IPV6: "::/0"}
_SPECIAL = re.compile(r"127\.|169\.254\.|224\.0\.0\.|fe[89ab][0-9a-f]:|ff0[12]:|(0\.0\.0\.0|::1?)\Z")
LOOPBACK = {IPV4: "127.0.0.0/8", IPV6: "::1/128"}


def address(text: object) -> str:
    """The canonical form of an IP address, or ``""`` where ``text`` is none.

    An IPv4 address in IPv6's clothes (``::ffff:10.0.0.1``) is none, as for Kubernetes: nobody could say which family
    it is of. inet_pton(3) instead of ipaddress: ten times as fast, and a catalogue may hold tens of thousands.
    """
    if not isinstance(text, str):
        return ""
    try:
        family = socket.AF_INET6 if ":" in text else socket.AF_INET
        found = socket.inet_ntop(family, socket.inet_pton(family, text))
        return "" if found.startswith("::ffff:") and "." in found else found
    except (OSError, ValueError):
        return ""


def mapped(text: str) -> str:
    """The IPv4 address that ``text`` is in IPv6's form (``::ffff:10.0.0.1``), or ``""``."""
    try:
        found = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, text))
    except (OSError, ValueError):
        return ""
    return address(found[len("::ffff:") :]) if found.startswith("::ffff:") else ""


def network(text: object) -> str:
    """The canonical form of a CIDR, host bits cleared as iptables does, or ``""`` where ``text`` is none."""
    base, slash, length = text.strip().partition("/") if isinstance(text, str) else ("", "", "")
    # ipaddress alone is not enough: it takes any text for the zone in fe80::%zone, and keeps it.
    base = address(base)
    if not (base and slash and length.isascii() and length.isdigit()):
        return ""
    try:
        return str(ipaddress.ip_network(f"{base}/{length}", strict=False))
    except ValueError:
        return ""


def family_of(text: str) -> str:
    """``IPv4`` or ``IPv6`` of an address or network in canonical form."""
    return IPV6 if ":" in text else IPV4


def first(texts: Iterable[str], family: str) -> str:
    """The first of ``texts`` (addresses or networks) of ``family``, or ``""``: kube-proxy uses one per family."""
    return next((text for text in texts if family_of(text) == family), "")


def host_network(text: str) -> str:
    """The address as a network of its own: ``10.0.0.1/32``."""
    return text + _HOST_PREFIX[family_of(text)]


def contains(net: str, text: str) -> bool:
    """Whether the address ``text`` lies in ``net``; never where the families differ."""
    return family_of(net) == family_of(text) and ipaddress.ip_address(text) in ipaddress.ip_network(net)


def is_loopback(text: str) -> bool:
    """Whether ``text`` is a loopback address."""
    return contains(LOOPBACK[family_of(text)], text)


def is_special(text: str) -> bool:
    """Whether ``text`` means something on one host or link only: unspecified, loopback or link-local."""
    return _SPECIAL.match(text) is not None


def host_port(text: str, port: int) -> str:
    """``ip:port``, and ``[ip]:port`` for IPv6, as kube-proxy joins them for names and for DNAT."""
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"


def split_port(text: str) -> tuple[str, int]:
    """Address and port of what ``host_port`` joined. Raises ValueError where there is no port."""
    address_, _colon, port = text.rpartition(":")
    return address_.strip("[]"), int(port)
