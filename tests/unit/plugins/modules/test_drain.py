"""The module drain takes endpoints out of service and brings them back; its action says who does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import folder_backend
import pytest
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import apply, files, outage
from places import journal

ADDRESS = "192.0.2.1"


@pytest.fixture
def _in_force(node_root: Path) -> None:
    text = "web a\n"
    contents = folder_backend.contents(text, folder_backend.catalogue(text))
    apply.apply(lambda: files.parse(contents))


@pytest.mark.usefixtures("_in_force")
def test_out_and_back(run: Any) -> None:
    assert run("drain", addresses=[ADDRESS], check=True)["out"] == []
    assert outage.current().drained == frozenset()
    run("drain", addresses=[ADDRESS])
    assert outage.current().drained == {ADDRESS}
    run("drain", addresses=[ADDRESS], state="serving")
    assert outage.current().drained == frozenset()
    done = run("drain", addresses=[ADDRESS], state="serving")
    assert not done["changed"]


def test_the_node_itself(run: Any) -> None:
    """Its rules are not asked for: there may be none yet."""
    done = run("drain", node=True, check=True)
    assert (done["changed"], done["node_drained"], outage.node_is_drained()) == (True, True, False)
    assert done["diff"] == [{"before": "the node serves\n", "after": "the node is drained\n"}]
    done = run("drain", node=True)
    assert (done["changed"], done["node_drained"], outage.node_is_drained()) == (True, True, True)
    for check in (True, False):
        done = run("drain", node=True, check=check)
        assert (done["changed"], done["node_drained"], done["diff"]) == (False, True, [])
    done = run("drain", node=True, state="serving", check=True)
    assert (done["changed"], done["node_drained"], outage.node_is_drained()) == (True, False, True)
    done = run("drain", node=True, state="serving")
    assert (done["changed"], done["node_drained"], outage.node_is_drained()) == (True, False, False)


def test_who_drains_the_node_is_in_the_journal(run: Any, node_root: Path) -> None:
    run("drain", node=True, origin={"user": "ops", "node": "lb1"})
    assert journal(node_root) == ["drain of the node by ops (ansible)"]


@pytest.mark.parametrize("given", [{}, {"addresses": []}, {"node": False}, {"addresses": [ADDRESS], "node": True}])
def test_one_of_them_is_meant(run: Any, given: dict[str, Any]) -> None:
    assert run("drain", **given)["msg"] == "either addresses of endpoints or node: true is needed"
    assert not outage.node_is_drained()


@pytest.mark.usefixtures("_in_force")
def test_what_is_no_endpoint(run: Any) -> None:
    assert run("drain", addresses=["web"])["msg"] == "not an IP address: web"
    said = "not an endpoint of this node's catalogue: 10.0.0.1; nothing was changed"
    assert run("drain", addresses=["10.0.0.1"])["msg"] == said
