"""The module drain takes endpoints out of service and brings them back; its action says who does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import folder_backend
import pytest
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import apply, files, outage

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


@pytest.mark.usefixtures("_in_force")
def test_what_is_no_endpoint(run: Any) -> None:
    assert run("drain", addresses=["web"])["msg"] == "not an IP address: web"
    said = "not an endpoint of this node's catalogue: 10.0.0.1; nothing was changed"
    assert run("drain", addresses=["10.0.0.1"])["msg"] == said
