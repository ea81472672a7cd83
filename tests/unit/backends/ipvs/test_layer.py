"""The layer of IPVS' tables: its files, its front ends, what it remembers."""

from __future__ import annotations

from sluice.addresses import IPV4
from sluice.backends.interface import Frontend
from sluice.backends.ipvs.layer import LAYER

TWO = """\
-A -u 10.96.0.2:53 -s rr
-a -u 10.96.0.2:53 -r 10.244.1.1:53 -m -w 1
-a -u 10.96.0.2:53 -r 10.244.1.2:53 -m -w 1
-A -t 10.96.0.2:53 -s rr
-a -t 10.96.0.2:53 -r 10.244.1.3:53 -m -w 1
-A -u [fd00::2]:53 -s rr
-a -u [fd00::2]:53 -r [fd00::11]:53 -m -w 1
"""


def test_front_ends_of_ipvs() -> None:
    assert LAYER.frontends({"ipvs.conf": TWO}, IPV4) == {
        Frontend("10.96.0.2", 53): {("10.244.1.1", 53), ("10.244.1.2", 53)},
        Frontend("fd00::2", 53): {("fd00::11", 53)},
    }
