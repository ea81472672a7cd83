"""What a node needs for good: sysctls, kernel modules and their options, devices that network managers leave alone."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from ..system import conntrack, linux, owned_files, tools

SYSCTL_FILE = "/etc/sysctl.d/90-sluice.conf"
MODULES_FILE = "/etc/modules-load.d/sluice.conf"
OPTIONS_FILE = "/etc/modprobe.d/sluice.conf"
NETWORK_MANAGER_FILE = "/etc/NetworkManager/conf.d/90-sluice.conf"
NETWORKD_FILE = "/etc/systemd/network/05-sluice.network"
AUTO = "auto"
"""Instead of a number of connections: as many as suit the node."""
Options = Mapping[str, Mapping[str, str]]
"""Values of kernel modules' parameters, by module and name."""

_SAFE_WITH_RULES = {"net.ipv4.conf.all.route_localnet": "0"}
"""What the running kernel does not keep: open to neighbours (CVE-2020-8558) but for a rule of Sluice. Its default."""

_RELOAD = {
    NETWORK_MANAGER_FILE: ("systemctl", "try-reload-or-restart", "NetworkManager.service"),
    NETWORKD_FILE: ("networkctl", "reload"),
}


class Prepared(NamedTuple):
    """What was changed, or in check mode would be.

    ``loaded``: kernel modules; ``diff``: files, sysctls and options of modules as Ansible's ``--diff`` wants them, one
    entry per file, one for all sysctls and one per module. ``warnings``: what is not in force yet, and why.
    """

    loaded: list[str]
    diff: list[dict[str, Any]]
    warnings: list[str]

    @property
    def changed(self) -> bool:
        return bool(self.loaded or self.diff)


def prepare(
    modules: Collection[str],
    sysctls: Mapping[str, str],
    unmanaged_devices: Collection[str],
    module_options: Options,
    *,
    conntrack_max: int | str = 0,
    check: bool = False,
) -> Prepared:
    """Load ``modules`` and set ``sysctls``, now and at each boot; tell network managers to leave devices alone.

    A ``*`` in the name of a sysctl stands for all interfaces there are, and at boot for those that come.
    ``conntrack_max``: connections that there is to be room for, 0 for as many as there is, or AUTO.
    A module with options that is loaded with others is loaded anew, unless somebody uses it. What is not needed is
    removed from the files. The running kernel keeps its modules and values then, and a warning says so: nobody knows
    who else needs them. What is only safe with Sluice's rules is set back.
    Raises NodeError where the kernel lacks a module (nothing is changed then) or refuses a value,
    OSError where a file cannot be written.
    """
    lacking = [name for name in modules if linux.lacks_module(name)]
    if lacking:
        raise tools.NodeError(f"this node's kernel has no module {', '.join(lacking)}; nothing was changed")
    missing = [name for name in modules if not linux.module_present(name)]
    # Modules first: they bring sysctls with them.
    loaded = missing if check else [name for name in missing if linux.load_module(name)]
    warnings: list[str] = []
    had = [line.partition(" = ")[0] for line in owned_files.shown(SYSCTL_FILE).splitlines() if " = " in line]
    raised = _raised(conntrack_max, had, warnings)
    sysctls = {**sysctls, **raised}
    wanted = owned_files.differing(
        {
            SYSCTL_FILE: sysctl_text(sysctls) if sysctls else None,
            MODULES_FILE: modules_text(modules) if modules else None,
            OPTIONS_FILE: options_text(module_options) if module_options else None,
            **unmanaged_files(unmanaged_devices),
        }
    )
    diff = owned_files.diff(wanted)
    closed = {name: value for name, value in _SAFE_WITH_RULES.items() if name in had and name not in sysctls}
    kept = ", ".join(sorted(set(had) - set(closed)))
    if kept and not sysctls:
        warnings.append(f"until its next boot, the running kernel keeps its values of {kept}: others may need them")
    named = {name: value for pattern, value in sysctls.items() for name in linux.sysctls(pattern)} | closed
    before = {name: linux.sysctl(name) for name in named}
    differing = {
        name: value
        for name, value in named.items()
        if before[name] not in (value, None) and not (name in raised and int(before[name] or 0) > int(value))
    }
    if differing:
        diff.append(_entry("sysctl", {name: before[name] for name in differing}, differing))
    if not check:
        for name, value in differing.items():
            _set_sysctl(name, value)
        owned_files.write(wanted)
        reload_networks(wanted)
    # Behind the file that has the options: loading a module reads it.
    for module, options in module_options.items():
        old, new = _in_force(module, options), _put_in_force(module, options, check=check)
        if old != new:
            diff.append(_entry(f"module {module}", old, new))
        if _differs(new, options):
            warnings.append(_not_in_force(module, options, new))
    return Prepared(loaded, diff, warnings)


