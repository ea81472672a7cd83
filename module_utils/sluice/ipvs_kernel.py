"""What the kernel holds of IPVS mode, and how it is changed: ipset, ipvsadm and ip are run here."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterable

from . import ipset_text, ipvs_text
from .iptables_kernel import KernelError
from .ipvs_plan import Draining, Step
from .ipvs_rules import DEVICE, SET_NAMES, Tables

NOTHING = Tables(sets={}, servers={}, addresses=())

_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_IN_USE = "/proc/net/ip_vs"


def device_exists() -> bool:
    """Whether kube-ipvs0 is there, in this network namespace."""
    return any(name == DEVICE for _, name in socket.if_nameindex())


def read() -> Tables:
    """Our sets, all virtual servers, and the prefixes on kube-ipvs0. What is not installed holds nothing."""
    sets = ipset_text.parse(_output("ipset", "save")) if _path("ipset") else {}
    servers = ipvs_text.parse(_output("ipvsadm", "-S", "-n")) if _path("ipvsadm") and _loaded() else {}
    return Tables({name: held for name, held in sets.items() if name in SET_NAMES}, servers, _addresses())


def carry_out(steps: Iterable[Step]) -> None:
    """Send steps to the kernel. Raises KernelError; lines before the one that was refused are then in force."""
    for step in steps:
        if step.tool == "ipset":
            _input(step.text, "ipset", "restore", "-exist")
        elif step.tool == "ipvsadm":
            _input(step.text, "ipvsadm", "-R")
        else:
            if not device_exists():
                # Down and without ARP, as kube-proxy leaves it: the addresses are local all the same.
                _input(f"link add {DEVICE} type dummy\nlink set {DEVICE} arp off\n", "ip", "-batch", "-")
            lines = (line.split() for line in step.text.splitlines())
            _input("".join(f"address {verb} {prefix} dev {DEVICE}\n" for verb, prefix in lines), "ip", "-batch", "-")


def remove_device() -> None:
    """Take kube-ipvs0 away, once nothing is bound to it."""
    if device_exists() and not _addresses():
        _output("ip", "link", "delete", DEVICE)


def connections() -> dict[Draining, int]:
    """How many connections, active and not, each real server of each virtual server has (ipvsadm -Ln)."""
    found: dict[Draining, int] = {}
    frontend = None
    for line in _output("ipvsadm", "-L", "-n").splitlines() if _path("ipvsadm") and _loaded() else ():
        words = line.split()
        if words[:1] in (["TCP"], ["UDP"], ["SCTP"]):
            address, _, port = words[1].rpartition(":")
            frontend = ipvs_text.Frontend(words[0].lower(), address.strip("[]"), int(port))
        elif words[:1] == ["->"] and frontend and len(words) == 6 and words[4].isdigit():
            found[Draining(frontend, words[1])] = int(words[4]) + int(words[5])
    return found


def _addresses() -> tuple[str, ...]:
    if not device_exists():
        return ()
    links = json.loads(_output("ip", "-json", "address", "show", "dev", DEVICE) or "[]")
    return tuple(
        f"{entry['local']}/{entry['prefixlen']}" for link in links for entry in link.get("addr_info", ()) if link
    )


def _loaded() -> bool:
    """Whether the kernel does IPVS already: asking ipvsadm would load the modules."""
    try:
        with open(_IN_USE, encoding="ascii"):
            return True
    except OSError:
        return False


def _path(command: str) -> str:
    return shutil.which(command, path=_PATH) or ""


def _output(command: str, *words: str) -> str:
    return _run(command, words, None)


def _input(text: str, command: str, *words: str) -> None:
    _run(command, words, text)


def _run(command: str, words: Iterable[str], text: str | None) -> str:
    path = _path(command)
    if not path:
        raise KernelError(f"{command} is not installed")
    environment = {"PATH": _PATH, "LC_ALL": "C"}
    result = subprocess.run([path, *words], input=text, capture_output=True, text=True, env=environment, check=False)
    if result.returncode:
        said = " ".join(result.stderr.split()) or f"exit code {result.returncode}"
        raise KernelError(f"{path} {' '.join(words)}: {said}")
    return result.stdout
