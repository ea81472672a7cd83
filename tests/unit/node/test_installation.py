"""What is installed runs without the tree that it came from, is installed once, and leaves nothing when it goes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import script

import sluice
from sluice.node import installation, units
from sluice.system import tools, users

pytestmark = pytest.mark.usefixtures("node_root", "programs")


def install(
    *,
    present: bool = True,
    systemd: bool = False,
    repair_seconds: int = 0,
    health: bool = False,
    metrics: units.Metrics = units.NO_METRICS,
) -> installation.Change:
    wanted = installation.change(
        sluice,
        sys.executable,
        present=present,
        systemd=systemd,
        repair_seconds=repair_seconds,
        health=health,
        metrics=metrics,
    )
    if wanted:
        installation.perform(wanted)
    return wanted


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() or path.is_symlink())


def test_the_command_runs_without_the_tree(tmp_path: Path) -> None:
    install()
    (tmp_path / "json.py").write_text("raise SystemExit('code of the current folder')")
    done = subprocess.run(
        [units.COMMAND, "--version"], cwd=tmp_path, env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"sluice {sluice.__version__}\n"
    whole = sorted(
        path.relative_to(Path(sluice.__file__).parent) for path in Path(sluice.__file__).parent.rglob("*.py")
    )
    held = Path(installation.LIBRARY) / "sluice"
    assert sorted(path.relative_to(held) for path in held.rglob("*.py")) == whole
    assert list(held.rglob("*.pyc")), "compiled, for the boot and for timers"


def test_a_second_time_there_is_nothing_to_do() -> None:
    assert install()
    assert not install()


def test_modules_of_an_earlier_version_go() -> None:
    install()
    old = Path(installation.LIBRARY) / "sluice" / "old" / "module.py"
    old.parent.mkdir()
    old.write_text("")
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(old)], check=True)
    changed = Path(installation.LIBRARY) / "sluice" / "names.py"
    changed.write_text("edited")
    assert install().files.keys() == {str(old), str(changed)}
    assert not old.parent.exists()
    assert changed.read_text() != "edited"


def test_what_others_could_write_is_installed_anew() -> None:
    """A module that is compiled already needs no source: somebody may have put one there."""
    before = os.umask(0)
    try:
        install()
    finally:
        os.umask(before)
    library = Path(installation.LIBRARY)
    assert not [path for path in (library, *library.rglob("*"), Path(units.COMMAND)) if path.stat().st_mode & 0o022]
    cache = library / "sluice" / "__pycache__"
    strange = cache / "names.cpython-399.pyc"
    cache.chmod(0o777)
    strange.write_text("somebody's")
    assert install()
    assert not strange.exists()
    assert cache.stat().st_mode & 0o777 == 0o755
    assert not install()


def test_an_interpreter_that_others_could_replace_is_not_root_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "python3"
    theirs.symlink_to(sys.executable)
    os.lchown(theirs, 1234, 1234)
    monkeypatch.setattr(installation, "_OWN_PYTHON", sys.executable)
    for python in (sys.executable, str(theirs)):
        changed = installation.change(sluice, python, present=True, systemd=False)
        assert str(changed.files[units.COMMAND]).startswith(f"#!{sys.executable} -I\n")
    monkeypatch.setattr(installation, "_OWN_PYTHON", f"{tmp_path}/none")
    with pytest.raises(tools.NodeError, match=rf"^{theirs} could be replaced by user 1234, who owns"):
        installation.change(sluice, str(theirs), present=True, systemd=False)


@pytest.mark.parametrize(("answer", "taken"), [(0, True), (1, False)])
def test_the_name_of_the_interpreter_outlives_an_upgrade(
    answer: int, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ansible finds python3.11, which goes when the distribution is upgraded; python3 stays, unless it is too old."""
    own = tmp_path / "python3"
    own.write_text(f"#!/bin/sh\nexit {answer}\n")
    own.chmod(0o755)
    monkeypatch.setattr(installation, "_OWN_PYTHON", str(own))
    monkeypatch.setattr(installation.trust, "others", lambda _path: "")
    changed = installation.change(sluice, sys.executable, present=True, systemd=False)
    assert str(changed.files[units.COMMAND]).startswith(f"#!{own if taken else sys.executable} -I\n")


def test_documents_come_and_go(node_root: Path) -> None:
    documents = {"man/man1/sluice.1": ".TH SLUICE 1\n", "zsh/site-functions/_sluice": "#compdef sluice\n"}

    def change(*, present: bool) -> installation.Change:
        return installation.change(sluice, sys.executable, present=present, systemd=False, documents=documents)

    installation.perform(change(present=True))
    assert {name: Path(installation.SHARE, name).read_text() for name in documents} == documents
    assert not change(present=True)
    installation.perform(change(present=False))
    assert files(node_root) == []


