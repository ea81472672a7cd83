"""What the kernel holds of iptables rules, and how it is changed: the tools are run here and nowhere else."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import NamedTuple

from . import addresses, ruleset
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

    def read(self) -> RuleSet:
        """All rules of this variant and family in this network namespace."""
        if self.variant == LEGACY and not _legacy_tables(self.family):
            return {}  # asking would load the modules and make empty tables
        result = _run([self.path("-save")])
        if "is incompatible" in result.stdout:
            line = next(line for line in result.stdout.splitlines() if "is incompatible" in line)
            raise KernelError(f"{self.path('-save')}: {line.lstrip('# ')}")
        if result.returncode:
            raise KernelError(f"{self.path('-save')}: {_said(result)}")
        return ruleset.parse(result.stdout)

    def restore(self, text: str, *, test: bool = False) -> None:
        """Send ``text`` to the kernel beside what is there. Raises KernelError; then no table of it is changed.

        ``test``: only ask whether the kernel's tools take it.
        """
        command = [self.path("-restore"), "--noflush", *(["--test"] if test else [])]
        if self.variant == LEGACY:
            command += ["--wait", str(LOCK_SECONDS)]
        result = _run(command, text)
        if result.returncode == _LOCKED:
            holder = lock_holder(LOCK_FILE)
            raise KernelError(f"the xtables lock was not to be had in {LOCK_SECONDS} s, {holder} holds it")
        if result.returncode:
            raise KernelError(f"{command[0]}: {_said(result)}")


def choose_variant(wanted: str, families: tuple[str, ...]) -> str:
    """The variant to use: ``wanted``, or for ``auto`` the one that already holds rules.

    In this order: a kubelet's hint, other people's rules (Docker, firewalld), the host's default alternative.
    """
    there = [variant for variant in VARIANTS if Tools(variant, families[0]).path("-restore")]
    if not there:
        raise KernelError("iptables is not installed: neither iptables-nft-restore nor iptables-legacy-restore is there")
    if wanted != "auto":
        if wanted not in there:
            raise KernelError(f"iptables-{wanted} is not installed (sluice_iptables_variant: {wanted})")
        return wanted
    if len(there) == 1:
        return there[0]
    rules = {variant: [Tools(variant, family).read() for family in families] for variant in there}
    hinted = [
        variant for variant in there if any(HINT_CHAIN in held.get("mangle", {}) for held in rules[variant])
    ]
    if hinted:
        return hinted[0]
    counts = {variant: sum(map(_foreign_rules, rules[variant])) for variant in there}
    if counts[NFT] != counts[LEGACY]:
        return max(there, key=lambda variant: counts[variant])
    return _default_variant()


def _foreign_rules(rules: RuleSet) -> int:
    from .plan import is_ours, target_of

    return sum(
        not is_ours(chain) and not is_ours(target_of(rule))
        for chains in rules.values()
        for chain, held in chains.items()
        for rule in held
    )


def _default_variant() -> str:
    command = shutil.which("iptables", path=_PATH)
    return LEGACY if command and "legacy" in _run([command, "--version"]).stdout else NFT


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


def _run(command: list[str], text: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": _PATH, "LC_ALL": "C"}
    try:
        return subprocess.run(command, input=text, capture_output=True, text=True, env=environment, check=False)
    except OSError as error:
        raise KernelError(f"{command[0] or 'iptables'}: {error.strerror}") from None


def _said(result: subprocess.CompletedProcess[str]) -> str:
    return " ".join(result.stderr.split()) or f"exit code {result.returncode}"
