"""A sealed text is whole, or it is none."""

from __future__ import annotations

import json

import pytest

from sluice import seal

FIELDS = {"b": [1, 2.5, None], "a": "\u00e9\n", "c": {"d": True}}


def test_what_was_sealed_comes_back() -> None:
    assert seal.fields(seal.text(FIELDS)) == FIELDS
    assert seal.fields(seal.text(FIELDS, indent=2)) == FIELDS
    assert seal.text(seal.fields(seal.text(FIELDS))) == seal.text(FIELDS)
    assert seal.text({**FIELDS, seal.KEY: "old"}) == seal.text(FIELDS)


def test_form_does_not_matter() -> None:
    assert seal.fields(json.dumps(json.loads(seal.text(FIELDS)), indent=4)) == FIELDS


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"sha256"', "[" * 100_000, json.dumps(FIELDS)], ids=range(7))
def test_what_has_no_seal(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        seal.fields(text)


def test_what_was_changed() -> None:
    for name in FIELDS:
        fields = json.loads(seal.text(FIELDS))
        del fields[name]
        with pytest.raises(ValueError, match=r"^the seal is broken$"):
            seal.fields(json.dumps(fields))
