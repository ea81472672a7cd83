"""Which connections still need a real server, as the kernel lists them."""

from __future__ import annotations

from sluice.backends.ipvs.kernel import connected
from sluice.backends.ipvs.plan import Draining
from sluice.backends.ipvs.text import VirtualAddress

WEB, SIX = VirtualAddress("tcp", "10.96.0.1", 80), VirtualAddress("tcp", "fd00::1", 80)
ONE, TWO = Draining(WEB, "10.244.1.1:8080"), Draining(WEB, "10.244.1.2:8080")
# As Linux 6.1 prints it.
CONNECTIONS = """\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C6336402 D431 0A600001 0050 0AF40101 1F90 ESTABLISHED     895
TCP C6336402 D433 0A600001 0050 0AF40102 1F90 TIME_WAIT       107
TCP C6336402 0000 0A600001 0050 0AF40102 1F90 NONE            600
TCP C6336403 0000 0A600001 0050 0AF40102 1F90 ASSURED         600
TCP C6336402 D437 0A600001 0050 0AF40102 1F90 SYN_SENT        119
TCP C6336402 D435 0A600002 0050 0AF40102 1F90 ESTABLISHED     895
UDP C6336402 D435 0A600001 0050 0AF40102 1F90 UDP             295
TCP fd00:0000:0000:0000:0000:0000:0000:0002 B0F2 fd00:0000:0000:0000:0000:0000:0000:0001 0050 \
fd00:0000:0000:0000:0000:0000:0000:0011 1F90 FIN_WAIT         117
"""


def test_connections_that_are_not_over() -> None:
    assert connected(CONNECTIONS.splitlines(), [WEB]) == {ONE, TWO}
    assert connected(CONNECTIONS.splitlines()[:5], [WEB]) == {ONE}
    assert connected(CONNECTIONS.splitlines(), [WEB, SIX]) == {ONE, TWO, Draining(SIX, "[fd00::11]:8080")}
    assert connected([], [WEB]) == set()
