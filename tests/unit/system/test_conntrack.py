"""UDP flows are read from what conntrack(8) prints, and deleted by just what names them."""

from __future__ import annotations

from pathlib import Path

import pytest
from places import script

from sluice.addresses import IPV4, IPV6
from sluice.system import conntrack
from sluice.system.conntrack import Flow
from sluice.system.tools import NodeError

# As conntrack v1.4.7 prints it: answered, not answered, and of a protocol without ports.
LISTED = """\
udp      17 27 src=198.51.100.2 dst=10.96.0.2 sport=40000 dport=53 \
src=10.244.1.1 dst=198.51.100.2 sport=5353 dport=40000 [ASSURED] mark=0 use=1
udp      17 20 src=198.51.100.2 dst=192.0.2.9 sport=40001 dport=53 [UNREPLIED] \
src=192.0.2.9 dst=198.51.100.2 sport=53 dport=40001 mark=0 zone=3 use=1
unknown  2 590 src=10.0.0.1 dst=224.0.0.22 [UNREPLIED] src=224.0.0.22 dst=10.0.0.1 mark=0 use=1
"""
FLOW = Flow("198.51.100.2", 40000, "10.96.0.2", 53, "10.244.1.1", 5353)


@pytest.mark.parametrize(("family", "word"), [(IPV4, "ipv4"), (IPV6, "ipv6")])
def test_flows(family: str, word: str, programs: Path) -> None:
    (programs / "listed").write_text(LISTED)
    script(
        programs / "conntrack",
        f'[ "$*" = "-L -f {word} -p udp" ] && while read -r l; do echo "$l"; done <{programs}/listed',
    )
    assert conntrack.udp_flows(family) == [
        FLOW,
        Flow("198.51.100.2", 40001, "192.0.2.9", 53, "192.0.2.9", 53),
    ]


def test_deleting(programs: Path) -> None:
    """A flow that has ended by itself is none that was deleted."""
    script(programs / "conntrack", f'echo "$*" >>{programs}/log; case "$*" in *40001*) exit 1; esac')
    assert conntrack.delete([FLOW, FLOW._replace(source_port=40001)]) == 1
    assert (programs / "log").read_text().splitlines() == [
        f"-D -p udp --orig-src 198.51.100.2 --orig-dst 10.96.0.2 --orig-port-src {port} --orig-port-dst 53"
        for port in (40000, 40001)
    ]


def test_where_it_fails_or_is_missing(programs: Path) -> None:
    with pytest.raises(NodeError, match=r"^conntrack is not installed: UDP flows"):
        conntrack.udp_flows(IPV4)
    script(programs / "conntrack", "echo Operation not permitted >&2; exit 1")
    with pytest.raises(NodeError, match=r"^conntrack -L: Operation not permitted$"):
        conntrack.udp_flows(IPV4)