def test_a_command_that_cannot_be_run_is_put_right(node_root: Path) -> None:
    install()
    os.chmod(units.COMMAND, 0o644)
    assert list(install().files) == [units.COMMAND]
    assert os.access(units.COMMAND, os.X_OK)
    assert not install()


def test_a_timer_that_was_stopped_starts_again(node_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(units, "stopped", lambda _wanted: ["sluice-repair.timer"])
    monkeypatch.setattr(units, "_systemctl", lambda *words: asked.append(words))
    install(systemd=True, repair_seconds=30)
    asked.clear()
    found = install(systemd=True, repair_seconds=30)
    assert (found.lines(), asked[-1]) == (["sluice-repair.timer: started"], ("start", "sluice-repair.timer"))


def test_units_are_for_systemd(node_root: Path) -> None:
    assert not any(name.endswith(".service") for name in install().files)
    assert {os.path.basename(path) for path in install(systemd=True, repair_seconds=30).files} == {
        "sluice.service",
        "sluice-repair.service",
        "sluice-repair.timer",
    }
    assert not install(systemd=True, repair_seconds=30)


def test_metrics_go_where_they_went_no_more(node_root: Path) -> None:
    """What nobody writes any more would be read for ever."""
    old, new = node_root / "old.prom", node_root / "new.prom"
    install(systemd=True, metrics=units.Metrics(str(old), 60))
    old.write_text("sluice_services 3\n")
    assert not install(systemd=True, metrics=units.Metrics(str(old), 60))
    assert install(systemd=True, metrics=units.Metrics(str(old), 30))
    assert old.exists()
    install(systemd=True, metrics=units.Metrics(str(new), 30))
    assert not old.exists()
    new.write_text("sluice_services 3\n")
    install(systemd=True)
    assert not new.exists()


def user_of(found: installation.Change) -> str:
    """The user that the checker's unit names."""
    (text,) = [text for path, text in found.units.items() if path.endswith("-checker.service")]
    return str(text).partition("\nUser=")[2].partition("\n")[0]


@pytest.fixture
def means(node_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To make users and to remove them, which a test's scripts are."""
    for name in ("may_make", "may_remove"):
        monkeypatch.setattr(users, name, lambda: True)


@pytest.mark.usefixtures("means")
def test_the_checker_has_a_user_of_its_own(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(programs / "useradd", f'for last; do :; done; echo "made $last" >>{programs}/log')
    script(programs / "userdel", f'echo "removed $1" >>{programs}/log')
    assert install(systemd=True).user is None
    found = install(systemd=True, health=True)
    assert (found.user, user_of(found), len(found.files)) == (True, "sluice-health", 2)
    monkeypatch.setattr(users, "_comment", lambda _name: installation._COMMENT)
    assert not install(systemd=True, health=True)
    assert install(systemd=True).user is None, "it may be needed again"
    assert install(present=False, systemd=True, health=True).user is False
    assert (programs / "log").read_text().splitlines() == ["made sluice-health", "removed sluice-health"]


@pytest.mark.usefixtures("means")
def test_somebody_else_s_user_is_taken_and_left(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("useradd", "userdel"):
        script(programs / name, "exit 1")
    monkeypatch.setattr(users, "_comment", lambda _name: "an operator made it")
    found = install(systemd=True, health=True)
    assert (found.user, user_of(found)) == (None, "sluice-health")
    assert install(present=False, systemd=True).user is None


def test_a_node_without_the_means_to_make_a_user() -> None:
    found = install(systemd=True, health=True)
    assert (found.user, user_of(found)) == (None, "nobody")
    assert not install(systemd=True, health=True)


def test_without_systemd_health_is_two_processes(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What these do is tested in test_processes.py; here it is when they are ended and started."""
    script(programs / "useradd", "exit 0")
    done: list[str] = []
    running = False
    monkeypatch.setattr(installation.processes, "differing", lambda wanted: ["check"] if wanted != running else [])
    monkeypatch.setattr(installation.processes, "start", lambda: done.append("start"))
    monkeypatch.setattr(installation.processes, "end", lambda: done.append("end"))
    install(health=True)
    assert done == ["end", "start"], "with an engine that is new"
    running = True
    assert not install(health=True)
    running = False
    done.clear()
    assert install(health=True).lines() == ["check: started"]
    assert done == ["start"]
    running = True
    done.clear()
    monkeypatch.setattr(users, "may_make", lambda: True)
    assert install(health=True).user
    assert done == ["end", "start"], "who asks is somebody else now"
    monkeypatch.setattr(users, "may_make", lambda: False)
    done.clear()
    assert install().lines() == ["check: ended"]
    assert install(present=False)
    assert done == ["end", "end"]


def test_nothing_is_left(node_root: Path) -> None:
    install(systemd=True, repair_seconds=30, health=True)
    assert install(present=False, systemd=True)
    assert files(node_root) == []
    assert not os.path.exists(installation.LIBRARY)
    assert not install(present=False, systemd=True)
