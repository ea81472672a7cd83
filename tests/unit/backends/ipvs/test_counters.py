"""Counters of IPVS: each virtual server and each of its real servers, as ipvsadm prints them."""

from __future__ import annotations

from sluice.backends.interface import Count, Entry
from sluice.backends.ipvs.counters import counters

PRINTED = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  10.96.0.1:80                        5       25       20     1700     2400
  -> 10.1.0.1:8080                       3       15       12     1000     1400
  -> 10.1.0.2:8080                       2       10        8      700     1000
TCP  [fd00::1]:80                        1        5        4      400      500
  -> [fd00:1::1]:8080                    1        5        4      400      500
UDP  10.96.0.10:53                       0        0        0        0        0
FWM  3                                   7        7        7        7        7
  -> 10.1.0.9:53                         7        7        7        7        7
"""


def test_each_virtual_and_real_server() -> None:
    found = counters(PRINTED.splitlines())
    web, six, dns = Entry("10.96.0.1", "tcp", 80), Entry("fd00::1", "tcp", 80), Entry("10.96.0.10", "udp", 53)
    assert found.entries == {web: Count(5, 25, 1700, 20, 2400), six: Count(1, 5, 400, 4, 500), dns: Count()}
    assert found.endpoints == {
        (web, "10.1.0.1:8080"): Count(3, 15, 1000, 12, 1400),
        (web, "10.1.0.2:8080"): Count(2, 10, 700, 8, 1000),
        (six, "[fd00:1::1]:8080"): Count(1, 5, 400, 4, 500),
    }
    assert found.whole


def test_none() -> None:
    assert counters(PRINTED.splitlines()[:3]).entries == {}
