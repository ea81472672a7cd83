"""What IPVS mode keeps outside iptables: its sets, virtual servers and addresses, and the files that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ... import addresses
from . import ipset_text, text
from .dialect import DIALECTS, GUARD_SETS
from .ipset_text import Sets
from .text import Servers, VirtualAddress

DEVICE = "kube-ipvs0"
"""The dummy device that holds the addresses of Services, so that the kernel takes packets to them in."""

IPSET_FILE, IPVS_FILE, ADDRESSES_FILE = FILES = ("ipset.conf", "ipvs.conf", "addresses")

_THEIRS = "# another Service proxy has bound these\n"
"""How the file of addresses begins where kube-ipvs0 was taken over: whoever gets it back is not Sluice."""

_SET_PREFIX = {addresses.IPV4: "KUBE-", addresses.IPV6: "KUBE-6-"}
_SET_NAME_LENGTH = 31


class Tables(NamedTuple):
    """Sets, virtual servers, and the prefixes on kube-ipvs0."""

    sets: Sets
    servers: Servers
    addresses: tuple[str, ...]


NO_TABLES = Tables({}, {}, ())


def set_name(name: str, family: str) -> str:
    """The kernel's name of a set, cut to what ipset allows: ``KUBE-6-LOAD-BALANCER-SOURCE-CID``."""
    return (_SET_PREFIX[family] + name)[:_SET_NAME_LENGTH]


SETS_OF = {
    family: frozenset(set_name(name, family) for dialect in DIALECTS.values() for name in (*dialect.sets, *GUARD_SETS))
    for family in addresses.FAMILIES
}
"""The names of all sets that Sluice may have made, by their address family."""

SET_NAMES = frozenset().union(*SETS_OF.values())

_BY_ADDRESS = ("CLUSTER-IP", "EXTERNAL-IP", "EXTERNAL-IP-LOCAL", "LOAD-BALANCER", "NODE-PORT-SCTP-HASH")
"""The sets that name virtual servers by address and port."""


def members(virtual: VirtualAddress) -> Iterator[str]:
    """The lines of ``ipset save`` of which one is there while Sluice has this virtual server, but for a node port's."""
    family = addresses.family_of(virtual.address)
    for name in _BY_ADDRESS:
        yield f"add {set_name(name, family)} {virtual.address},{virtual.protocol}:{virtual.port}"


def node_port_member(virtual: VirtualAddress) -> str:
    """The line of ``ipset save`` that is there while the port is a node port, at whichever of the node's addresses."""
    family = addresses.family_of(virtual.address)
    return f"add {set_name(f'NODE-PORT-{virtual.protocol.upper()}', family)} {virtual.port}"


def merged(several: Iterable[Tables]) -> Tables:
    """The tables of both families as one: they share one ipset, one table of servers and one device."""
    tables = list(several)
    return Tables(
        sets={name: held for table in tables for name, held in table.sets.items()},
        servers={name: server for table in tables for name, server in table.servers.items()},
        addresses=tuple(prefix for table in tables for prefix in table.addresses),
    )


def files(tables: Tables) -> dict[str, str]:
    """The files of a node that hold ``tables``. ipvsadm takes no comments, so they have no header."""
    return {
        IPSET_FILE: ipset_text.text(tables.sets),
        IPVS_FILE: text.text(tables.servers),
        ADDRESSES_FILE: text.addresses_text(tables.addresses),
    }


def as_theirs(contents: Mapping[str, str]) -> dict[str, str]:
    """Files of what another Service proxy has left."""
    return {**contents, ADDRESSES_FILE: _THEIRS + contents[ADDRESSES_FILE]}


def are_theirs(contents: Mapping[str, str]) -> bool:
    """Whether ``as_theirs`` made these files."""
    return contents.get(ADDRESSES_FILE, "").startswith(_THEIRS)


def parse_files(contents: Mapping[str, str]) -> Tables:
    """The tables that files hold; none where the files are not there. Raises ValueError (TextError)."""
    return Tables(
        sets=ipset_text.parse(contents.get(IPSET_FILE, "")),
        servers=text.parse(contents.get(IPVS_FILE, "")),
        addresses=text.parse_addresses(contents.get(ADDRESSES_FILE, "")),
    )
