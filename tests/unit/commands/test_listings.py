"""``sluice get`` prints what kubectl would, of manifests and on a node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_runs import GOOD, Ran

SERVICES = """\
NAMESPACE   NAME   TYPE        CLUSTER-IP   EXTERNAL-IP   PORT(S)        AGE
default     dns    ClusterIP   10.96.0.2    <none>        53/UDP         AGE
shop        web    NodePort    10.96.0.10   <none>        80:30080/TCP   <unknown>
"""


def test_get_prints_what_kubectl_would(listed: Path, node: Path) -> None:
    ran = Ran("get", "services", "-A", "--settings", node, listed)
    (years,) = {word for word in ran.output.split() if word.endswith(("y", "d")) and word[0].isdigit()}
    assert (ran.code, ran.output.replace(years, "AGE"), ran.errors) == (0, SERVICES, [])
    for words, last in (
        (("svc", "-n", "shop", "--no-headers"), "web   NodePort   10.96.0.10   <none>   80:30080/TCP   <unknown>"),
        (("svc", "-A", "-l", "app in (web)", "-o", "name"), "service/web"),
        (("ep", "-n", "shop"), "web    192.0.2.21:8080,192.0.2.22:8080   <unknown>"),
        (("no", "-n", "shop"), "lb1    Ready    <none>   <unknown>   "),
    ):
        ran = Ran("get", *words, listed)
        assert (ran.code, ran.output.splitlines()[-1], ran.errors) == (0, last, [])


def test_get_without_a_namespace_is_about_default(listed: Path) -> None:
    for words in ((), ("-n", "")):
        assert Ran("get", "svc", "-o", "name", *words, listed).output == "service/dns\n"


def test_get_finds_nothing(tmp_path: Path, listed: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for words, line in (
        (("svc", "-n", "x\x1b", listed), "No resources found in x\\x1b namespace."),
        (("svc", empty), "No resources found in default namespace."),
        (("ep", "-A", empty), "No resources found"),
        (("nodes", "-l", "zone", listed), "No resources found"),
    ):
        ran = Ran("get", *words)
        assert (ran.code, ran.output, ran.errors) == (0, "", [line])
    assert Ran("get", "svc", "-o", "name", empty).errors == []
    assert json.loads(Ran("get", "svc", "-o", "json", empty).output)["items"] == []


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_what_get_prints_is_the_same_catalogue(form: str, tmp_path: Path, listed: Path, node: Path) -> None:
    given = [tmp_path / f"{kind}.{form}" for kind in ("services", "endpoints", "nodes")]
    for path in given:
        path.write_text(Ran("get", path.stem, "-A", "-o", form, listed).output)
    for name, sources in (("one", [listed]), ("two", given)):
        assert Ran("render", "--settings", node, "--out", tmp_path / name, *sources).errors == []
    assert (tmp_path / "one/iptables.rules").read_text() == (tmp_path / "two/iptables.rules").read_text()
    assert Ran("get", "ep", "-A", "-o", form, *given).output == Ran("get", "ep", "-A", "-o", form, listed).output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("pods",), "sluice: get knows services, endpoints and nodes, not pods"),
        (("svc", "web"), "sluice: web: no such manifest: get takes no names, --selector chooses by labels"),
        (("svc", "-l", "app in"), "sluice: --selector: ends where '(' should follow"),
    ],
)
def test_get_of_what_there_is_not(words: tuple[str, ...], message: str, listed: Path) -> None:
    ran = Ran("get", *words, listed)
    assert (ran.code, ran.output, ran.errors) == (2, "", [message])


def test_get_of_a_catalogue_that_is_not_sound(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text(GOOD.replace("80", "0"))
    ran = Ran("get", "svc", bad)
    assert (ran.code, ran.output, len(ran.errors)) == (1, "", 1)


def test_get_on_a_node(tmp_path: Path, listed: Path, node: Path) -> None:
    given = ("--dir", tmp_path / "out")
    assert "name manifests, or an inventory (--inventory)" in Ran("get", "svc", *given).errors[0]
    assert Ran("render", "--settings", node, "--out", tmp_path / "out", listed).code == 0
    ran = Ran("get", "svc", "-A", *given)
    assert (ran.errors, ran.output) == ([], Ran("get", "svc", "-A", listed).output)
