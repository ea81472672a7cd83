"""The register: what stands in it does not overlap, and is written as nft writes a class id."""

from __future__ import annotations

import pytest

from sluice.backends.nftables import layout


def test_the_parts_of_the_register() -> None:
    first, count = layout.SERVICES
    largest = layout.register(first + count - 1, layout.LOCAL | layout.LOW_BITS)
    assert largest == 0xFFFFFFFF
    assert layout.register(first) & ~layout.TAG == 1 << layout.NUMBER_BITS
    assert layout.LIST_MASK | layout.LOW_BITS == layout.SERVICE_MASK | layout.LOCAL | layout.LOW_BITS == 0xFFFFFFFF
    assert layout.SERVICE_MASK & layout.ENDPOINT_MASK == 0
    low, numbers = layout.ENDPOINTS
    assert low + numbers - 1 == layout.ENDPOINT_MASK
    codes, more = layout.CODES
    assert (codes, codes + more - 1) == (layout.FEW + 1, layout.LOW_BITS)


@pytest.mark.parametrize(("value", "text"), [(5, "0:5"), (0x80053001, "8005:3001"), (0xFFFF0000, "ffff:0")])
def test_class_ids(value: int, text: str) -> None:
    assert (layout.class_id(value), layout.of_class_id(text)) == (text, value)
