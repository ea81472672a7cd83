"""The settings of a node: inventory variables that begin with ``sluice_``, their defaults and what they may hold.

This is the one place where the defaults stand; roles document them in ``meta/argument_specs.yml``.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Callable, NamedTuple

from . import addresses, pools, probes
from .balancing import SCHEDULERS
from .faults import Fault, InputError
from .forms import is_device, is_name
from .pools import Pool
from .release import RELEASES

PREFIX = "sluice_"
DROP_BIT = 15
"""The bit of KUBE-MARK-DROP's mark, which the dialects before 1.24 have (a kubelet's default)."""
PRIMARY = "primary"

_NOT_ON_A_NODE = (
    *("catalogue", "manifests", "allocations", "endpoint_hosts", "render_dir", "serial", "generation", "consent"),
    *("drain", "drain_state"),
    *("endpoint_ip", "ports", "node", "ready", "weight"),
)
"""Variables that have the prefix and that other parts read: where the catalogue is, what an endpoint's host says."""


class Settings(NamedTuple):
    """The settings of one node. Field names are the variables' names without their prefix."""

    backend: str = "iptables"
    compat: str = "1.36"
    node_name: str = ""
    node_addresses: tuple[str, ...] = ()
    node_ips: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    ip_families: tuple[str, ...] = (addresses.IPV4,)
    cluster_cidrs: tuple[str, ...] = ()
    service_cidrs: tuple[str, ...] = ()
    masquerade_all: bool = False
    masquerade_bit: int = 14
    nodeport_addresses: tuple[str, ...] = ()
    localhost_nodeports: bool = True
    conntrack_tcp_be_liberal: bool = False
    endpoints_without_node: str = "remote"
    conntrack_max: int | str = "auto"
    send_redirects: bool = False
    accept_redirects: bool = False
    endpoint_comments: str = "auto"
    iptables_variant: str = "auto"
    iptables_dispatch: str = "auto"
    affinity_clients: int = 0
    flowtable: tuple[str, ...] = ()
    nodeport_range: tuple[int, int] = (30000, 32767)
    load_balancer_pools: tuple[Pool, ...] = ()
    strict: bool = False
    takeover: bool = False
    takeover_families: tuple[str, ...] = ()
    confirm_timeout: int = 30
    repair_seconds: int = 60
    metrics_file: str = ""
    metrics_seconds: int = 60
    diff_rules: int = 0
    ipvs_scheduler: str = "rr"
    ipvs_strict_arp: bool = False
    ipvs_drain_seconds: int = 900
    ipvs_guard: bool = False
    health: bool = False
    health_check: str = ""
    health_on_all_down: str = "open"
    health_max_per_second: int = 10_000
    health_source: tuple[str, ...] = ()
    health_notrack: bool = True
    health_node_port_addresses: tuple[str, ...] = ()
    healthz: str = "0.0.0.0:10256"

    def cluster_cidr(self, family: str) -> str:
        """The sources that are not masqueraded on their way to a ClusterIP, ``""`` where none is set."""
        return addresses.first(self.cluster_cidrs, family)

    def node_ip(self, family: str) -> str:
        """The node's primary address: the first of ``node_ips``, else of its addresses except loopback."""
        outward = [text for text in self.node_addresses if not addresses.is_loopback(text)]
        return addresses.first(self.node_ips, family) or addresses.first(outward, family)

    def nodeport_networks(self, family: str) -> tuple[str, ...]:
        """The networks whose addresses serve node ports; all of them where none of the family is named."""
        return self._networks(self.nodeport_addresses, family)

    def health_networks(self, family: str) -> tuple[str, ...]:
        """The networks whose addresses answer on health check node ports; all where none of the family is named."""
        return self._networks(self.health_node_port_addresses or self.nodeport_addresses, family)

    def _networks(self, entries: Sequence[str], family: str) -> tuple[str, ...]:
        own = addresses.host_network
        wanted = [
            own(self.node_ip(family)) if entry == PRIMARY else entry
            for entry in entries
            if entry != PRIMARY or self.node_ip(family)
        ]
        of_family = tuple(entry for entry in wanted if addresses.family_of(entry) == family)
        return of_family or (addresses.ANY[family],)


MADE_OF = tuple(
    name
    for name in Settings._fields
    if name
    not in (
        *("conntrack_max", "send_redirects", "accept_redirects", "repair_seconds", "ipvs_strict_arp"),
        *("service_cidrs", "nodeport_range", "load_balancer_pools", "strict", "diff_rules"),
        *("metrics_file", "metrics_seconds"),
    )
)
"""The settings that make a difference to a node's files. Others are about the node itself, the catalogue or a run."""