def _raised(wanted: int | str, had: Collection[str], warnings: list[str]) -> dict[str, str]:
    """The sysctls that give conntrack room, a bucket per connection as kernels have it by themselves.

    What has more is left alone, also at boot; but what the file ``had``, it keeps. ``warnings`` get a line where
    somebody asked for a number, and this is not the network namespace to set it.
    """
    size = conntrack.room(os.cpu_count() or 1, linux.memory()) if wanted == AUTO else int(wanted)
    found = {}
    for name in (conntrack.BUCKETS, conntrack.MAX) if size else ():
        now = linux.sysctl(name)
        if now is None or (linux.may_set_sysctl(name) and (int(now) < size or name in had)):
            found[name] = str(size)
        elif int(now) < size and wanted != AUTO and name == conntrack.MAX:
            warnings.append(f"{name} stays {now}: sluice_conntrack_max ({size}) cannot be set in here, but on the host")
    return found


def _set_sysctl(name: str, value: str) -> None:
    try:
        linux.set_sysctl(name, value)
    except tools.NodeError:
        if linux.sysctl(name) is not None:  # else its interface has gone meanwhile
            raise


def _entry(header: str, before: Mapping[str, str | None], after: Mapping[str, str | None]) -> dict[str, Any]:
    """Values before and after, as Ansible's ``--diff`` wants them."""
    return {
        "before_header": header,
        "after_header": header,
        "before": "".join(f"{name} = {value}\n" for name, value in before.items()),
        "after": "".join(f"{name} = {value}\n" for name, value in after.items()),
    }


def _in_force(module: str, options: Mapping[str, str]) -> dict[str, str | None]:
    return {name: linux.module_parameter(module, name) for name in options}


def _differs(now: Mapping[str, str | None], options: Mapping[str, str]) -> bool:
    """Whether a module is there with other options."""
    return any(now[name] not in (value, None) for name, value in options.items())


def _put_in_force(module: str, options: Mapping[str, str], *, check: bool) -> Mapping[str, str | None]:
    """Load a module anew that has other options and that nobody uses. Returns those in force, or that would be."""
    now = _in_force(module, options)
    if not _differs(now, options) or linux.module_use(module) != 0:
        return now
    if check:
        return options
    linux.reload_module(module)
    return _in_force(module, options)


def _not_in_force(module: str, options: Mapping[str, str], now: Mapping[str, str | None]) -> str:
    is_, wanted = (" ".join(f"{name}={value}" for name, value in each.items()) for each in (now, options))
    if linux.module_use(module) is None:
        on_command_line = " ".join(f"{module}.{name}={value}" for name, value in options.items())
        return f"{module} is part of this kernel, with {is_}: only its command line ({on_command_line}) changes that"
    return (
        f"{module} is in use with {is_}: {wanted} takes effect with the next boot, or with the next run that finds the "
        "module unused"
    )


def sysctl_text(sysctls: Mapping[str, str]) -> str:
    """The content of SYSCTL_FILE."""
    return "# Written by Sluice.\n" + "".join(f"{name} = {value}\n" for name, value in sorted(sysctls.items()))


def modules_text(modules: Iterable[str]) -> str:
    """The content of MODULES_FILE."""
    return "# Written by Sluice.\n" + "".join(f"{name}\n" for name in sorted(modules))


def options_text(options: Options) -> str:
    """The content of OPTIONS_FILE, as modprobe.d(5) has it."""
    lines = (
        f"options {module} {' '.join(f'{name}={value}' for name, value in sorted(values.items()))}\n"
        for module, values in sorted(options.items())
    )
    return "# Written by Sluice.\n" + "".join(lines)


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
