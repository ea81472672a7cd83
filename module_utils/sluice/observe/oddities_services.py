"""Services of which something is missing: the address that each has, or rules that others of their kind have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import laws
from .laws import Style
from .oddity import Oddity, few
from .service_ports import IPVS, ServicePort

_ANEW = "have the proxy write all of its rules anew (sluice apply, or restart kube-proxy)"
_FEW = 3


def found(ports: Sequence[ServicePort], style: Style) -> Iterator[Oddity]:
    """Those of a node's Services."""
    homeless = [port.name for port in ports if port.source != IPVS and not port.cluster_ip]
    if homeless:
        yield Oddity(
            "Service whose cluster IP is in no rule",
            few(homeless),
            "packets to its cluster IP go on unchanged, and nobody answers",
            _ANEW,
            True,
        )
    for source in sorted({port.source for port in ports}):
        own = [(port, laws.entries(port, style)) for port in ports if port.source == source and port.cluster_ip]
        others = [(port, wanted) for port, wanted in own if wanted not in (None, port.entries)]
        if others and (len(others) < len(own) or len(own) <= _FEW):  # else it is another release's law
            told = [f"{port.name or port.cluster_ip}: {port.entries} instead of {wanted}" for port, wanted in others]
            yield Oddity(
                "Service that has not what the law of its rules says",
                f"{source}: {few(told)}",
                "some of its packets may go unserved or keep the wrong source address",
                f"see by which rules (sluice trace), and {_ANEW}",
                False,
            )
