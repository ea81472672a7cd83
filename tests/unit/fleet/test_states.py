"""What a node told is unpacked, or told to be damaged: a node may be somebody else's by now."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from sluice.fleet import states
from sluice.node import report


def packed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode())).decode()


def test_there_and_back() -> None:
    told = {"form": states.FORM, "rows": []}
    assert states.unpacked("lb1", packed(json.dumps(told))) == states.State("lb1", told)


def test_both_sides_write_of_one_form() -> None:
    assert states.FORM == report.FORM


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no base64!", "damaged"),
        (base64.b64encode(b"no zlib").decode(), "damaged"),
        (packed("no JSON"), "damaged"),
        (packed("[]"), "damaged"),
        (packed("{}"), "damaged"),
        (packed("[" * 100000), "damaged"),
        (packed('{"form": 99}'), "in form 99, and this release reads 1"),
        (base64.b64encode(zlib.compress(b'{"form": 1}')[:-6]).decode(), "damaged"),
    ],
)
def test_what_is_not_in_words_of_this_release(text: str, why: str) -> None:
    found = states.unpacked("lb1", text)
    assert (found.told, found.failed) == (None, states.FAILED)
    assert why in found.why


def test_more_than_any_node_has_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "MOST", 1000)
    assert "more than 1000 bytes" in states.unpacked("lb1", packed(" " * 1001)).why
