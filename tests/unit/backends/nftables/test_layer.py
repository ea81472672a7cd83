"""What the layer remembers comes back as it was, and what somebody has edited is not believed."""

from __future__ import annotations

import json

import pytest

from sluice.backends.nftables import layer
from sluice.backends.nftables.elements import Renumbering
from sluice.backends.nftables.layer import Known


def test_the_record() -> None:
    known = Known(7, {"IPv4": Renumbering({1: 2}, {(1, 16): 17})})
    assert layer._of_json(json.loads(json.dumps(layer._as_json(known)))) == known


@pytest.mark.parametrize("record", [{}, {"generation": "x"}, {"generation": 1}, {"generation": 1, "numbers": []}])
def test_a_record_that_somebody_edited(record: dict[str, object]) -> None:
    assert layer._of_json(record) == Known()
