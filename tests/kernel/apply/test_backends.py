"""A backend is one line in the registry: a tiny one passes all that a node does, with no change anywhere else."""

from __future__ import annotations

import cases
import folder_backend
import hosts
import pytest

from sluice.backends import registry
from sluice.node import apply, confirmation, files, rollback, settling, state
from sluice.system.tools import NodeError

OLD = [cases.Service(number) for number in range(3)]
NEW = [cases.Service(1, endpoints=cases.PODS[:4]), cases.Service(2), cases.Service(3)]


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BACKENDS, "folder", folder_backend.BACKEND)


def kernel(node: hosts.Node) -> dict[str, str]:
    return node.call(lambda: {path.name: path.read_text() for path in folder_backend.KERNEL.glob("*")})


def contents(services: list[cases.Service], backend: str = "folder") -> dict[str, str]:
    return cases.rendered(services, backend=backend)


def test_apply_check_and_diff(node: hosts.Node) -> None:
    predicted = node.apply(contents(OLD), check=True)
    assert kernel(node) == {}
    assert node.apply(contents(OLD)) == predicted
    assert set(kernel(node)) == {"shop_s0", "shop_s1", "shop_s2"}
    assert node.apply(contents(OLD)).summary() == "changed=0"
    result = node.apply(contents(NEW))
    assert [(change.verb, change.thing) for change in result.changes] == [
        ("remove", "folder shop_s0"),
        ("change", "folder shop_s1"),
        ("add", "folder shop_s3"),
    ]
    assert result.counts()["added"] == result.counts()["removed"] == result.counts()["modified"] == 1
    node.shell(f"rm {folder_backend.KERNEL}/shop_s2")
    drift = "drift: the catalogue is the same, the kernel's rules are not\nadd folder shop_s2\n  + "
    assert node.sluice("diff", check=False).stdout.startswith(drift)
    assert node.sluice("apply").stdout.startswith("changed=1 added=1 ")
    assert node.sluice("diff").stdout == ""


def test_confirm_and_take_back(node: hosts.Node) -> None:
    node.apply(contents(OLD))
    before = kernel(node)
    assert node.apply(contents(NEW), confirm=60).pending
    assert node.call(confirmation.confirm)
    node.apply(contents(OLD))
    assert node.apply(contents(NEW), confirm=60).pending
    node.call(confirmation.take_back)
    assert kernel(node) == before
    assert node.call(lambda: dict(files.load(files.DIRECTORY).contents)) == contents(OLD)
    assert node.call(state.note)


def test_rollback(node: hosts.Node) -> None:
    node.apply(contents(OLD))
    before = kernel(node)
    node.apply(contents(NEW))
    node.call(rollback.roll_back)
    assert kernel(node) == before
    assert node.sluice("apply").stdout == "changed=0\n"
    with pytest.raises(NodeError, match="no earlier generation"):
        node.call(rollback.roll_back)


@pytest.mark.parametrize("confirm", [0, 60])
def test_migration_there_and_back(node: hosts.Node, confirm: int) -> None:
    node.apply(contents(OLD, "iptables"))
    rules = node.save("nft")
    node.apply(contents(OLD), confirm=confirm)
    assert set(kernel(node)) == {"shop_s0", "shop_s1", "shop_s2"}
    assert "KUBE-" not in node.save("nft")
    assert node.call(settling.run) is False
    node.call(confirmation.take_back) if confirm else node.apply(contents(OLD, "iptables"))
    assert kernel(node) == {}
    assert sorted(node.save("nft").split("\n")) == sorted(rules.split("\n"))
    assert node.sluice("diff").stdout == ""


def test_removal(node: hosts.Node) -> None:
    node.apply(contents(OLD))
    node.shell(f"touch {folder_backend.KERNEL}.other")
    assert node.call(lambda: apply.remove(check=True)).changed
    assert kernel(node)
    assert len(node.call(apply.remove).changes) == 3
    assert kernel(node) == {}
    assert node.call(lambda: not (folder_backend.Path(state.ROOT) / folder_backend.CLAIM).exists())
    assert node.call(apply.remove).summary() == "changed=0"


def test_unknown_backend_is_refused(node: hosts.Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.apply(contents(OLD))
    monkeypatch.delitem(registry.BACKENDS, "folder")
    refused = node.sluice("apply", check=False)
    assert (refused.returncode, refused.stderr) == (2, "sluice: /etc/sluice: there is no backend folder\n")
