"""Elements: their lines and their bytes say the same, and numbers of the files become those of the kernel."""

from __future__ import annotations

import pytest

from sluice.addresses import IPV4, IPV6
from sluice.backends.nftables import elements
from sluice.backends.nftables.elements import Element, Lines, Renumbering
from sluice.backends.nftables.text import TextError

LINES = {
    "addresses": '10.96.0.1 . udp . 53 comment "shop/web:dns" : 8005:3001',
    "node-ports": 'sctp . 30080 comment "shop/web" : 8005:3004',
    "host-ports": "tcp . 9100 : 10.1.0.11 . 9200",
    "host-ports-at": "10.0.0.10 . tcp . 9100 : 10.1.0.11 . 9200",
    "lists": '8005:3800 comment "shop/web" : 8005:3805',
    "ways": "0:5 : goto random-5",
    "slots-tcp": "8005:3000 . 4 : 10.1.0.11 . 8080",
    "sticky-slots": "8005:3000 . 0 : 8005:3010",
    "sticky": "8005:3010 : 10.1.0.11 . 8080",
    "hairpin": "10.1.0.11 . 10.1.0.11",
    "refuse-inside": '10.96.0.1 . tcp . 80 comment "shop/web"',
    "drop-node-ports": 'tcp . 30080 comment "shop/web"',
    "node-addresses": "10.0.0.10",
}


def parsed(name: str, *lines: str, family: str = IPV4) -> dict[bytes, Element]:
    return elements.parse({name: "".join(f"\t{line},\n" for line in lines)}, family)[name]


@pytest.mark.parametrize(("name", "line"), LINES.items(), ids=LINES)
@pytest.mark.parametrize("family", [IPV4, IPV6])
def test_lines_and_bytes(name: str, line: str, family: str) -> None:
    if family == IPV6:
        line = line.replace("10.", "fd00::")
        line = line.replace("fd00::96.0.1", "fd00:96::1").replace("fd00::1.0.11", "fd00:1::11").replace(".0.10", "")
        line = line.replace("fd00::0", "fd00::10")
    found = parsed(name, line, family=family)
    assert list(elements.lines(name, found, family)) == [line]
    ((key, element),) = found.items()
    assert len(key) == elements.key_size(name, family)
    assert name == "ways" or len(element.data) == elements.data_size(name, family)
    assert list(Lines(name, found, family)) == [line]
    assert (len(Lines(name, found, family)), Lines(name, found, family)[0]) == (1, line)


@pytest.mark.parametrize(
    ("network", "family"),
    [("10.0.0.0/8", IPV4), ("192.0.2.7", IPV4), ("0.0.0.0/1", IPV4), ("fd00::/64", IPV6), ("fd00::1", IPV6)],
)
def test_ranges(network: str, family: str) -> None:
    line = f"8005:3000 . {network}"
    found = parsed("ranges", line, family=family)
    assert list(elements.lines("ranges", found, family)) == [line]
    (key,) = found
    assert len(key) == 2 * elements.key_size("ranges", family)
    assert key.startswith(bytes.fromhex("80053000"))  # whatever the machine, as nft(8) makes it


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("lists", "8005:3000 : 8005:3001"),
        ("slots-tcp", "8005:3000 . 0 : 10.1.0.300 . 80"),
        ("slots-tcp", "8005:3000 . 0 : 10.1.0.1 . 80 . 1"),
        ("addresses", '10.96.0.1 . icmp . 80 comment "x" : 8005:3001'),
        ("ranges", "8005:3000"),
        ("ranges", "8005:3000 . 10.0.0.1/8"),
    ],
)
def test_what_is_no_element(name: str, line: str) -> None:
    with pytest.raises(TextError, match=rf"^{name}: "):
        parsed(name, line)


def test_numbers_of_the_kernel() -> None:
    before = {
        "addresses": parsed("addresses", '10.96.0.1 . tcp . 80 comment "a/b" : 8005:3001'),
        "ways": parsed("ways", "0:5 : goto random-5"),
        "ranges": parsed("ranges", "8005:3000 . 10.0.0.0/8"),
        "sticky": parsed("sticky", "8005:3010 : 10.1.0.11 . 80", "8005:3020 : 10.1.0.12 . 80"),
        "sticky-slots": parsed("sticky-slots", "8005:3800 . 0 : 8005:3010"),
    }
    numbers = Renumbering({0x53: 0x64}, {(0x53, 0x10): 0x77})
    after = elements.renumbered(before, numbers)
    assert {name: list(elements.lines(name, entries, IPV4)) for name, entries in after.items()} == {
        "addresses": ['10.96.0.1 . tcp . 80 comment "a/b" : 8006:4001'],
        "ways": ["0:5 : goto random-5"],
        "ranges": ["8006:4000 . 10.0.0.0/8"],
        "sticky": ["8006:4077 : 10.1.0.11 . 80", "8006:4020 : 10.1.0.12 . 80"],
        "sticky-slots": ["8006:4800 . 0 : 8006:4077"],
    }
    assert elements.renumbered(before, Renumbering()) is before


def test_what_is_remembered_of_a_client() -> None:
    key = parsed("slots-tcp", "8005:3000 . 0 : 10.1.0.11 . 80")
    (register,) = (each[:4] for each in key)
    line = elements.client_line(bytes((192, 0, 2, 1)) + register, register, 10800000, 5000, IPV4)
    assert line == "192.0.2.1 . 8005:3000 timeout 10800000ms expires 5000ms : 8005:3000"
