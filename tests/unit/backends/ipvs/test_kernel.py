"""What the kernel lists of IPVS: who is busy and what is ours; and steps go to the tools that take them."""

from __future__ import annotations

from pathlib import Path

import pytest
from places import script

from sluice.backends.ipvs import kernel
from sluice.backends.ipvs.kernel import connected
from sluice.backends.ipvs.plan import Draining, Step
from sluice.backends.ipvs.text import VirtualAddress
from sluice.system.tools import NodeError

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


LISTED = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A600001:0050 rr
  -> 0AF40101:1F90      Masq    1      3          14
  -> 0AF40102:1F90      Masq    0      0          2
TCP  [fd00:0000:0000:0000:0000:0000:0000:0001]:0050 rr
  -> [fd00:0000:0000:0000:0000:0000:0000:0011]:1F90      Masq    1      1          0
"""


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("_IN_USE", LISTED), ("_CONNECTIONS", CONNECTIONS)):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(kernel, name, str(tmp_path / name))


@pytest.mark.usefixtures("proc")
def test_real_servers_with_connections_are_busy() -> None:
    """One counts as busy where the kernel counts active connections, or lists one that is not over."""
    assert kernel.busy([WEB]) == {ONE, TWO}
    assert kernel.busy([SIX]) == {Draining(SIX, "[fd00::11]:8080")}
    assert kernel.busy([]) == set()


@pytest.mark.usefixtures("proc")
def test_only_real_servers_that_are_there_are_deleted(programs: Path) -> None:
    script(programs / "ipvsadm", f'while read -r line; do echo "$1 $line"; done >>{programs}/log')
    kernel.delete([ONE, Draining(WEB, "10.244.9.9:8080")])
    assert (programs / "log").read_text() == "-R -d -t 10.96.0.1:80 -r 10.244.1.1:8080\n"
    kernel.delete([Draining(WEB, "10.244.9.9:8080")])
    kernel.delete([])
    assert (programs / "log").read_text().count("\n") == 1


def test_steps_go_to_their_tools(programs: Path) -> None:
    for name in ("ipset", "ipvsadm"):
        script(programs / name, f'while read -r line; do echo "{name} $*: $line"; done >>{programs}/log')
    kernel.carry_out([Step("ipset", "add x 10.0.0.1\n"), Step("ipvsadm", "-A -t 10.0.0.1:80 -s rr\n")])
    assert (programs / "log").read_text().splitlines() == [
        "ipset restore -exist: add x 10.0.0.1",
        "ipvsadm -R: -A -t 10.0.0.1:80 -s rr",
    ]
    script(programs / "ipset", "echo no such set >&2; exit 1")
    with pytest.raises(NodeError, match=r"^ipset restore -exist: no such set$"):
        kernel.carry_out([Step("ipset", "add x 10.0.0.1\n"), Step("ipvsadm", "-C\n")])
    assert "-C" not in (programs / "log").read_text()


def test_what_we_claim_is_ours() -> None:
    servers = "-A -t 10.96.0.1:80 -s rr\n-A -t 192.0.2.7:80 -s wlc\n"
    held = kernel.Held("create KUBE-CLUSTER-IP hash:ip,port family inet\n", servers, ("10.96.0.1/32",), frozenset())
    ours = held.ours({"-t 10.96.0.1:80"})
    assert (list(ours.servers), list(ours.sets), ours.addresses) == ([WEB], ["KUBE-CLUSTER-IP"], ("10.96.0.1/32",))
