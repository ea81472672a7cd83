"""The units of systemd that keep the rules without Ansible: after a reboot, where drift is to be repaired, and where
endpoints are asked whether they answer."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from ..system import owned_files, tools
from . import health_units

COMMAND = "/usr/local/sbin/sluice"
FOLDER = "/etc/systemd/system"

# Others load whole rule sets at boot and when they reload: this one comes after them, each time.
_OTHERS = "nftables.service netfilter-persistent.service iptables.service firewalld.service"

HARDENING = (
    # To change rules, to read the tables of iptables-legacy, to load what somebody has unloaded (modprobe), and to read
    # and write our own files whoever has them.
    "CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_MODULE CAP_DAC_OVERRIDE",
    "NoNewPrivileges=yes",
    # Folders that are there on every node: ours below them may be missing, and links to other places.
    "ProtectSystem=strict",
    "ReadWritePaths=/run /etc /var/lib -/etc/sluice -/var/lib/sluice",
    # The interpreter may lie in one.
    "ProtectHome=read-only",
    "PrivateDevices=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelTunables=yes",
    "RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6",
    "IPAddressDeny=any",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service @module",
    "SystemCallErrorNumber=EPERM",
)
"""What keeps the command, run by systemd, to its own (systemd.exec(5)): lines of a section Service.

Nothing that has to be made before it starts, as PrivateTmp= and StateDirectory= have: no rules would be restored where
/var cannot be written to. Nor MemoryDenyWriteExecute=: to import ctypes takes memory of that kind in some Pythons.
"""

_HARDENING = "\n".join(HARDENING)

_RESTORE = f"""\
# Written by Sluice.
[Unit]
Description=Restore the Services of Sluice before the network is up
ConditionPathExists=/etc/sluice/settings.json
DefaultDependencies=no
After=local-fs.target systemd-modules-load.service systemd-sysctl.service {_OTHERS}
Before=network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target
PartOf={_OTHERS}
ReloadPropagatedFrom={_OTHERS}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={COMMAND} apply --boot
ExecReload={COMMAND} apply --repair
{_HARDENING}

[Install]
WantedBy=multi-user.target
"""

_REPAIR = f"""\
# Written by Sluice.
[Unit]
Description=Repair the rules of Sluice where they differ from its files
ConditionPathExists=/etc/sluice/settings.json
After=sluice.service

[Service]
Type=oneshot
ExecStart={COMMAND} apply --repair
# The journal has what was repaired (a line of the command's own) and what could not be, not that the unit ran: systemd
# says that in a lower level.
StandardOutput=null
StandardError=journal
SyslogIdentifier=sluice
SyslogLevel=notice
LogLevelMax=notice
{_HARDENING}
"""

_METRICS = f"""\
# Written by Sluice.
[Unit]
Description=Write what Sluice is on this node for node_exporter
ConditionPathExists=/etc/sluice/settings.json
After=sluice.service

[Service]
Type=oneshot
ExecStart={COMMAND} status --metrics --out {{file}}
SyslogIdentifier=sluice
# The journal has why it failed, not that it ran.
SyslogLevel=notice
LogLevelMax=notice
{_HARDENING}
# Only what it writes: the file, and locks.
ReadWritePaths=
ReadWritePaths=/run -{{folder}}
"""

_TIMER = """\
# Written by Sluice.
[Unit]
Description={what} every {seconds} seconds

[Timer]
OnActiveSec={seconds}
OnUnitActiveSec={seconds}
AccuracySec=1

[Install]
WantedBy=timers.target
"""

_SUPERVISOR = health_units.supervisor(COMMAND, HARDENING)
_TIMERS = ("sluice-repair.timer", "sluice-metrics.timer")
_METRICS_UNIT = "sluice-metrics.service"
_HEALTH = ("sluice-health.service", "sluice-health-checker.service")
_WANTED_BY = {
    "sluice.service": "multi-user.target.wants",
    **dict.fromkeys(_TIMERS, "timers.target.wants"),
    **dict.fromkeys(_HEALTH, "multi-user.target.wants"),
}

_OUT = re.compile(r"^ExecStart=.* --out (\S+)$", re.MULTILINE)


class Metrics(NamedTuple):
    """The file that a node's metrics are written to every ``seconds``; ``""``: they are not."""

    file: str = ""
    seconds: int = 0


