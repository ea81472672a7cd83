"""``nftables.nft``: what is written is read again, and two of them are compared without reading all of both."""

from __future__ import annotations

import re

import pytest
from support import catalogue, endpoint_slice, node, service

from sluice import render
from sluice.addresses import IPV4, IPV6
from sluice.backends.interface import Memo
from sluice.backends.nftables import text
from sluice.backends.nftables.backend import BACKEND
from sluice.backends.nftables.layout import AFFINITY, MADE_OF, SHAPES
from sluice.backends.nftables.text import NO_TABLE, TextError


def rendered(*names: str, families: tuple[str, ...] = (IPV4,), **variables: object) -> str:
    objects = [service(name, ip=[f"10.96.0.{number}", f"fd00::{number}"]) for number, name in enumerate(names, 1)]
    objects += [endpoint_slice("10.1.0.11", of=name) for name in names]
    own = node(ip_families=list(families), **variables)
    return BACKEND.render(render.views(catalogue(*objects), own), own, Memo())[text.FILE]


def test_it_is_read_as_it_was_written() -> None:
    written = rendered("a", "b", families=(IPV4, IPV6))
    found = text.tables(written)
    assert list(found) == [IPV4, IPV6]
    again = [table.skeleton + "".join(_block(family, table)) for family, table in found.items()]
    assert text.HEADER + "".join(again) == written


def _block(family: str, table: text.Table) -> list[str]:
    ip = {IPV4: "ip", IPV6: "ip6"}[family]
    return [f"add element {ip} sluice {name} {{\n{lines}}}\n" for name, lines in table.elements.items()]


def test_the_parts_of_a_skeleton() -> None:
    skeleton = text.skeleton(text.tables(rendered("a"))[IPV4].skeleton)
    assert skeleton.sets.keys() == {*SHAPES, AFFINITY, MADE_OF}
    assert skeleton.sizes["lists"] == 1024
    assert "random-1" in skeleton.chains
    assert skeleton.chains["to-local"].splitlines()[-1] == "\t\tgoto balance"


def test_devices_that_are_not_there() -> None:
    """At boot a device may come later: the kernel would refuse the whole table."""
    whole = text.tables(rendered("a", flowtable=["eth0", "bond0.10"]))[IPV4]
    assert text.devices(whole.skeleton) == ["bond0.10", "eth0"]
    assert "flow add @short-cut" in text.skeleton(whole.skeleton).chains["filter-forward"]
    assert text.with_devices(whole, ["lo", "bond0.10", "eth0"]) is whole
    one = text.with_devices(whole, ["bond0.10"])
    assert text.skeleton(one.skeleton).flowtables["short-cut"].endswith('\t\tdevices = { "bond0.10" }\n')
    assert text.with_devices(whole, []).skeleton == text.tables(rendered("a"))[IPV4].skeleton


def test_sizes_that_grow() -> None:
    skeleton = text.tables(rendered("a", affinity_clients=5000))[IPV4].skeleton
    assert re.findall(r"size (\d+)", text.without_sizes(skeleton)) == ["5000"]


@pytest.mark.parametrize("bad", ["table ip filter {\n}\n", "table ip sluice\n", "add element ip sluice lists {\n}\n"])
def test_what_is_none_of_ours(bad: str) -> None:
    with pytest.raises(TextError):
        text.tables(bad)


def test_elements_of_nobody() -> None:
    with pytest.raises(TextError, match="not elements of Sluice"):
        text.tables(rendered("a").replace("sluice lists {", "sluice others {"))


def test_only_what_differs_is_read() -> None:
    many = [f"s{number}" for number in range(100)]
    before, after = (text.tables(rendered(*names))[IPV4] for names in (many, [*many[:50], "s50x", *many[51:]]))
    old, new = text.different(before, after)
    assert 'comment "shop/s50"' in old["lists"]
    assert 'comment "shop/s50x"' in new["lists"]
    assert (old["lists"].count("\n"), new["lists"].count("\n")) == (1, 1)
    assert (old["hairpin"], new["hairpin"]) == ("", "")
    assert text.different(NO_TABLE, after)[1]["lists"].count("\n") == 100


def test_a_listing_of_nft_becomes_a_file() -> None:
    listing = "table ip sluice {\n\tmap lists {\n\t\ttype classid : classid\n\t}\n\n\tchain kinds {\n\t\tdrop\n\t}\n}\n"
    found = text.of_listing(IPV4, listing, {"lists": '\t8000:1000 comment "a/b" : 8000:1001,\n', "ways": ""})
    (table,) = text.tables(found).values()
    assert text.skeleton(table.skeleton).chains == {"kinds": "\t\tdrop\n"}
    assert str(table.elements["lists"]) == '\t8000:1000 comment "a/b" : 8000:1001,\n'
