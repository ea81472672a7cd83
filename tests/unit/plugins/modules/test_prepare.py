"""The module prepare makes a node ready and installs the command, once, and takes all of it away again."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from ansible_collections.sluice.lb.plugins.module_utils import sluice
from ansible_collections.sluice.lb.plugins.module_utils.sluice.node import installation, preparation, processes, units

WANTED = {
    "sysctls": {"kernel.ostype": "Linux"},
    "modules": ["kernel"],
    "module_options": {"no_such_module": {"a": 1}},
}
DOCUMENTS = {"_sluice", "sluice.1", "sluice.bash"}


def files(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def test_a_node_is_prepared_once(run: Any, node_root: Path) -> None:
    predicted = run("prepare", check=True, **WANTED)
    assert (predicted["changed"], files(node_root)) == (True, [])
    done = run("prepare", **WANTED)
    assert (done["changed"], done["diff"], done["version"]) == (True, predicted["diff"], sluice.__version__)
    written = done["diff"][-1]["prepared"].splitlines()
    assert written[0].startswith(f"{installation.LIBRARY}: ")
    assert f"{units.COMMAND}: written" in written
    assert Path(preparation.SYSCTL_FILE).read_text().endswith("\nkernel.ostype = Linux\n")
    printed = subprocess.run([units.COMMAND, "--version"], env={}, capture_output=True, text=True, check=True).stdout
    assert printed == f"sluice {sluice.__version__}\n"
    assert Path(preparation.OPTIONS_FILE).read_text().endswith("\noptions no_such_module a=1\n")
    assert {path.name for path in Path(installation.SHARE).rglob("*") if path.is_file()} == DOCUMENTS
    assert not run("prepare", **WANTED)["changed"]


def test_options_that_are_not_in_force_are_a_warning(run: Any, node_root: Path, monkeypatch: Any) -> None:
    options = {"xt_recent": {"ip_list_tot": 5000}}
    monkeypatch.setattr(preparation.linux, "module_parameter", lambda *_: "100")
    monkeypatch.setattr(preparation.linux, "module_use", lambda _: 1)
    warned = run("prepare", module_options=options)["warned"]
    assert "xt_recent is in use with ip_list_tot=100: ip_list_tot=5000 takes effect with the next" in warned
    assert files(node_root)


def test_all_of_it_is_taken_away(run: Any, node_root: Path) -> None:
    run("prepare", **WANTED)
    assert run("prepare", state="absent", check=True, **WANTED)["changed"]
    assert files(node_root)
    assert run("prepare", state="absent", **WANTED)["changed"]
    assert files(node_root) == []
    assert not run("prepare", state="absent")["changed"]


def test_health_is_switched_on_and_off(run: Any, node_root: Path, monkeypatch: Any) -> None:
    """Processes would be this machine's; those of a node are tested in tests/kernel/health/test_health_processes.py."""
    running = node_root / "running"
    monkeypatch.setattr(processes, "differing", lambda wanted: ["check"] if wanted != running.exists() else [])
    monkeypatch.setattr(processes, "start", running.touch)
    monkeypatch.setattr(processes, "end", lambda: running.unlink(missing_ok=True))
    for health in (True, False):
        assert run("prepare", check=True, health=health)["changed"]
        assert running.exists() is not health
        assert run("prepare", health=health)["changed"]
        assert running.exists() is health
        assert not run("prepare", health=health)["changed"]


def test_what_the_kernel_refuses_is_one_line(run: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(preparation.linux, "lacks_module", lambda name: True)
    done = run("prepare", modules=["ip_vs"])
    assert (done["failed"], done["msg"]) == (True, "this node's kernel has no module ip_vs; nothing was changed")


def test_room_for_connections_is_a_number_or_auto(run: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(preparation.linux, "sysctl", lambda name: "4096")
    monkeypatch.setattr(preparation.linux, "may_set_sysctl", lambda name: False)
    done = run("prepare", conntrack_max="8192")
    assert "nf_conntrack_max stays 4096: sluice_conntrack_max (8192) cannot be set in here" in done["warned"]
    assert run("prepare", conntrack_max="many")["msg"] == "conntrack_max: must be auto or a whole number, is 'many'"