_METRICS_FILE = re.compile(r"(?:/(?!\.\.?/)[-\w.]+)+\.prom", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}")


class _Wrong(ValueError):
    """A value that a setting cannot take; the text says what is wrong."""


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    # -e sluice_masquerade_all=true hands over text.
    word = str(value).lower()
    if word in ("true", "yes", "on", "1"):
        return True
    if word in ("false", "no", "off", "0"):
        return False
    raise _Wrong(f"must be true or false, is {value!r}")


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        try:
            number = int(value) if not isinstance(value, (bool, float)) else None
        except (TypeError, ValueError):
            number = None
        if number is None or not low <= number <= high:
            raise _Wrong(f"must be a whole number from {low} to {high}, is {value!r}")
        return number

    return convert


def _auto_or_whole(low: int, high: int) -> Callable[[Any], int | str]:
    number = _whole(low, high)

    def convert(value: Any) -> int | str:
        return "auto" if value == "auto" else number(value)

    return convert


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"must be a string, is {value!r}")
    return str(value)


def _name(value: Any) -> str:
    """A node's name in small letters, as kube-proxy writes it whatever the host is called."""
    if not is_name(_text(value)):
        raise _Wrong(f"must be a name, without blanks and slashes, is {value!r}")
    return str(value).lower()


def _choice(*choices: str) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        if str(value) not in choices:
            hint = ', in quotes: "1.20"' if isinstance(value, float) else ""
            raise _Wrong(f"must be one of {', '.join(choices)}{hint}, is {value!r}")
        return str(value)

    return convert


