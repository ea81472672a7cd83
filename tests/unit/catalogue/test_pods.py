"""Host ports of Pods."""

from __future__ import annotations

from pathlib import Path

import bad_input
import pytest
from bad_input import AGENT, Bad

CASES = {
    "host port": Bad(
        "hostPort: 9100", "hostPort: 99999", AGENT, "spec.containers[0].ports[0].hostPort", "is not in 1-"
    ),
    "host IP": Bad(
        "hostPort: 9100",
        "hostIP: here\n      hostPort: 9100",
        AGENT,
        "spec.containers[0].ports[0].hostIP",
        "is not an IP address",
    ),
    "host port of no node": Bad(
        "  nodeName: node1\n  containers",
        "  containers",
        AGENT,
        "spec.nodeName",
        "is missing",
        line="spec:\n  containers",
    ),
    "host port of no address": Bad(
        "podIP: 10.244.0.9", "{}", AGENT, "status.podIP", "is missing: a host port leads", line="status:\n  {}"
    ),
    "uid": Bad("uid: 6b3a-1", 'uid: "a\\nb"', AGENT, "metadata.uid", "'a\\nb' is not a uid"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, tmp_path: Path) -> None:
    bad_input.check(CASES[name], tmp_path)
