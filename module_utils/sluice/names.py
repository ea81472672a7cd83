"""Names that kube-proxy gives to service ports and chains, and the probabilities of its balancing rules."""

from __future__ import annotations

import base64
import functools
import hashlib

HASH_LENGTH = 16


@functools.lru_cache(maxsize=1024)  # the rules of one service port name the same few chains again and again
def hashed(text: str, length: int = HASH_LENGTH) -> str:
    """The first ``length`` characters of the base32 form (RFC 4648) of the SHA-256 of ``text``.

    Base32 letters are all an iptables chain name may hold, and 16 of them keep it under its 28 characters.
    """
    some = 5 * -(-length // 8)  # of which base32 makes no fewer letters
    return base64.b32encode(hashlib.sha256(text.encode()).digest()[:some])[:length].decode()


_DIGITS = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789abcdefghijklmnopqrstuv")


def is_hash_of(text: str, name: str) -> bool:
    """Whether ``hashed(text)`` is ``name``, told in a fourth of the time: a dump has tens of thousands of them."""
    if len(name) != HASH_LENGTH or not name.isalnum() or not name.isascii():
        return False
    try:
        number = int(name.translate(_DIGITS), 32)
    except ValueError:
        return False
    return number == int.from_bytes(hashlib.sha256(text.encode()).digest()[:10], "big")


def display_name(namespace: str, name: str, port: str = "", *, trailing_colon: bool = False) -> str:
    """``ns/name`` or ``ns/name:port``, as kube-proxy shows a service port in comments and hashes it into names.

    ``trailing_colon``: up to 1.18 a port without a name still left its colon (kubernetes commit 341022f8d136).
    """
    return f"{namespace}/{name}:{port}" if port or trailing_colon else f"{namespace}/{name}"


def chain_name(prefix: str, service_port: str, protocol: str, endpoint: str = "") -> str:
    """The chain of a service port (``KUBE-SVC-…``) or, with ``endpoint`` = ``ip:port``, of one endpoint.

    ``prefix`` such as ``KUBE-SVC-``, ``service_port`` the display name, ``protocol`` any case.
    """
    return prefix + hashed(service_port + protocol.lower() + endpoint)


def host_port_chain_name(pod_id: str, host_port: int, protocol: str) -> str:
    """The chain of a Pod's host port, as the kubelet's host port manager named it (up to Kubernetes 1.23)."""
    return "KUBE-HP-" + hashed(f"{pod_id}{host_port}{protocol.upper()}")


@functools.lru_cache(maxsize=1024)
def probability(left: int) -> str:
    """The probability of a balancing rule when ``left`` endpoints are left, this one included.

    11 digits, as iptables-save prints it: the kernel holds the fraction as a 31-bit fixed point number, so 1/3 is
    0.33333333349. kube-proxy writes ten digits, and the kernel makes of these the same number.
    """
    steps = round(float(f"{1 / left:.10f}") * 0x80000000)
    return f"{steps / 0x80000000:.11f}"
