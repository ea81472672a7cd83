"""Virtual and real servers, and their text as ``ipvsadm -Sn`` prints it and ``ipvsadm -R`` takes it (ipvsadm(8))."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from ... import addresses

_OPTION = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}
_PROTOCOL = {
    **{option: protocol for protocol, option in _OPTION.items()},
    "--tcp-service": "tcp",
    "--udp-service": "udp",
}
_METHODS = {"-m": "-m", "--masquerading": "-m", "-g": "-g", "--gatewaying": "-g", "-i": "-i", "--ipip": "-i"}
NAT = "-m"
"""How Sluice forwards: the destination is rewritten, the answer comes back through this node."""


class VirtualAddress(NamedTuple):
    """What names a virtual server: ``protocol`` in lower case, address and port."""

    protocol: str
    address: str
    port: int

    @property
    def text(self) -> str:
        """``-t 10.96.0.1:443``; an IPv6 address stands in brackets."""
        return f"{_OPTION[self.protocol]} {addresses.host_port(self.address, self.port)}"


class RealServer(NamedTuple):
    """How a virtual server sends to one endpoint. Weight 0: no new connections."""

    weight: int
    method: str = NAT

    @property
    def text(self) -> str:
        return f"{self.method} -w {self.weight}"


class VirtualServer(NamedTuple):
    """A virtual server. ``persistent``: seconds for which a client stays with its endpoint, 0 for none.

    ``flags``: those of the scheduler. ``other``: options that Sluice never sets, as they stand in the text. ``real``:
    the real servers by ``address:port``.
    """

    scheduler: str
    persistent: int
    flags: tuple[str, ...]
    real: dict[str, RealServer]
    other: str = ""

    @property
    def options(self) -> str:
        """What follows the address: ``-s rr -p 600``."""
        words = [f"-s {self.scheduler}"]
        if self.persistent:
            words.append(f"-p {self.persistent}")
        if self.other:
            words.append(self.other)
        if self.flags:
            words.append(f"-b {','.join(self.flags)}")
        return " ".join(words)


Servers = dict[VirtualAddress, VirtualServer]


class TextError(ValueError):
    """Text is not in ``ipvsadm -Sn`` form; the message says which line."""


def parse(text: str) -> Servers:
    """Read what ``ipvsadm -Sn`` printed; the order of the lines does not matter.

    Virtual servers of firewall marks are left out: they have no address, and none is ever ours.
    """
    servers: Servers = {}
    real: list[tuple[int, VirtualAddress, str, RealServer]] = []
    known: dict[tuple[str, str], VirtualAddress] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or line.startswith("#") or words[1:2] == ["-f"]:
            continue
        try:
            # Most lines are real servers, and those of one virtual server name it again and again.
            key = (words[1], words[2])
            if key not in known:
                known[key] = _frontend(*key)
            frontend = known[key]
            if words[0] == "-A":
                servers[frontend] = _virtual(words[3:])
            elif words[0] == "-a":
                real.append((number, frontend, *_real(words[3:])))
            else:
                raise ValueError(words[0])
        except (ValueError, KeyError, IndexError):
            raise TextError(f"line {number}: not in ipvsadm -Sn form: {line}") from None
    for number, frontend, address, server in real:
        if frontend not in servers:
            raise TextError(f"line {number}: there is no virtual server {frontend.text}")
        servers[frontend].real[address] = server
    return servers


def difference(old: str, new: str, also: Collection[str] = ()) -> tuple[Servers, Servers]:
    """The virtual servers of two texts, without (most of) those that are the same in both, but with those ``also``.

    Takes a tenth of the time of two ``parse`` where few of thousands differ. ``also``: by ``VirtualAddress.text``.
    """
    changed = set(old.splitlines()).symmetric_difference(new.splitlines())
    found = {_name(line) for line in changed}.union(also)
    if len(found) > _FEW or "" in found:
        return parse(old), parse(new)
    return parse(_picked(old, found)), parse(_picked(new, found))


def names(text: str) -> set[str]:
    """The ``VirtualAddress.text`` of all virtual servers in what ``text`` wrote."""
    return {" ".join(server.split(" ", 2)[:2]) for server in f"\n{text}".split("\n-A ")[1:]}


_FEW = 100
"""Virtual servers up to which ``difference`` picks lines."""


def _name(line: str) -> str:
    return " ".join(line.split(" ", 3)[1:3])


def _picked(text: str, wanted: Iterable[str]) -> str:
    """The lines of some virtual servers."""
    found = []
    for name in sorted(wanted):
        at = text.find(f" {name} ")
        while at >= 0:
            end = text.find("\n", at)
            found.append(text[text.rfind("\n", 0, at) + 1 : end if end >= 0 else len(text)])
            at = text.find(f" {name} ", at + 1)
    return "\n".join(found)


_SHORT = {"Masq": "-m", "Tunnel": "-i"}
"""The names of forwarding methods in /proc/net/ip_vs; any other is -g, as in ipvsadm(8)."""

_HEAD = 3
"""Header lines of /proc/net/ip_vs."""

_GAP, _HOW = " " * 6, 15
"""What follows a real server's address there, and the width of the next two columns."""


