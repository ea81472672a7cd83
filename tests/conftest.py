"""What all tests share: where their helpers are, and the profiles of hypothesis."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hypothesis
import pytest

TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS), str(TESTS / "golden"), str(TESTS / "property")]

# What others may write is not relied on, and a umask may say that they may.
os.umask(0o022)

# The same examples in every run, so that a red test is red for everybody; HYPOTHESIS_PROFILE=search looks for new ones.
PHASES = tuple(phase for phase in hypothesis.Phase if phase != hypothesis.Phase.explain)  # that one takes minutes
COMMON = {
    "phases": PHASES,
    "deadline": None,
    "database": None,
    "suppress_health_check": [hypothesis.HealthCheck.too_slow],
}
hypothesis.settings.register_profile("ci", derandomize=True, max_examples=60, **COMMON)
hypothesis.settings.register_profile("search", max_examples=2000, print_blob=True, **COMMON)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def needs_root() -> None:
    """Network namespaces are root's; who runs the tests without it is told what was not tested."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED AGAINST THE KERNEL: network namespaces need root")