NO_METRICS = Metrics()


def contents(
    repair_seconds: int, *, present: bool = True, checker: str = "", metrics: Metrics = NO_METRICS
) -> dict[str, str | None]:
    """The unit files by path; None for one that should not be there. ``repair_seconds`` 0: drift stays until a run.

    ``checker``: the user that asks endpoints; empty where none are asked.
    """
    repairs, checks, writes = (present and each for each in (repair_seconds > 0, bool(checker), bool(metrics.file)))
    folder = os.path.dirname(metrics.file)
    repair = _TIMER.format(what="Repair the rules of Sluice", seconds=repair_seconds)
    write = _TIMER.format(what="Write what Sluice is on this node", seconds=metrics.seconds)
    return {
        f"{FOLDER}/sluice.service": _RESTORE if present else None,
        f"{FOLDER}/sluice-repair.service": _REPAIR if repairs else None,
        f"{FOLDER}/sluice-repair.timer": repair if repairs else None,
        f"{FOLDER}/{_METRICS_UNIT}": _METRICS.format(file=metrics.file, folder=folder) if writes else None,
        f"{FOLDER}/sluice-metrics.timer": write if writes else None,
        f"{FOLDER}/sluice-health.service": _SUPERVISOR if checks else None,
        f"{FOLDER}/sluice-health-checker.service": health_units.checker(COMMAND, checker) if checks else None,
    }


def abandoned(wanted: Mapping[str, str | None]) -> str:
    """The file that metrics were written to and are no more: what it says would stay for ever. ``""`` for none."""
    path = f"{FOLDER}/{_METRICS_UNIT}"
    before, now = (_metrics_file(text or "") for text in (owned_files.shown(path), wanted.get(path)))
    return before if before != now else ""


def _metrics_file(unit: str) -> str:
    found = _OUT.search(unit)
    return found[1] if found else ""


def links(wanted: dict[str, str | None]) -> dict[str, bool]:
    """The links that make units start at boot: those that are not as they should be, and whether they should be."""
    found = {}
    for unit, folder in _WANTED_BY.items():
        link, should = f"{FOLDER}/{folder}/{unit}", wanted[f"{FOLDER}/{unit}"] is not None
        if os.path.lexists(link) != should:
            found[link] = should
    return found


def stopped(wanted: Mapping[str, str | None]) -> list[str]:
    """What should run all the time and does not, as somebody has stopped it: timers, processes."""
    should = _lasting(wanted)
    if not should or not tools.find("systemctl"):
        return []
    states = tools.run(["systemctl", "is-active", *should]).stdout.split()
    return [unit for unit, state in zip(should, states) if state in _STOPPED]


_STOPPED = frozenset({"inactive", "failed", "unknown"})
"""What systemctl(1) calls a unit that does not run, and is not about to."""


def end(wanted: Mapping[str, str | None]) -> None:
    """Stop what goes, as long as systemd knows what that is: a timer whose service has gone fails instead.

    Also the one that ran at boot: it counts as active until it is stopped, and would be listed without its file.
    """
    gone = _gone(wanted)
    if gone:
        _systemctl("stop", *gone)


def _gone(wanted: Mapping[str, str | None]) -> list[str]:
    return [os.path.basename(path) for path, text in wanted.items() if text is None]


def _lasting(wanted: Mapping[str, str | None]) -> list[str]:
    return [unit for unit in (*_TIMERS, *_HEALTH) if wanted.get(f"{FOLDER}/{unit}") is not None]


def perform(changed_links: dict[str, bool], wanted: dict[str, str | None], *, anew: bool = True) -> None:
    """Make and remove links, and have systemd read its units again; what went is unknown to it then.

    What should run all the time runs, ``anew`` where it ran.
    """
    for link, should in changed_links.items():
        if should:
            owned_files.make_folder(os.path.dirname(link))
            os.symlink(f"../{os.path.basename(link)}", link)
        else:
            os.unlink(link)
    _systemctl("daemon-reload")
    gone = _gone(wanted)
    if gone:
        _systemctl("reset-failed", *gone)
    lasting = _lasting(wanted)
    if lasting:
        _systemctl("restart" if anew else "start", *lasting)


def _systemctl(*words: str) -> None:
    if tools.find("systemctl"):
        tools.run(["systemctl", "--quiet", *words])
