"""The backends that there are. Adding one is one line in BACKENDS."""

from __future__ import annotations

from .interface import Backend, Layer
from .iptables.backend import BACKEND as IPTABLES
from .ipvs.backend import BACKEND as IPVS
from .nftables.backend import BACKEND as NFTABLES

BACKENDS: dict[str, Backend] = {backend.name: backend for backend in (IPTABLES, IPVS, NFTABLES)}


def layers() -> list[Layer]:
    """The layers of all backends, each once."""
    return list(dict.fromkeys(layer for backend in BACKENDS.values() for layer in backend.layers))


def devices() -> list[str]:
    """Network devices of all backends: addresses on them are not the node's own."""
    return [device for layer in layers() for device in layer.devices]