def _several(convert: Callable[[Any], str]) -> Callable[[Any], tuple[str, ...]]:
    def convert_all(value: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            value = [entry.strip() for entry in value.split(",") if entry.strip()]
        if not isinstance(value, Sequence):
            raise _Wrong(f"must be a list, is {value!r}")
        return tuple(convert(entry) for entry in value)

    return convert_all


def _address(value: Any) -> str:
    text = addresses.address(value.partition("/")[0] if isinstance(value, str) else value)
    if not text:
        raise _Wrong(f"{value!r} is not an IP address")
    return text


def _network(value: Any) -> str:
    text = addresses.network(value)
    if not text:
        raise _Wrong(f"{value!r} is not a CIDR")
    return text


def _device(value: Any) -> str:
    if not is_device(_text(value)):
        raise _Wrong(f"{value!r} is not the name of a network device")
    return str(value)


def _nodeport_address(value: Any) -> str:
    return PRIMARY if value == PRIMARY else _network(value)


def _labels(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise _Wrong(f"must be a mapping of labels, is {value!r}")
    return {str(key): str(label) for key, label in value.items()}


def _port_range(value: Any) -> tuple[int, int]:
    low, dash, high = str(value).partition("-")
    if not (dash and _PORT.fullmatch(low) and _PORT.fullmatch(high) and 0 < int(low) <= int(high) < 65536):
        raise _Wrong(f"must be a range of ports such as 30000-32767, is {value!r}")
    return int(low), int(high)


def _probe(value: Any) -> str:
    """A probe as JSON text; ``""`` for none."""
    try:
        found = json.loads(value) if isinstance(value, str) and value else value
    except (ValueError, RecursionError):
        raise _Wrong("must be a mapping, or JSON text of one") from None
    if not found:
        return ""
    wrong = [f"{field}: {message}" if field else message for field, message in probes.faults(found)]
    if wrong:
        raise _Wrong("; ".join(wrong))
    return probes.text(probes.probe(found))


def _listening(value: Any) -> str:
    """Address and port as ``addresses.host_port`` joins them; ``""`` for nowhere."""
    if value == "":
        return ""
    base, _colon, port = _text(value).rpartition(":")
    bare = base[1:-1] if base[:1] == "[" and base[-1:] == "]" else base
    address = addresses.address(bare)
    # An IPv6 address goes in brackets, an IPv4 address does not.
    if not address or (":" in address) != (bare != base) or not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        raise _Wrong(f"must be an address and a port such as 0.0.0.0:10256 or [::]:10256, is {value!r}")
    return addresses.host_port(address, int(port))


def _metrics_file(value: Any) -> str:
    """A file that node_exporter reads, by its ending; without a character that systemd or a shell makes more of."""
    if _text(value) and not _METRICS_FILE.fullmatch(value):
        raise _Wrong(f"must be the absolute path of a file *.prom, of letters, digits, '-', '_' and '.', is {value!r}")
    return str(value)


def _pools(value: Any) -> tuple[Pool, ...]:
    try:
        return pools.read(value)
    except ValueError as error:
        raise _Wrong(str(error)) from None


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "backend": _text,
    "compat": _choice(*RELEASES),
    "node_name": _name,
    "node_addresses": _several(_address),
    "node_ips": _several(_address),
    "labels": _labels,
    "ip_families": _several(_choice(*addresses.FAMILIES)),
    "cluster_cidrs": _several(_network),
    "service_cidrs": _several(_network),
    "masquerade_all": _boolean,
    "masquerade_bit": _whole(0, 31),
    "nodeport_addresses": _several(_nodeport_address),
    "localhost_nodeports": _boolean,
    "conntrack_tcp_be_liberal": _boolean,
    "endpoints_without_node": _choice("remote", "local"),
    "conntrack_max": _auto_or_whole(0, 100_000_000),
    "send_redirects": _boolean,
    "accept_redirects": _boolean,
    "endpoint_comments": _choice("auto", "always", "never"),
    "iptables_variant": _choice("auto", "nft", "legacy"),
    "iptables_dispatch": _choice("auto", "linear", "prefix"),
    "affinity_clients": _whole(0, 1_000_000),
    "flowtable": _several(_device),
    "nodeport_range": _port_range,
    "load_balancer_pools": _pools,
    "strict": _boolean,
    "takeover": _boolean,
    "takeover_families": _several(_choice(*addresses.FAMILIES)),
    "confirm_timeout": _whole(0, 3600),
    "repair_seconds": _whole(0, 86400),
    "metrics_file": _metrics_file,
    "metrics_seconds": _whole(1, 86400),
    "diff_rules": _whole(0, 1_000_000),
    "ipvs_scheduler": _choice(*SCHEDULERS),
    "ipvs_strict_arp": _boolean,
    "ipvs_drain_seconds": _whole(0, 86400),
    "ipvs_guard": _boolean,
    "health": _boolean,
    "health_check": _probe,
    "health_on_all_down": _choice("open", "closed"),
    "health_max_per_second": _whole(1, 1_000_000),
    "health_source": _several(_address),
    "health_notrack": _boolean,
    "health_node_port_addresses": _several(_nodeport_address),
    "healthz": _listening,
}


def from_variables(
    variables: Mapping[str, Any], source: str = "settings", *, backends: Collection[str] = ()
) -> tuple[Settings, list[Fault]]:
    """The settings that ``variables`` hold, and warnings for those that no part of Sluice knows.

    ``variables`` may hold anything else as well, so a group_vars file serves as it is. A value of ``None`` means the
    default. ``source`` names the file in messages. ``backends``: those that there are; where they are not given, any
    name is taken. Raises InputError with every fault.
    """
    convert = {**_CONVERT, **({"backend": _choice(*backends)} if backends else {})}
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for variable in sorted(key for key in variables if isinstance(key, str) and key.startswith(PREFIX)):
        name, value = variable[len(PREFIX) :], variables[variable]
        if name in _NOT_ON_A_NODE or value is None:
            continue
        if name not in convert:
            faults.append(Fault(source, 0, "", variable, unknown(variable), warning=True))
            continue
        try:
            values[name] = convert[name](value)
        except _Wrong as wrong:
            faults.append(Fault(source, 0, "", variable, str(wrong)))
    if not values.get("ip_families", True):
        faults.append(Fault(source, 0, "", "sluice_ip_families", "must name IPv4, IPv6 or both, is empty"))
    release = RELEASES[values.get("compat", Settings().compat)]
    if values.get("masquerade_bit") == DROP_BIT and release.drop_mark:
        faults.append(Fault(source, 0, "", "sluice_masquerade_bit", f"{DROP_BIT} is the bit of KUBE-MARK-DROP"))
    if any(not fault.warning for fault in faults):
        raise InputError(faults)
    return Settings(**values), faults


def unknown(variable: str) -> str:
    """What is wrong with a variable that has the prefix, where no part of Sluice knows it; else ``""``."""
    name = variable[len(PREFIX) :]
    known = (*_CONVERT, *_NOT_ON_A_NODE)
    if name in known:
        return ""
    near = difflib.get_close_matches(name, known, n=1)
    return f"no such setting, did you mean {PREFIX}{near[0]}?" if near else "no such setting"


def to_variables(settings: Settings) -> dict[str, Any]:
    """The settings as ``sluice_*`` variables, every one of them; ``from_variables`` gives the same settings again."""
    low, high = settings.nodeport_range
    values = settings._asdict() | {
        "nodeport_range": f"{low}-{high}",
        "load_balancer_pools": pools.to_value(settings.load_balancer_pools),
    }
    return {PREFIX + name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
