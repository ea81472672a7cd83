"""Text that is neither YAML nor JSON, or not as Kubernetes reads it."""

from __future__ import annotations

from pathlib import Path

import bad_input
import pytest
from bad_input import Bad

CASES = {
    "key twice": Bad(
        "clusterIP: 10.96.0.2",
        "clusterIP: 10.96.0.2\n  clusterIP: 10.96.0.3",
        "",
        "",
        "YAML syntax: the key 'clusterIP' is there twice",
        line="  clusterIP: 10.96.0.3",
    ),
    "YAML syntax": Bad(
        "  - port: 80\n", "  - port: [80\n", "", "", "YAML syntax: ", line="---\napiVersion: v1\nkind: Pod"
    ),
    "unknown tag": Bad("port: 80\n", "port: !!python/name:os.system 80\n", "", "", "YAML syntax: the tag "),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, tmp_path: Path) -> None:
    bad_input.check(CASES[name], tmp_path)
