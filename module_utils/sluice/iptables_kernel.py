"""What the kernel holds of iptables rules, and how it is changed: the tools are run here and nowhere else."""

from __future__ import annotations

import os
import re
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Mapping
from typing import NamedTuple

from . import addresses
from .plan import is_ours, owned, target_of
from .ruleset import RuleSet

NFT, LEGACY = "nft", "legacy"
VARIANTS = (NFT, LEGACY)
HINT_CHAIN = "KUBE-IPTABLES-HINT"
"""A kubelet makes this chain in table mangle to show which variant the host uses (KEP-3178)."""

LOCK_FILE = "/run/xtables.lock"
LOCK_SECONDS = 10

_COMMAND = {addresses.IPV4: "iptables", addresses.IPV6: "ip6tables"}
_LEGACY_TABLES = {addresses.IPV4: "/proc/net/ip_tables_names", addresses.IPV6: "/proc/net/ip6_tables_names"}
_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_POLICY = re.compile(rb"^(:\w+ [A-Z]+) \[\d+:\d+\]$", re.MULTILINE)
_NO_LOCK = "/run/sluice-xtables.lock"
"""What iptables-restore locks instead of LOCK_FILE where we hold that."""

_LOCKED = 4
"""Exit code of iptables-restore(8) when it did not get the xtables lock."""


class KernelError(Exception):
    """The kernel or one of its tools refused; the message is one line that says what to do about it."""


class Tools(NamedTuple):
    """One variant of iptables in one family."""

    variant: str
    family: str

    @property
    def name(self) -> str:
        return f"{_COMMAND[self.family]}-{self.variant}"

    def path(self, action: str = "") -> str:
        """The tool's path (``action``: ``-save``, ``-restore``), or ``""`` where it is not installed."""
        return shutil.which(f"{self.name}{action}", path=_PATH) or ""

    def text(self) -> str:
        """All rules of this variant and family in this network namespace, in iptables-save form.

        Without what changes by itself: times, and the counters of built-in chains.
        """
        return self.reading()().decode()

    def reading(self) -> Callable[[], bytes]:
        """Start to read what ``text`` gives; what is returned waits for it. Either may raise KernelError."""
        if not self.path("-save") or (self.variant == LEGACY and not _legacy_tables(self.family)):
            return bytes  # asking would load the modules and make empty tables
        finish = start([self.path("-save")])

        def wait() -> bytes:
            result = finish()
            if b"is incompatible" in result.stdout:
                line = next(line for line in result.stdout.splitlines() if b"is incompatible" in line)
                raise KernelError(f"{self.path('-save')}: {line.decode().lstrip('# ')}")
            if result.returncode:
                raise KernelError(f"{self.path('-save')}: {_said(result)}")
            return _lasting(result.stdout)

        return wait

    def restore(self, text: str, *, test: bool = False, locked: bool = False) -> None:
        """Send ``text`` to the kernel beside what is there. Raises KernelError; then no table of it is changed.

        ``test``: only ask whether the kernel's tools take it. ``locked``: this process has the xtables lock.
        """
        command = [self.path("-restore"), "--noflush", *(["--test"] if test else [])]
        if self.variant == LEGACY:
            command += ["--wait", str(LOCK_SECONDS)]
        result = start(command, text, {"XTABLES_LOCKFILE": _NO_LOCK} if locked else {})()
        if result.returncode == _LOCKED:
            holder = lock_holder(LOCK_FILE)
            raise KernelError(f"the xtables lock was not to be had in {LOCK_SECONDS} s, {holder} holds it")
        if result.returncode:
            raise KernelError(f"{command[0]}: {_said(result)}")

    def heeds_lock_file(self) -> bool:
        """Whether the tool, a legacy one, can be told that another process holds the lock for it: from 1.8.6 on."""
        if not self.path("-restore"):
            return False
        version = re.search(rb"v(\d+)\.(\d+)\.(\d+)", start([self.path("-restore"), "--version"])().stdout)
        return version is not None and tuple(map(int, version.groups())) >= (1, 8, 6)


Readings = dict[Tools, RuleSet]
"""What the kernel holds, for each variant and family that is installed."""


def choose_variant(wanted: str, readings: Readings) -> str:
    """The variant to use: ``wanted``, or for ``auto`` the one that already holds rules.

    In this order: a kubelet's hint, other people's rules (Docker, firewalld), ours, the host's default alternative.
    """
    there = list(dict.fromkeys(tools.variant for tools in readings))
    if not there:
        raise KernelError("iptables is not installed, neither iptables-nft-restore nor iptables-legacy-restore")
    if wanted != "auto":
        if wanted not in there:
            raise KernelError(f"iptables-{wanted} is not installed (sluice_iptables_variant: {wanted})")
        return wanted

    def most(count: Callable[[RuleSet], int]) -> str:
        """The variant that has more of something, ``""`` where none has."""
        totals = {
            variant: sum(count(rules) for tools, rules in readings.items() if tools.variant == variant)
            for variant in there
        }
        best = max(there, key=lambda variant: totals[variant])
        return best if list(totals.values()).count(totals[best]) == 1 and totals[best] else ""

    hint = most(lambda rules: HINT_CHAIN in rules.get("mangle", {}))
    return hint or most(_foreign_rules) or most(lambda rules: len(owned(rules))) or _default_variant(there)


