"""What the kernel holds of iptables rules, and how it is changed: the tools are run here and nowhere else."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Container, Iterator, Sequence
from typing import NamedTuple

from ... import addresses
from ...system import locks, netlink, tools
from ...system.tools import NodeError
from . import legacy_tables
from .ownership import is_ours, owned, target_of
from .text import RuleSet

NFT, LEGACY = "nft", "legacy"
VARIANTS = (NFT, LEGACY)
HINT_CHAIN = "KUBE-IPTABLES-HINT"
"""A kubelet makes this chain in table mangle to show which variant the host uses (KEP-3178)."""

NAT = "nat"

LOCK_FILE = "/run/xtables.lock"
LOCK_SECONDS = 10

_NFT_TABLES = {"filter", "nat", "mangle", "raw", "security"}
"""What iptables-nft calls its tables, which are nf_tables' own."""

_NFPROTO = {addresses.IPV4: 2, addresses.IPV6: 10}
"""The families of netfilter (linux/netfilter.h)."""

_COMMAND = {addresses.IPV4: "iptables", addresses.IPV6: "ip6tables"}
_POLICY = re.compile(rb"^(:\w+ [A-Z]+) \[\d+:\d+\]$", re.MULTILINE)
_HEAD = 500
"""Characters in which a table's name and all of its built-in chains stand."""

_NO_LOCK = "/proc/self/fd/1"
"""What iptables-restore locks instead of LOCK_FILE where we hold that: its own output, a file that nobody else has."""

_LOCKED = 4
"""Exit code of iptables-restore(8) when it did not get the xtables lock."""


class Tools(NamedTuple):
    """One variant of iptables in one family."""

    variant: str
    family: str

    @property
    def name(self) -> str:
        return f"{_COMMAND[self.family]}-{self.variant}"

    def path(self, action: str = "") -> str:
        """The tool's path (``action``: ``-save``, ``-restore``), or ``""`` where it is not installed."""
        return tools.find(f"{self.name}{action}")

    def require(self, action: str) -> None:
        """Raises NodeError where ``-save`` or ``-restore`` is not installed, though the other one is."""
        if not self.path(action):
            other = "-restore" if action == "-save" else "-save"
            raise NodeError(
                f"{self.name}{action} is not installed, but {self.name}{other} is: "
                "rules are read by the one and changed by the other"
            )

    def text(self) -> str:
        """All rules of this variant and family in this network namespace, in iptables-save form.

        Without what changes by itself: times, and the counters of built-in chains.
        """
        return self.reading()().decode()

    def reading(self) -> Callable[[], bytes]:
        """Start to read what ``text`` gives; what is returned waits for it. Either may raise NodeError."""
        wait = self._saving()
        return lambda: _lasting(wait())

    def counting(self) -> Callable[[], bytes]:
        """The same of the table nat, as it is, each rule with what it has counted."""
        return self._saving("-t", NAT, "-c") if self._has_nat() else bytes

    def counting_in(self, chains: Sequence[str], others: str) -> Callable[[], bytes]:
        """The same of those among ``chains`` that there are, as ``iptables -v -S`` prints them.

        iptables-nft then reads no other chain: 5,000 Services of 3 endpoints take it an eighth of the time. It is the
        whole table where a rule in them names a chain that begins with ``others``, and always with iptables-legacy,
        which knows no less.
        """
        if self.variant == LEGACY or not self.path():
            return self.counting()
        family = _NFPROTO[self.family]
        there = [chain for chain in chains if netlink.nft_has_chain(family, NAT, chain)]
        waiting = [tools.reading([self.path(), "-t", NAT, "-v", "-S", chain]) for chain in there]

        def wait() -> bytes:
            found = "".join(wait() for wait in waiting)
            return self.counting()() if f" {others}" in found else found.encode()

        return wait

    def _has_nat(self) -> bool:
        if self.variant == LEGACY:
            return NAT in legacy_tables.names(self.family)
        return NAT in _nft_tables(self.family)

    def _saving(self, *options: str) -> Callable[[], bytes]:
        """Start iptables-save; what is returned waits for what it prints."""
        if self.variant == LEGACY and not legacy_tables.names(self.family):
            return bytes  # asking would load the modules and make empty tables
        if not self.path("-save") and not self.path("-restore"):
            return bytes
        self.require("-save")
        if self.variant == NFT and not _nft_tables(self.family):
            return bytes
        finish = tools.start([self.path("-save"), *options])

        def wait() -> bytes:
            result = finish()
            if b"is incompatible" in result.stdout:
                line = next(line for line in result.stdout.splitlines() if b"is incompatible" in line)
                raise NodeError(f"{self.path('-save')}: {line.decode().lstrip('# ')}")
            if result.returncode:
                raise NodeError(f"{self.path('-save')}: {tools.reason(result)}")
            return result.stdout

        return wait

    def restore(self, text: str, *, test: bool = False, locked: bool = False) -> None:
        """Send ``text`` to the kernel in addition to what is there. Raises NodeError; then no table of it is changed.

        ``test``: only ask whether the kernel's tools take it. ``locked``: this process has the xtables lock.
        """
        command, environment = self._restore_command(locked=locked)
        _require_success(tools.start([*command, *(["--test"] if test else [])], text, environment)())

    @contextlib.contextmanager
    def restoring(self, table: str) -> Iterator[Callable[[str], None]]:
        """Start ``restore``, ``locked``, for a text that begins with ``table``: the tool reads that table and waits.

        Call what is given with the text; it does what ``restore`` does. Without that the tool is killed at the end of
        the context, and has changed nothing.
        """
        command, environment = self._restore_command(locked=True)
        head = f"*{table}\n"
        reader, writer = os.pipe()
        with os.fdopen(writer, "wb", buffering=0) as link:
            try:
                process, finish = tools.launch(command, reader, environment)
            finally:
                os.close(reader)

            def perform(text: str) -> None:
                with contextlib.suppress(BrokenPipeError):  # it has ended, and its output says why
                    link.write(text[len(head) :].encode())
                link.close()
                _require_success(finish())

            try:
                with contextlib.suppress(BrokenPipeError):
                    link.write(head.encode())
                yield perform
            finally:
                if not link.closed:
                    process.kill()
                    finish()

    def _restore_command(self, *, locked: bool) -> tuple[list[str], dict[str, str]]:
        """The command and its environment."""
        command = [self.path("-restore") or f"{self.name}-restore", "--noflush"]
        if self.variant == LEGACY:
            command += ["--wait", str(LOCK_SECONDS)]
        return command, {"XTABLES_LOCKFILE": _NO_LOCK} if locked else {}

    def heeds_lock_file(self) -> bool:
        """Whether the tool, a legacy one, can be told that another process holds the lock for it: from 1.8.6 on."""
        if not self.path("-restore"):
            return False
        version = re.search(rb"v(\d+)\.(\d+)\.(\d+)", tools.start([self.path("-restore"), "--version"])().stdout)
        return version is not None and tuple(map(int, version.groups())) >= (1, 8, 6)


