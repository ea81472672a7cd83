"""What conntrack is asked as a witness of, in ``probes``."""

from __future__ import annotations

import crossing
import probes
from crossing import CROWD, NODE, PODS, PORT
from probes import Probe, Seen

from sluice.addresses import IPV4
from sluice.observe import outcomes

ADDRESS, PORTS, EACH = "10.96.0.1", (40000, 40099), 80
TURNS = 5
"""Whose packet comes first has its port. Whether that is the node's or a client's, is not the same in all turns."""

MASQUERADED = f"""
table ip t {{
  chain way {{
    ip daddr {ADDRESS} udp dport 80 dnat to {PODS[IPV4][0]}:{PORT}
  }}
  chain prerouting {{
    type nat hook prerouting priority -100
    goto way
  }}
  chain output {{
    type nat hook output priority -100
    goto way
  }}
  chain postrouting {{
    type nat hook postrouting priority 100
    ip saddr {CROWD[IPV4].format(1, 0)}/24 snat to {NODE[IPV4][0]}
  }}
}}
"""


def test_a_port_that_had_to_make_way_is_no_masquerade(needs_root: None) -> None:
    """Of a hundred ports, eighty of the node's own and eighty of clients who get its address must be the same."""
    with crossing.crossing() as network:
        for name in ("node", "client"):
            network.hosts[name].run("sysctl", "-qw", "net.ipv4.ip_local_port_range={} {}".format(*PORTS))
        network.node.run("nft", "-f", "-", text=MASQUERADED)
        own = Probe("node", NODE[IPV4][0], "udp", ADDRESS, 80)
        clients = [Probe("client", CROWD[IPV4].format(1, number), "udp", ADDRESS, 80) for number in range(1, EACH + 1)]
        some = {name: network.hosts[name] for name in ("client", "node")}
        endpoint = f"{PODS[IPV4][0]}:{PORT}"
        for _turn in range(TURNS):
            seen = probes.seen(some, [*clients, *[own] * EACH], 0.3)
            assert Seen(outcomes.ENDPOINT, endpoint, masquerade=True) not in seen[own]
            assert seen[own][Seen(outcomes.ENDPOINT, endpoint, masquerade=False)] > EACH / 10
            # Where two choose one port at the same instant, the kernel drops the later packet.
            reached = sum(seen[each][Seen(outcomes.ENDPOINT, endpoint, masquerade=True)] for each in clients)
            assert reached > EACH / 2
