"""The two units of health: one that keeps the kernel to the endpoints that answer, and one that asks them.

Neither is bound to the other: where one is killed the other goes on, with all that it knows, and they meet again. Nor
does the end of either change a rule. None waits for the node's files, which may come later.
"""

from __future__ import annotations

from collections.abc import Iterable

_SUPERVISOR = """\
# Written by Sluice.
[Unit]
Description=Keep the rules of Sluice to the endpoints that answer
After=sluice.service
Wants=sluice-health-checker.service
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command} health --supervise
Restart=always
RestartSec=1
WatchdogSec=10
# Also of a process that is stopped.
WatchdogSignal=SIGKILL
# The change under way is brought to its end.
KillMode=mixed
LimitNOFILE=16384
SyslogIdentifier=sluice
{hardening}
# To hand the socket to the checker's group.
CapabilityBoundingSet=CAP_CHOWN
# Routers may ask it.
IPAddressAllow=any

[Install]
WantedBy=multi-user.target
"""

_CHECKER = """\
# Written by Sluice.
[Unit]
Description=Ask the endpoints of Sluice whether they answer
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command} health --check
Restart=always
RestartSec=1
SyslogIdentifier=sluice
User={user}
LimitNOFILE=1048576
# Programs of checks run in here as well.
CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectSystem=strict
# The interpreter may lie in one.
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
KeyringMode=private
UMask=0077
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def supervisor(command: str, hardening: Iterable[str]) -> str:
    """The unit of the process that changes the kernel, by the path of the command; it may do what the others may."""
    return _SUPERVISOR.format(command=command, hardening="\n".join(hardening))


def checker(command: str, user: str) -> str:
    """The unit of the process that asks endpoints as ``user``."""
    return _CHECKER.format(command=command, user=user)
