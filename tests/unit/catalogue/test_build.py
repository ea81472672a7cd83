"""All objects to one catalogue: every fault in one run, and no fault that only follows from another."""

from __future__ import annotations

from pathlib import Path

import bad_input
import pytest
from bad_input import GOOD, Bad, build, line_of
from support import endpoint_slice, service

from sluice import render
from sluice.catalogue import build as build_module
from sluice.catalogue import manifests, sources
from sluice.catalogue.model import Catalogue
from sluice.faults import Fault, InputError

CASES = {
    "unknown kind": Bad(
        "kind: Pod", "kind: Ingress", "", "kind", "v1 Ingress is not a kind that Sluice knows", warning=True
    ),
    "a typo in a kind": Bad(
        "kind: Pod", "kind: Pods", "", "kind", "knows (did you mean v1 Pod?): its objects are left out", warning=True
    ),
    "no kind": Bad("kind: Pod\n", "", "", "kind", "is missing", line="apiVersion: v1\nmetadata:\n  name: agent"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, tmp_path: Path) -> None:
    bad_input.check(CASES[name], tmp_path)


def test_good_input_has_no_fault(tmp_path: Path) -> None:
    assert build(tmp_path, GOOD) == []


def test_all_faults_in_one_run(tmp_path: Path) -> None:
    text = GOOD
    for old, new in (
        ("port: 80\n", "port: 0\n"),
        ("- 10.244.0.1", "- 10.244.0.256"),
        ("type: LoadBalancer", "type: LoadBalancers"),
        ("uid: 6b3a-1", 'uid: "a\\nb"'),
        ("name: other", "name: web"),
        ("port: 80\n", "port: !!python/name:os.system 80\n"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    messages = "\n".join(map(str, build(tmp_path, text + "---\n[\n---\n- 1\n")))
    for said in ("0 is not in 1-65535", "10.244.0.256", "LoadBalancers", "not a uid", "the tag", "must be an object"):
        assert said in messages


def test_unknown_kind_is_one_warning(tmp_path: Path) -> None:
    several = "".join(f"---\napiVersion: x/v1\nkind: Foo\nmetadata: {{name: a{n}}}\n" for n in range(3))
    (fault,) = build(tmp_path, GOOD + several)
    assert fault.warning
    assert fault.line == line_of(GOOD + several, "---\napiVersion: x/v1\nkind: Foo\nmetadata: {name: a0}") + 2


@pytest.mark.parametrize("name", ["v1 Secret", "v1 ServiceAccount", "v1 ConfigMap", "apps/v1 Deployment"])
def test_another_kind_is_no_typo(name: str, tmp_path: Path) -> None:
    version, kind = name.split()
    (fault,) = build(tmp_path, f"apiVersion: {version}\nkind: {kind}\n")
    assert fault.message == f"{name} is not a kind that Sluice knows: its objects are left out"


def test_empty_catalogue_is_fine(tmp_path: Path) -> None:
    assert build(tmp_path, "") == []
    assert build(tmp_path, "# nothing\n---\n...\n---\nnull\n") == []


def test_slices_win_over_the_selector() -> None:
    hosts = [{"name": "a", "labels": {"app": "web"}, "endpoint_ip": "10.0.0.1"}]
    objects = [service(selector={"app": "web"}), endpoint_slice("10.244.0.1")]
    found, _ = sources.catalogue_of(sources.read([], objects), hosts, render.checks_for([]))
    assert [end.address for piece in found.services[0].slices for end in piece.endpoints] == ["10.244.0.1"]


def test_services_come_by_name() -> None:
    objects = [service(name, ip=f"10.96.0.{number}") for number, name in enumerate("bca", 1)]
    found, faults, _given = build_module.build(manifests.inline(objects)[0])
    assert not faults
    assert [each.name for each in found.services] == ["a", "b", "c"]


def test_a_fault_makes_the_catalogue_unusable_and_a_warning_does_not() -> None:
    warning = Fault("f", 1, "", "", "odd", warning=True)
    assert build_module.checked(Catalogue(), [warning]) == Catalogue()
    with pytest.raises(InputError) as caught:
        build_module.checked(Catalogue(), [warning, warning._replace(warning=False)])
    assert len(caught.value.faults) == 2


def test_nothing_of_what_nobody_knows_is_said() -> None:
    """A Secret between the Services, whole or broken, and a file that is no manifest at all."""
    secret = {"apiVersion": "v1", "kind": "Secret", "data": {"a": "hunter2"}, "stringData": {"b": "hunter2"}}
    broken = ({**secret, "kind": None}, {**secret, "apiVersion": 1}, {**secret, "metadata": "hunter2"}, "hunter2")
    found, faults, _given = build_module.build(manifests.inline([secret, *broken, service()])[0])
    assert len(faults) == 4
    assert "hunter2" not in "".join(map(str, faults)) + repr(found)


def test_an_endless_kind_is_cut() -> None:
    (fault,) = build_module.build(manifests.inline([{"apiVersion": "v1", "kind": "x" * 10_000}])[0])[1]
    assert len(str(fault)) < 300
