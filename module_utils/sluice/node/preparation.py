"""What a node needs for good: sysctls, kernel modules, and devices that network managers leave alone."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from ..system import linux, owned_files, tools

SYSCTL_FILE = "/etc/sysctl.d/90-sluice.conf"
MODULES_FILE = "/etc/modules-load.d/sluice.conf"
NETWORK_MANAGER_FILE = "/etc/NetworkManager/conf.d/90-sluice.conf"
NETWORKD_FILE = "/etc/systemd/network/05-sluice.network"
_RELOAD = {
    NETWORK_MANAGER_FILE: ("systemctl", "try-reload-or-restart", "NetworkManager.service"),
    NETWORKD_FILE: ("networkctl", "reload"),
}


class Prepared(NamedTuple):
    """What was changed, or in check mode would be.

    ``loaded``: kernel modules; ``diff``: files and sysctls as Ansible's ``--diff`` wants them, one entry per file and
    one for all sysctls.
    """

    loaded: list[str]
    diff: list[dict[str, Any]]

    @property
    def changed(self) -> bool:
        return bool(self.loaded or self.diff)


def prepare(
    modules: Collection[str], sysctls: Mapping[str, str], unmanaged_devices: Collection[str], *, check: bool = False
) -> Prepared:
    """Load ``modules`` and set ``sysctls``, now and at each boot; tell network managers to leave devices alone.

    What is not needed is removed from the files. The running kernel keeps its modules and values then: nobody knows
    who else needs them. Raises NodeError where the kernel lacks a module (nothing is changed then) or refuses a value,
    OSError where a file cannot be written.
    """
    lacking = [name for name in modules if linux.lacks_module(name)]
    if lacking:
        raise tools.NodeError(f"this node's kernel has no module {', '.join(lacking)}; nothing was changed")
    wanted = owned_files.differing(
        {
            SYSCTL_FILE: sysctl_text(sysctls) if sysctls else None,
            MODULES_FILE: modules_text(modules) if modules else None,
            **unmanaged_files(unmanaged_devices),
        }
    )
    diff = owned_files.diff(wanted)
    missing = [name for name in modules if not linux.module_present(name)]
    # Modules first: they bring sysctls with them.
    loaded = missing if check else [name for name in missing if linux.load_module(name)]
    before = {name: linux.sysctl(name) for name in sysctls}
    differing = {name: value for name, value in sysctls.items() if before[name] not in (value, None)}
    if differing:
        diff.append(
            {
                "before_header": "sysctl",
                "after_header": "sysctl",
                "before": "".join(f"{name} = {before[name]}\n" for name in differing),
                "after": "".join(f"{name} = {value}\n" for name, value in differing.items()),
            }
        )
    if not check:
        for name, value in differing.items():
            linux.set_sysctl(name, value)
        owned_files.write(wanted)
        reload_networks(wanted)
    return Prepared(loaded, diff)


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
