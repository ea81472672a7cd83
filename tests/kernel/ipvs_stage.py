"""The stage of ``probes`` with IPVS, on a machine whose kernel has it: standard library only.

PYTHONPATH has to name ``lab``, ``module_utils`` and this folder. Reads a line of JSON for each thing to do, the name of
a method of ``IpvsStage`` and its arguments, and answers each with one: what that returned, or what went wrong. It ends
with its input.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import probes
from probes import Ports, Probe, Stage

from sluice.addresses import FAMILIES, IPV4
from sluice.backends.ipvs.tables import DEVICE

MODULES = ("dummy", "ip_set", "ip_tables", "ip_vs", "nf_conntrack", "overlay", "xt_ipvs", "xt_set")
SYSCTLS = ("conntrack", "expire_nodest_conn", "expire_quiescent_template", "conn_reuse_mode")
"""Of net.ipv4.vs, each 1: as kube-proxy has them."""

_TOOLS = {family: "iptables" if family == IPV4 else "ip6tables" for family in FAMILIES}
_MOST = 2000
"""Packets at once: each is a file that is open, and a connection in a table that has an end."""


class Held(NamedTuple):
    """What a node holds: rules of each family, and the variant that they are loaded with."""

    variant: str
    rules: Mapping[str, str]
    ipset: str
    ipvs: str
    addresses: Sequence[str]


class IpvsStage:
    """What can be asked for."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._ports = Ports()

    def load(self, *fields: Any) -> None:
        held = Held(*fields)
        node = self._stage.node
        # Sets come before their members; a recorded text has its lines in the alphabet's order.
        lines = sorted(held.ipset.splitlines(), key=lambda line: not line.startswith("create "))
        node.run("ipset", "restore", text="".join(f"{line}\n" for line in lines))
        servers = sorted(held.ipvs.splitlines(), key=lambda line: not line.startswith("-A "))
        node.run("ipvsadm", "-R", text="".join(f"{line}\n" for line in servers))
        node.ip(f"link add {DEVICE} type dummy", *(f"address add {each} dev {DEVICE}" for each in held.addresses))
        for family, text in held.rules.items():
            node.run(f"{_TOOLS[family]}-{held.variant}-restore", text=text)

    def unload(self) -> None:
        node = self._stage.node
        for tool in _TOOLS.values():
            for variant in ("nft", "legacy"):
                for table in ("nat", "filter", "mangle"):
                    command = f"{tool}-{variant} -t {table}"
                    node.run("sh", "-c", f"{command} -F; {command} -X", check=False)
        node.run("ip", "link", "delete", DEVICE, check=False)
        node.shell("ipvsadm -C; ipset destroy")

    def dump(self, variant: str) -> list[tuple[str, str]]:
        """What the kernel's tools print of it all."""
        saved = [f"{tool}-{variant}-save" for tool in _TOOLS.values()]
        return [(each, self._stage.node.shell(each)) for each in (*saved, "ipset save", "ipvsadm -Sn", "ip address")]

    def shell(self, script: str) -> str:
        return self._stage.node.shell(script)

    def seen(self, asked: Sequence[tuple[Sequence[Any], int]], seconds: float, bound: Sequence[str]) -> list[Any]:
        """Of each packet, to be sent so many times: all that became of it, with how often."""
        one_each = [Probe(*fields) for fields, times in asked for _turn in range(times)]
        found: dict[Probe, Any] = {}
        for start in range(0, len(one_each), _MOST):
            some = one_each[start : start + _MOST]
            for probe, counted in probes.seen(self._stage.found, some, seconds, bound, self._ports).items():
                found[probe] = counted + found[probe] if probe in found else counted
        return [[probe, list(counted.items())] for probe, counted in found.items()]


def main() -> None:
    subprocess.run(["modprobe", "--all", *MODULES], check=True)
    # A limit of the whole machine; a refusal that is not told looks like a drop.
    subprocess.run(
        ["sysctl", "-qw", "net.ipv4.icmp_msgs_per_sec=1000000", "net.ipv4.icmp_msgs_burst=100000"], check=True
    )
    with probes.stage() as stage:
        stage.node.shell("".join(f"sysctl -qw net.ipv4.vs.{name}=1\n" for name in SYSCTLS))
        able = IpvsStage(stage)
        _answer(list)
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            _answer(lambda name=name, arguments=arguments: getattr(able, name)(*arguments))  # type: ignore[misc]


def _answer(work: Callable[[], Any]) -> None:
    try:
        said = {"found": work()}
    except Exception as error:  # whoever asked has to hear of it
        said = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
