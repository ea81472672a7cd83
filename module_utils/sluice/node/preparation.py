"""What a node needs for good: sysctls, kernel modules, and devices that network managers leave alone."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping

from ..system import linux, tools

SYSCTL_FILE = "/etc/sysctl.d/90-sluice.conf"
MODULES_FILE = "/etc/modules-load.d/sluice.conf"
NETWORK_MANAGER_FILE = "/etc/NetworkManager/conf.d/90-sluice.conf"
NETWORKD_FILE = "/etc/systemd/network/05-sluice.network"
_RELOAD = {
    NETWORK_MANAGER_FILE: ("systemctl", "try-reload-or-restart", "NetworkManager.service"),
    NETWORKD_FILE: ("networkctl", "reload"),
}


def sysctl_text(sysctls: Mapping[str, str]) -> str:
    """The content of SYSCTL_FILE."""
    return "# Written by Sluice.\n" + "".join(f"{name} = {value}\n" for name, value in sorted(sysctls.items()))


def modules_text(modules: Iterable[str]) -> str:
    """The content of MODULES_FILE."""
    return "# Written by Sluice.\n" + "".join(f"{name}\n" for name in sorted(modules))


def unmanaged_files(devices: Collection[str]) -> dict[str, str | None]:
    """Files that tell NetworkManager and systemd-networkd, where they are installed, to leave ``devices`` alone."""
    names = sorted(devices)
    listed = ";".join(f"interface-name:{name}" for name in names)
    wanted = {
        NETWORK_MANAGER_FILE: f"# Written by Sluice.\n[keyfile]\nunmanaged-devices+={listed}\n",
        NETWORKD_FILE: f"# Written by Sluice.\n[Match]\nName={' '.join(names)}\n\n[Link]\nUnmanaged=yes\n",
    }
    there = {path for path in wanted if os.path.isdir(os.path.dirname(path))}
    return {path: text if devices else None for path, text in wanted.items() if path in there}


def reload_networks(changed: Collection[str]) -> None:
    """Have those that manage devices read ``changed`` files again. One that does not run reads them when it starts."""
    for path, command in _RELOAD.items():
        if path in changed and linux.has_systemd():
            tools.run(command)
