"""What the kernel lists of IPVS: who is busy and what is ours; and steps go to the tools that take them."""

from __future__ import annotations

from pathlib import Path

import pytest
from places import script

from sluice.backends.ipvs import kernel
from sluice.backends.ipvs.kernel import connected
from sluice.backends.ipvs.plan import Draining, Step
from sluice.backends.ipvs.text import VirtualAddress
from sluice.system import linux
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
    kernel.delete([TWO, Draining(WEB, "10.244.9.9:8080")])
    assert (programs / "log").read_text() == "-R -d -t 10.96.0.1:80 -r 10.244.1.2:8080\n"
    kernel.delete([Draining(WEB, "10.244.9.9:8080")])
    kernel.delete([ONE])  # it has its weight again
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


def test_what_is_gone_already_is_not_taken_away(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else has removed it, or a run that was killed before it could say so."""
    monkeypatch.setattr(kernel, "_servers", lambda: "-A -t 10.96.0.2:80 -s rr\n")
    log = f'while read -r line; do echo "$line" >>{programs}/log; done'
    monkeypatch.setattr(linux, "module_present", lambda name: True)
    script(programs / "ipvsadm", log)
    told = "echo Name: KUBE-LOOP-BACK; echo References: 0"
    script(programs / "ipset", f'if [ "$1" = restore ]; then {log}; else {told}; fi')
    script(programs / "ip", f'if [ "$1" = -batch ]; then {log}; else echo "kube-ipvs0 DOWN 10.96.0.2/32"; fi')
    addresses, servers = "del 10.96.0.1/32\ndel 10.96.0.2/32\n", "-D -t 10.96.0.1:80\n-D -t 10.96.0.2:80\n"
    sets = "destroy KUBE-CLUSTER-IP\ndestroy KUBE-LOOP-BACK\n"
    kernel.take_away([Step("address", addresses), Step("ipvsadm", servers), Step("ipset", sets)])
    sent = ["address del 10.96.0.2/32 dev kube-ipvs0", "-D -t 10.96.0.2:80", "destroy KUBE-LOOP-BACK"]
    assert (programs / "log").read_text().splitlines() == sent
    kernel.take_away([Step("ipvsadm", "-D -t 10.96.0.3:80\n")])
    assert (programs / "log").read_text().splitlines() == sent


def test_ipvs_serves_while_rules_name_our_sets(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux, "module_present", lambda name: True)

    def listed(name: str, references: int) -> str:
        about = f"Type: hash:ip,port\\nRevision: 5\\nReferences: {references}\\nNumber of entries: 1\\n"
        return f'printf "Name: {name}\\n{about}"'

    script(programs / "ipset", f"{listed('ACME', 2)}; {listed('KUBE-CLUSTER-IP', 1)}")
    assert kernel.serves()
    script(programs / "ipset", f"{listed('ACME', 2)}; {listed('KUBE-CLUSTER-IP', 0)}; {listed('KUBE-OF-ACME', 3)}")
    assert not kernel.serves()


def test_a_module_that_is_not_there_is_not_asked(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking would load it, and a look may be one of check mode."""
    script(programs / "ipset", "echo create KUBE-CLUSTER-IP hash:ip,port family inet")
    script(programs / "ip", "")
    assert linux.module_present("ip_set") == bool(kernel.read().sets)
    monkeypatch.setattr(linux, "module_present", lambda name: False)
    assert kernel.read().sets == ""
    assert not kernel.serves()


def test_what_we_claim_is_ours() -> None:
    servers = "-A -t 10.96.0.1:80 -s rr\n-A -t 192.0.2.7:80 -s wlc\n"
    held = kernel.Held("create KUBE-CLUSTER-IP hash:ip,port family inet\n", servers, ("10.96.0.1/32",), frozenset())
    ours = held.ours({"-t 10.96.0.1:80"})
    assert (list(ours.servers), list(ours.sets), ours.addresses) == ([WEB], ["KUBE-CLUSTER-IP"], ("10.96.0.1/32",))


EVIDENCE = kernel.Held(
    sets="add KUBE-EXTERNAL-IP 203.0.113.1,tcp:80\nadd KUBE-NODE-PORT-TCP 30080\nadd KUBE-6-CLUSTER-IP fd00::1,udp:53",
    servers="",
    addresses=("10.96.0.1/32",),
    own=frozenset(["192.0.2.1", "127.0.0.1"]),
)


@pytest.mark.parametrize("name", ["-t 203.0.113.1:80", "-u [fd00::1]:53"])
def test_what_a_set_of_ours_names_is_ours(name: str) -> None:
    """The claims may be older: /var/lib/sluice could not be written to."""
    assert EVIDENCE.evident([name], (), lost=False) == {name}


def test_lost_claims_are_found_again() -> None:
    ours = {"-t 10.96.0.1:81", "-t 192.0.2.1:30080", "-t 203.0.113.1:80", "-t 203.0.113.9:80"}
    others = {"-u 192.0.2.1:30080", "-t 192.0.2.1:30081", "-t 192.0.2.7:30080", "-u 203.0.113.1:80", "-f 7"}
    assert EVIDENCE.evident(ours | others, {"-t 203.0.113.9:80"}, lost=True) == ours
    assert EVIDENCE.evident(ours | others, {"-t 203.0.113.9:80"}, lost=False) == ours, "one of them shows it"


def test_claims_that_are_whole_are_all() -> None:
    unclaimed = {"-t 10.96.0.1:81", "-t 192.0.2.1:30080", "-t 203.0.113.9:80"}
    assert EVIDENCE.evident(unclaimed, {"-t 203.0.113.9:80"}, lost=False) == set()
    assert EVIDENCE.evident([], (), lost=True) == set()