def from_proc(listed: str, options: Mapping[str, str]) -> str:
    """What ``ipvsadm -Sn`` prints, from /proc/net/ip_vs and each virtual server's options, by its words there.

    ipvsadm asks the kernel once per virtual server, which takes ten times as long. Raises ValueError and LookupError
    where the text has another form or lacks virtual servers: between two pages of it, Linux 6.1 loses its place when
    another network namespace has virtual servers as well (ip_vs_info_seq_next).
    """
    found: list[str] = []
    seen = set()
    head = ""
    for line in listed.splitlines()[_HEAD:]:
        if line.startswith("  -> "):
            where, _gap, rest = line[5:].partition(_GAP)
            if head:
                found.append(f"{head}{listed_address(where)}{_how(rest[:_HOW])}\n")
            continue
        protocol, where, *_options = line.split()
        head = ""
        if protocol != "FWM":
            key = f"{protocol} {where}"
            name = f"{_OPTION[protocol.lower()]} {listed_address(where)}"
            head = f"-a {name} -r "
            found.append(f"-A {name} {options[key]}\n")
            seen.add(key)
    if len(seen) != len(options):
        raise LookupError("virtual servers are missing")
    return "".join(found)


@functools.lru_cache(maxsize=1024)
def _how(columns: str) -> str:
    """How a virtual server sends to a real one: ``Masq    1      ``."""
    method, weight = columns.split()
    if columns[-1:] != " ":
        raise ValueError("a weight has more digits than fit into its column")
    return f" {_SHORT.get(method, '-g')} -w {int(weight)}"


def listed_address(words: str) -> str:
    """What /proc/net/ip_vs has for an address and a port: ``0A600001:0050`` or ``[fd00:0000:…]:0050``."""
    if words[0] == "[":
        address, _colon, port = words.rpartition(":")
        return addresses.host_port(addresses.address(address.strip("[]")), int(port, 16))
    return _begin(words[:6]) + _end(words[6:])


# Of tens of thousands of addresses most share their networks, and their last bytes and ports.


@functools.lru_cache(maxsize=1 << 16)
def _begin(text: str) -> str:
    return "".join(f"{byte}." for byte in bytes.fromhex(text))


@functools.lru_cache(maxsize=1 << 16)
def _end(text: str) -> str:
    byte, port = text.split(":")
    return f"{int(byte, 16)}:{int(port, 16)}"


def _frontend(option: str, text: str) -> VirtualAddress:
    return VirtualAddress(_PROTOCOL[option], *addresses.split_port(text))


def _virtual(words: list[str]) -> VirtualServer:
    scheduler, persistent, flags, other = "wlc", 0, "", []
    rest = iter(words)
    for word in rest:
        if word in ("-s", "--scheduler"):
            scheduler = next(rest, "")
        elif word in ("-p", "--persistent"):
            persistent = int(next(rest, ""))
        elif word in ("-b", "--sched-flags"):
            flags = next(rest, "")
        else:
            other.append(word)
    return VirtualServer(scheduler, persistent, tuple(flags.split(",")) if flags else (), {}, " ".join(other))


def _real(words: list[str]) -> tuple[str, RealServer]:
    where, weight, method = "", 1, "-g"
    rest = iter(words)
    for word in rest:
        if word in ("-r", "--real-server"):
            where = next(rest, "")
        elif word in ("-w", "--weight"):
            weight = int(next(rest, ""))
        elif word in _METHODS:
            method = _METHODS[word]
    return addresses.host_port(*addresses.split_port(where)), _shared(weight, method)


@functools.lru_cache(maxsize=1024)
def _shared(weight: int, method: str) -> RealServer:
    """There are few kinds of real servers, and tens of thousands of them."""
    return RealServer(weight, method)


def text(servers: Mapping[VirtualAddress, VirtualServer]) -> str:
    """The servers in ``ipvsadm -Sn`` form; ``parse`` of it gives the servers again."""
    return "".join(f"{line}\n" for frontend, server in servers.items() for line in lines(frontend, server))


def lines(frontend: VirtualAddress, server: VirtualServer) -> Iterator[str]:
    """The lines of one virtual server: itself, then its real servers."""
    yield f"-A {frontend.text} {server.options}"
    yield from (f"-a {frontend.text} -r {where} {real.text}" for where, real in server.real.items())


def parse_addresses(text: str) -> tuple[str, ...]:
    """The prefixes in the file ``addresses``: one per line, ``10.96.0.1/32``."""
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def addresses_text(prefixes: Iterable[str]) -> str:
    """Prefixes, one per line."""
    return "".join(f"{prefix}\n" for prefix in prefixes)
