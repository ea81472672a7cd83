"""The filter probability gives what iptables-save prints, and refuses what is no number of endpoints."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.sluice.lb.plugins.filter.probability import FilterModule

probability = FilterModule().filters()["probability"]


def test_as_iptables_prints_it() -> None:
    assert [probability(left) for left in (3, 2, 1)] == ["0.33333333349", "0.50000000000", "1.00000000000"]


@pytest.mark.parametrize("left", [0, -1, 1.5, "3", True, None])
def test_what_is_no_number_of_endpoints(left: object) -> None:
    with pytest.raises(AnsibleFilterError, match=r"^sluice.lb.probability: must be a whole number from 1, is "):
        probability(left)
