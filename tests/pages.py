"""Pages about fleets, as the playbook writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fleets

from sluice import fleet
from sluice.fleet import merge
from sluice.fleet.page import Parts, page
from sluice.fleet.states import State

PARTS = Parts(*((Path(fleet.__path__[0]) / f"page.{kind}").read_text() for kind in ("html", "css", "js")))


def written(folder: Path, states: Sequence[State]) -> tuple[Path, Mapping[str, Any]]:
    """A page about nodes, and its data."""
    data = merge.merged(states, fleets.NOW)
    path = folder / "page.html"
    path.write_text(page(data, PARTS))
    return path, data
