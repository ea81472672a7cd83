"""What the checker gives up: for good, and with all that it executes."""

from __future__ import annotations

import os
import pwd
import resource
import subprocess
import sys

import pytest

SCRIPT = """
import os, sys
from pathlib import Path
from sluice.health import privileges
privileges.drop()
most = privileges.descriptors()
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(status["Uid"].split(), status["Gid"].split(), status["Groups"].split(), status["CapEff"].split(),
      status["NoNewPrivs"].split(), os.stat("/proc/self/environ").st_uid, most, sep="|")
try:
    os.setuid(0)
    print("root again")
except PermissionError:
    print("for good")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="who is nobody already has nothing to give up")
def test_root_becomes_nobody_in_particular() -> None:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    uid, gid, groups, capabilities, no_new, owner, most = first.split("|")
    try:
        user = pwd.getpwnam("sluice-health")
    except KeyError:
        user = pwd.getpwnam("nobody")
    assert uid == str([str(user.pw_uid)] * 4)
    assert gid == str([str(user.pw_gid)] * 4)
    assert groups == "[]"
    assert capabilities == "['0000000000000000']"
    assert no_new == "['1']"
    assert owner == "0", "it cannot be dumped or traced by others of that user"
    assert 0 < int(most) <= max(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1 << 20)
    assert second == "for good"
