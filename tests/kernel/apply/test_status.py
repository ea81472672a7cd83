"""What an operator is told of a node that is in use: status, history, where a rollback goes, lines in the journal."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import Any

import cases
import hosts
import pytest
import support
import syslog_recorder

from sluice.catalogue import compiled
from sluice.node import files, origin

OLD = [cases.Service(1), cases.Service(2)]
NEW = [cases.Service(2, endpoints=cases.PODS[:3]), cases.Service(3), cases.Service(4)]
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
JOURNAL = "/run/syslog"
ENDPOINTS = "10.1.0.0/24"


def contents(services: list[cases.Service]) -> dict[str, str]:
    """A node's files as a role writes them, with the catalogue."""
    found = support.catalogue(*(each for service in services for each in service.objects(both=False)))
    return files.sealed({**cases.rendered(services), files.CATALOGUE_FILE: compiled.text(found)})


@pytest.fixture
def applied(node: hosts.Node) -> hosts.Node:
    """A node with a way to its endpoints, that two applies have brought to NEW."""
    node.ip(f"route add {ENDPOINTS} dev lo")
    for services in (OLD, NEW):
        node.write(contents(services))
        node.sluice("apply")
    return node


def asked(node: hosts.Node, *words: str, code: int = 0) -> Any:
    done = node.sluice(*words, "--json", check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def record(node: hosts.Node) -> None:
    """Keep what the node's syslog gets from now on."""

    def keep() -> None:
        syslog_recorder.record(JOURNAL)
        signal.pause()

    node.start(keep)
    hosts.wait_for(lambda: node.call(lambda: os.path.exists("/dev/log")), "nobody records")


def recorded(node: hosts.Node) -> list[str]:
    return re.findall(r" sluice: (.*)", node.shell(f"cat {JOURNAL}"))


def test_a_week_of_an_operator(applied: hosts.Node) -> None:
    """Each question has its answer: what is it, what was before, what changed, who did it."""
    status = asked(applied, "status")
    assert [status[name] for name in ("backend", "generation", "services", "endpoints", "ready", "drift")] == [
        *("iptables", 2, 3, 7, 7, False),
    ]
    assert (status["by"]["by"], status["pending"], status["last_error"]) == ("command", None, None)
    newest, oldest = asked(applied, "history")
    assert (newest["active"], newest["changes"][0]) == (True, "2 Services added, 1 removed, 1 changed")
    assert (oldest["active"], oldest["changes"]) == (False, ["2 Services"])

    said = applied.sluice("rollback", "--to", "1").stdout.splitlines()
    assert re.fullmatch(r"back to generation 1 of 20.* UTC \(by \S+, command\): 2 Services", said[0])
    assert said[-1].startswith("changed=")
    assert applied.differs() == ()
    status = asked(applied, "status")
    assert (status["generation"], status["by"]["by"], status["services"]) == (1, "rollback", 2)
    assert [each["active"] for each in asked(applied, "history")] == [False, True]

    for words, line in (
        ((), "there is no earlier generation to go back to: kept are 1, 2, in force is 1"),
        (("--to", "7"), "there is no generation 7: kept are 1, 2, in force is 1"),
    ):
        refused = applied.sluice("rollback", *words, check=False)
        assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", f"sluice: {line}\n")
    assert asked(applied, "status")["last_error"] is None, "a number that there is not is no error of the node's"


def test_what_is_not_well_is_an_exit_code(applied: hosts.Node) -> None:
    applied.sluice("apply", "--confirm", "3600")
    applied.run("iptables", "-t", "nat", "-F", "KUBE-SERVICES")
    assert asked(applied, "status", code=1)["drift"] is True
    assert applied.sluice("apply", "--repair").stdout.startswith("changed=")
    assert applied.sluice("apply", "--repair").stdout == "", "the timer of a node is quiet where nothing is to be done"
    assert asked(applied, "status")["by"]["by"] == "repair"
    applied.apply(contents(OLD), confirm=3600)
    waiting = asked(applied, "status")["pending"]
    assert 0 < waiting["seconds_left"] <= 3600
    applied.sluice("rollback", "--unconfirmed", waiting["change"])
    status = asked(applied, "status", code=1)
    assert (status["by"]["by"], status["pending"]) == ("timer", None)
    assert status["rolled_back"]["reason"] == "it was not confirmed in time"


def test_an_endpoint_without_a_route(applied: hosts.Node) -> None:
    """Also by a route that says no; and where a default route leads to all, only that one counts."""
    one = cases.PODS[0]
    for kind, fine in (("unreachable", False), ("blackhole", False), ("prohibit", False), ("local", True)):
        applied.ip(f"route add {kind} {one} dev lo" if fine else f"route add {kind} {one}")
        status = asked(applied, "status", code=0 if fine else 1)
        assert status["unrouted"] == ([] if fine else [one]), kind
        applied.ip(f"route del {kind} {one}")
    applied.ip(f"route del {ENDPOINTS} dev lo")
    said = applied.sluice("status", check=False)
    assert (said.returncode, "this node has no route to 3 endpoints: 10.1.0." in said.stdout) == (1, True)
    metrics = applied.sluice("status", "--metrics", check=False).stdout
    assert "\nsluice_endpoints_without_route 3\n" in metrics
    applied.ip("route add default dev lo")
    assert asked(applied, "status")["unrouted"] == []


def test_an_ordinary_user_may_ask(applied: hosts.Node) -> None:
    """By the installed command; only drift needs root."""
    done = applied.run(*AS_NOBODY, "sluice", "status", "--json")
    status = json.loads(done.stdout)
    assert (status["generation"], status["services"], status["drift"]) == (2, 3, None)
    assert status["drift_unknown"] == "only root can compare the kernel"
    assert "3 Services, 7 endpoints" in applied.run(*AS_NOBODY, "sluice", "status").stdout
    assert applied.run(*AS_NOBODY, "sluice", "history").stdout.count(" UTC ") == 2
    assert applied.run(*AS_NOBODY, "sluice", "rollback", check=False).returncode == 2


def test_the_journal_has_a_line_for_each_change(node: hosts.Node) -> None:
    record(node)
    node.write(contents(OLD))
    node.sluice("apply", "--check")
    node.run("env", "SUDO_USER=al\nice", "sluice", "apply")
    node.sluice("apply")
    node.sluice("diff")
    node.write(contents(NEW))
    node.sluice("apply", "--confirm", "3600")
    node.sluice("confirm")
    node.sluice("rollback", "--check")
    node.sluice("rollback")
    said = recorded(node)
    assert all(re.search(r"\+\d+ -\d+ rules", line) for line in said if not line.startswith("confirm"))
    lines = [re.sub(r", \+\d+ -\d+ rules", "", line) for line in said]
    user = node.call(origin.login)
    assert lines == [
        r"apply by al\nice (command): generation 1: iptables, 2 Services",
        f"apply by {user} (command): generation 2: iptables, 2 Services added, 1 removed, 1 changed, to be confirmed",
        f"confirm by {user} (command): generation 2",
        f"rollback by {user}: generation 1: iptables, 1 Service added, 2 removed, 1 changed",
    ]
