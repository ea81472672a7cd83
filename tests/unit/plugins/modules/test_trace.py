"""The module trace follows packets through what the node's kernel holds, and changes nothing."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

ENGINE = "ansible_collections.sluice.lb.plugins.module_utils.sluice"
RULES = """\
*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-A - [0:0]
:KUBE-SEP-A - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "shop/web cluster IP" -m tcp --dport 80 -j KUBE-SVC-A
-A KUBE-SVC-A -m comment --comment "shop/web -> 10.1.0.1:8080" -j KUBE-SEP-A
-A KUBE-SEP-A -p tcp -m comment --comment shop/web -m tcp -j DNAT --to-destination 10.1.0.1:8080
COMMIT
"""


@pytest.fixture(autouse=True)
def _held(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel would print."""
    live, snapshot = (importlib.import_module(f"{ENGINE}.observe.{name}") for name in ("live", "snapshot"))
    monkeypatch.setattr(live, "dump", lambda: snapshot.snapshot([("iptables-save", RULES)]))


@pytest.mark.parametrize("check", [True, False])
def test_where_packets_go(run: Any, check: bool) -> None:
    done = run("trace", to="shop/web", check=check, **{"from": "192.0.2.7"})
    assert (done["changed"], done["reason"]) == (False, "")
    (told,) = done["packets"]
    assert (told["where"], told["ends"], told["is_local"]) == ("tcp to 10.96.0.1:80", ["10.1.0.1:8080"], False)
    assert told["tree"].startswith("tcp to 10.96.0.1:80, from 192.0.2.7\n")


def test_a_service_that_is_not_there_is_an_answer(run: Any) -> None:
    done = run("trace", to="shop/other")
    assert (done["packets"], done["reason"]) == ([], "shop/other: the rules name no such Service")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"to": "web"}, "to web: is neither ADDRESS:PORT[/PROTOCOL] nor NAMESPACE/NAME[:PORT]"),
        ({"to": "10.96.0.1:80", "from": "fd00::1"}, "from fd00::1 is of another address family than 10.96.0.1:80"),
        ({}, "missing required arguments: to"),
    ],
)
def test_what_cannot_be_asked(run: Any, given: dict[str, str], why: str) -> None:
    done = run("trace", **given)
    assert (done["failed"], done["msg"]) == (True, why)