def _nft_tables(family: str) -> Container[str]:
    """The tables of iptables-nft that there are; all that it may have where the kernel does not tell."""
    try:
        return _NFT_TABLES & netlink.nft_tables(_NFPROTO[family])
    except OSError:
        return _NFT_TABLES


def xtables_lock() -> contextlib.AbstractContextManager[None]:
    """The lock of iptables-legacy, under which nobody else's tool changes its rules (iptables(8), ``--wait``)."""
    return locks.held(LOCK_FILE, LOCK_SECONDS, _somebody_holds_it())


def _somebody_holds_it() -> str:
    return f"the xtables lock was not to be had in {LOCK_SECONDS} s, {{}} holds it"


Readings = dict[Tools, RuleSet]
"""What the kernel holds, for each variant and family that is installed."""


def choose_variant(wanted: str, readings: Readings) -> str:
    """The variant to use: ``wanted``, or for ``auto`` the one that already holds rules.

    In this order: a kubelet's hint, other people's rules (Docker, firewalld), ours, the host's default alternative.
    """
    there = list(dict.fromkeys(tools.variant for tools in readings))
    if not there:
        raise NodeError("iptables is not installed, neither iptables-nft-restore nor iptables-legacy-restore")
    if wanted != "auto":
        if wanted not in there:
            raise NodeError(f"iptables-{wanted} is not installed (sluice_iptables_variant: {wanted})")
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

    ``nft`` is the generation of nf_tables, which counts every change in the network namespace. The other variant counts
    nothing: ``legacy`` is the name of what is kept of its tables (module legacy_tables), or a digest of their text.
    """

    nft: int
    legacy: str


def _default_variant(there: list[str]) -> str:
    command = tools.find("iptables")
    legacy = bool(command) and b"legacy" in tools.start([command, "--version"])().stdout
    return LEGACY if LEGACY in there and (legacy or NFT not in there) else NFT


def _require_success(result: tools.Done[bytes]) -> None:
    """Raises NodeError with what iptables-restore said if it failed."""
    if result.returncode == _LOCKED:
        raise NodeError(_somebody_holds_it().format(locks.holder(LOCK_FILE)))
    if result.returncode:
        raise NodeError(f"{result.args[0]}: {tools.reason(result)}")


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
