"""Where supervisor and checker meet: who may come, and who has come."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sluice.health import peers


def test_who_may_connect(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    for _again in range(2):
        with peers.listen(str(path), os.getgid()):
            status = path.stat()
            assert stat.S_IMODE(status.st_mode) == 0o660
            assert status.st_gid == os.getgid()
    assert peers.connect(str(path)) is None, "nobody listens any more"
    assert peers.connect(str(tmp_path / "other")) is None


def test_who_has_come(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with peers.listen(path, os.getgid()) as listening:
        link = peers.connect(path)
        assert link is not None
        with link, listening.accept()[0] as accepted:
            assert peers.user(accepted) == os.geteuid()
