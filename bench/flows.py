"""UDP flows of a node: as many as are wanted, each by a datagram that the node sends to a Service itself."""

from __future__ import annotations

import itertools
import pathlib
import socket
import subprocess
from collections.abc import Iterator

import catalogues
from process import MeasureError

STAYING, LEAVING = 0, 1
"""The Services whose endpoint stays, and whose endpoint goes."""

_NETWORK = "172.19.0"
_PORTS = range(1024, 65024)
_SECONDS = 600
"""As long conntrack keeps a flow that nobody answered: longer than any of this takes."""

_SYSCTLS = pathlib.Path("/proc/sys/net/netfilter")


def manifests(*, gone: bool) -> Iterator[str]:
    """Two Services of UDP with one endpoint each; ``gone``: that of LEAVING is another one."""
    for index, moved in ((STAYING, False), (LEAVING, gone)):
        yield catalogues.manifest(index, endpoints=[2 * index + moved], protocol="UDP")


def prepare() -> None:
    """Have this process's network take whatever it sends to Services, and keep flows."""
    lines = ["link set lo up", f"route add local {catalogues.ENDPOINT_NETWORK} dev lo"]
    lines += [f"route add local {catalogues.SERVICE_NETWORK} dev lo"]
    lines += [f"address add {_NETWORK}.{number}/32 dev lo" for number in range(1, 10)]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
    (_SYSCTLS / "nf_conntrack_udp_timeout").write_text(f"{_SECONDS}", encoding="ascii")


def room() -> int:
    """Flows that the kernel keeps at most."""
    return int((_SYSCTLS / "nf_conntrack_max").read_text(encoding="ascii"))


def tracked() -> int:
    return int((_SYSCTLS / "nf_conntrack_count").read_text(encoding="ascii"))


def send(service: int, count: int) -> None:
    """Have ``count`` flows to a Service, each of a port of its own. Raises MeasureError."""
    before, target = tracked(), (catalogues.service_address(service), catalogues.PORT)
    sources = ((f"{_NETWORK}.{number}", port) for number in range(1, 10) for port in _PORTS)
    for source in itertools.islice(sources, count):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(source)
            sender.sendto(b"flow", target)
    if tracked() - before < count:
        raise MeasureError(f"conntrack keeps {tracked() - before} of {count} flows")
