"""A change that cuts a node off: the node takes it back, the run says so, and the other nodes keep theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sites import Site

SECONDS = 3
"""After which a change is taken back."""

# Its connections are made, but none of them behind a change: the first command after a reset waits until the node has
# had the time to take it back. (The change itself cuts nothing off: connections here need no network.)
CUT_OFF = f"""
import time
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.sluice.lb.plugins.connection import netns

DOCUMENTATION = netns.DOCUMENTATION.replace("name: netns", "name: cut_off")


class Connection(netns.Connection):
    transport = "cut_off"
    until = 0.0

    def reset(self):
        self.until = self.until or time.monotonic() + {SECONDS + 2}

    def exec_command(self, *given, **more):
        if time.monotonic() < self.until:
            raise AnsibleConnectionFailure("connection timed out")
        return super().exec_command(*given, **more)
"""


@pytest.fixture
def site(needs_root: None, tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path, "other")
    found.declare("web")
    plugins = tmp_path / "connections"
    plugins.mkdir()
    (plugins / "cut_off.py").write_text(CUT_OFF)
    with found.up():
        found.play("site.yml")
        yield found


def test_the_others_keep_their_change(site: Site, tmp_path: Path) -> None:
    """Also where the run has them all at once: no node waits for another one before its change is confirmed."""
    variables = tmp_path / "host_vars"
    variables.mkdir()
    (variables / "node.yml").write_text(f"ansible_connection: cut_off\nsluice_confirm_timeout: {SECONDS}\n")
    site.declare("web", "api")
    ran = site.play("site.yml", fails=True, ANSIBLE_CONNECTION_PLUGINS=str(tmp_path / "connections"))
    assert re.search(r"the change was taken back at \S+: it was not confirmed in time; no new connection", ran.output)
    assert ran.output.rstrip().endswith("node took its change back; other iptables generation 2: 1 Service added")
    assert site.status()["generation"] == 1
    other = site.status("other")
    assert (other["generation"], other["pending"], other["services"]) == (2, None, 2)


def test_a_node_that_fails_is_in_the_last_line_and_goes_on_as_it_was(site: Site) -> None:
    """What it refused is not what its own timer brings it to, and the other node keeps what it got."""
    site.shell("mount --bind /var/lib/sluice /var/lib/sluice; mount -o remount,ro,bind /var/lib/sluice")
    before = site.files()
    site.declare("web", "api")
    ran = site.play("site.yml", fails=True)
    assert "Read-only file system: nothing was changed" in ran.output
    assert ran.output.rstrip().endswith("; node failed; other iptables generation 2: 1 Service added")
    assert site.files() == before
    assert site.shell("sluice apply --repair") == ""
    assert site.status()["drift"] is False