def _foreign_rules(rules: RuleSet) -> int:
    return sum(
        not is_ours(chain) and not is_ours(target_of(rule))
        for chains in rules.values()
        for chain, held in chains.items()
        for rule in held
    )


class Fingerprint(NamedTuple):
    """Two of them are the same only if nobody has changed an iptables rule in between.

    ``nft`` is the generation of nf_tables, which counts every change in the network namespace; ``legacy`` a digest of
    what the other variant holds, which counts nothing.
    """

    nft: int
    legacy: str


def nft_generation() -> int:
    """NFT_MSG_GETGEN of nfnetlink: the number that grows with every transaction (linux/netfilter/nf_tables.h)."""
    nfnl_subsys_nftables, nft_msg_getgen, nlm_f_request, nfta_gen_id = 10, 16, 1, 1
    body = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)
    kind = nfnl_subsys_nftables << 8 | nft_msg_getgen
    request = struct.pack("=IHHII", 16 + len(body), kind, nlm_f_request, 1, 0) + body
    netlink_netfilter = 12
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink_netfilter) as link:
            link.settimeout(5)
            link.send(request)
            answer = link.recv(4096)
    except OSError:
        return 0  # a kernel without nf_tables has no rules of that variant
    offset = 20
    while offset + 4 <= len(answer):
        length, attribute = struct.unpack_from("=HH", answer, offset)
        if attribute == nfta_gen_id and length == 8:
            return int(struct.unpack_from(">I", answer, offset + 4)[0])
        offset += max((length + 3) & ~3, 4)
    return 0


def _default_variant(there: list[str]) -> str:
    command = shutil.which("iptables", path=_PATH)
    legacy = bool(command) and b"legacy" in start([str(command), "--version"])().stdout
    return LEGACY if LEGACY in there and (legacy or NFT not in there) else NFT


def _legacy_tables(family: str) -> str:
    try:
        with open(_LEGACY_TABLES[family], encoding="ascii") as stream:
            return stream.read()
    except OSError:
        return ""


def lock_holder(path: str) -> str:
    """Who holds a flock(2) on ``path``, as ``command (pid N)``; from /proc/locks."""
    try:
        status = os.stat(path)
        mine = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        with open("/proc/locks", encoding="ascii") as stream:
            for fields in map(str.split, stream):
                if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == mine and int(fields[4]) > 0:
                    with open(f"/proc/{fields[4]}/comm", encoding="utf-8") as name:
                        return f"{name.read().strip()} (pid {fields[4]})"
    except (OSError, ValueError):
        pass
    return "a process that cannot be seen from here"


def _lasting(text: bytes) -> bytes:
    """What iptables-save printed without times and the counters of built-in chains, which stand at a table's head.

    Only the heads are looked at: the rest may be megabytes.
    """
    pieces: list[bytes | memoryview] = []
    for piece in (b"\n" + text).split(b"\n#"):
        begin = piece.find(b"\n") + 1
        if begin and begin < len(piece):
            end = begin + _HEAD
            rules = piece.find(b"\n-A ", begin, end)
            end = rules if rules >= 0 else min(end, len(piece))
            pieces += [_POLICY.sub(rb"\1", piece[begin:end]), memoryview(piece)[end:], b"\n"]
    return b"".join(pieces)


_HEAD = 500
"""Characters in which a table's name and all of its built-in chains stand."""


def run(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    """Run one of the kernel's tools with ``text`` as its input. Raises KernelError where it cannot be started."""
    done = start(command, text)()
    said = done.stderr.decode(errors="replace")
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), said)


Finish = Callable[[], "subprocess.CompletedProcess[bytes]"]


def start(command: list[str], text: str = "", environment: Mapping[str, str] | None = None) -> Finish:
    """Start a tool with ``text`` at its input; what is returned waits for its end.

    Megabytes go faster through files in memory than through pipes, and the tool has all of its input whatever becomes
    of this process.
    """
    streams = [os.fdopen(os.memfd_create("sluice"), "w+b") for _stream in range(3)]
    streams[0].write(text.encode())
    streams[0].seek(0)
    try:
        process = subprocess.Popen(
            command,
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            env={"PATH": _PATH, "LC_ALL": "C", **(environment or {})},
            close_fds=False,  # it inherits the locks (module lock)
        )
    except OSError as error:
        for stream in streams:
            stream.close()
        raise KernelError(f"{command[0] or 'iptables'}: {error.strerror}") from None

    def finish() -> subprocess.CompletedProcess[bytes]:
        code = process.wait()
        said = []
        for stream in streams:
            with stream:
                stream.seek(0)
                said.append(stream.read() if stream is not streams[0] else b"")
        return subprocess.CompletedProcess(command, code, *said[1:])

    return finish


def _said(result: subprocess.CompletedProcess[bytes]) -> str:
    return " ".join(result.stderr.decode(errors="replace").split()) or f"exit code {result.returncode}"
