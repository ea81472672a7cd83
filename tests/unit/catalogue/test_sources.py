"""What a command or a role was given, to one catalogue."""

from __future__ import annotations

from typing import Any

import pytest

from sluice import render
from sluice.catalogue import sources
from sluice.faults import InputError


@pytest.mark.parametrize("hosts", ["abc", {"a": 1}, 3, [None]])
def test_inventory_hosts_that_are_no_list(hosts: Any) -> None:
    with pytest.raises(InputError):
        sources.catalogue_of(sources.read([]), hosts, render.checks_for([]))
