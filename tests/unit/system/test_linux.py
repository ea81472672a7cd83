"""What is asked of the running Linux is what it says itself."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import comes_true, script

from sluice.system import linux
from sluice.system.tools import NodeError


@pytest.fixture
def sleeper() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "60"])
    assert comes_true(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n"), "it has not begun"
    yield process.pid
    process.kill()
    process.wait()


def test_release_is_uname_s() -> None:
    printed = subprocess.run(["uname", "-r"], capture_output=True, text=True, check=True).stdout
    assert printed.startswith("{}.{}".format(*linux.release()))


def test_place_is_this_boot_in_this_namespace() -> None:
    boot, namespace = linux.place().split(" ", 1)
    assert boot == linux.boot() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert linux.place() == f"{boot} {namespace}"


def test_place_without_a_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel before 5.14: that of the first process is told by its start; any other one cannot be told."""
    monkeypatch.setattr(linux, "_NETNS_COOKIE", 30_000)  # no such option
    monkeypatch.setattr(os.path, "samefile", lambda *_: True)
    assert linux.place() == linux.place()
    monkeypatch.setattr(os.path, "samefile", lambda *_: False)
    assert linux.place() != linux.place()


def test_uptime_is_that_of_the_kernel() -> None:
    assert abs(linux.uptime() - float(Path("/proc/uptime").read_text().split()[0])) < 60


def test_distributions_are_those_of_os_release() -> None:
    if not os.path.exists("/etc/os-release"):
        pytest.skip("NOT TESTED: this machine has no /etc/os-release")
    command = '. /etc/os-release; echo "$ID $ID_LIKE"'
    printed = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    assert linux.distributions() == printed.split() != []


def test_processes_are_found_by_name(sleeper: int) -> None:
    found = linux.running(["sleep", "no-such-process"])
    assert f"sleep (pid {sleeper})" in found
    assert all(entry.startswith("sleep (pid ") for entry in found)
    assert linux.running(["no-such-process"]) == []


def test_start_time_tells_processes_apart(sleeper: int) -> None:
    assert linux.start_time(sleeper) == linux.start_time(sleeper)
    assert int(linux.start_time(os.getpid())) <= int(linux.start_time(sleeper))
    assert linux.start_time(4194305) == "", "no process has such an id"


def test_sysctls() -> None:
    assert linux.sysctl("kernel.ostype") == "Linux"
    assert linux.sysctl("net.ipv4.no_such_sysctl") is None
    low, high = str(linux.sysctl("net.ipv4.ip_local_port_range")).split(" ")
    assert int(low) < int(high), "tabs are no part of a value"


def test_who_may_set_a_sysctl() -> None:
    assert not linux.may_set_sysctl("kernel.ostype")
    assert not linux.may_set_sysctl("net.ipv4.no_such_sysctl")


def test_memory_is_that_of_the_kernel() -> None:
    (kilobytes,) = re.findall(r"^MemTotal: +([0-9]+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    assert linux.memory() == int(kilobytes) * 1024


def test_sysctls_of_all_interfaces() -> None:
    names = linux.sysctls("net.ipv4.conf.*.send_redirects")
    assert {f"net.ipv4.conf.{which}.send_redirects" for which in ("all", "default", "lo")} <= set(names)
    assert all(linux.sysctl(name) in ("0", "1") for name in names)
    assert linux.sysctls("net.ipv4.ip_forward") == ["net.ipv4.ip_forward"]
    assert linux.sysctls("net.ipv4.no_such_folder.*") == []


def test_a_sysctl_that_cannot_be_set() -> None:
    with pytest.raises(NodeError, match=r"^sysctl net\.ipv4\.no_such_sysctl=1: "):
        linux.set_sysctl("net.ipv4.no_such_sysctl", "1")


def test_kernel_modules() -> None:
    assert linux.module_present("kernel"), "every kernel has this one"
    assert linux.module_loadable("kernel")
    assert not linux.module_present("no_such_module")
    assert not linux.module_loadable("no_such_module")
    assert not linux.load_module("no_such_module")
    assert not linux.lacks_module("kernel")


def test_what_a_loaded_module_says_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "xt_recent/parameters").mkdir(parents=True)
    (tmp_path / "xt_recent/parameters/ip_list_tot").write_text("100\n")
    monkeypatch.setattr(linux, "_SYS_MODULE", str(tmp_path))
    assert linux.module_parameter("xt_recent", "ip_list_tot") == "100"
    assert linux.module_parameter("xt_recent", "no_such") is linux.module_parameter("no_such", "ip_list_tot") is None
    assert linux.module_use("xt_recent") is None, "built in"
    (tmp_path / "xt_recent/refcnt").write_text("3\n")
    assert linux.module_use("xt_recent") == 3


@pytest.mark.parametrize(("unloads", "called"), [(0, ["--remove m", "m"]), (1, ["--remove m"])])
def test_a_module_is_loaded_again_only_if_it_went(unloads: int, called: list[str], programs: Path) -> None:
    script(programs / "modprobe", f'echo "$*" >>{programs}/log; [ "$2" != --remove ] || exit {unloads}')
    linux.reload_module("m")
    assert (programs / "log").read_text().splitlines() == [f"--quiet {words}" for words in called]


def test_a_session_is_who_is_in_it() -> None:
    script = "sleep 60 & echo $! ; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True) as leader:
        assert leader.stdout
        try:
            child = int(leader.stdout.readline())
            assert sorted(linux.session(leader.pid)) == sorted([leader.pid, child])
            os.kill(leader.pid, signal.SIGKILL)
            # Nobody has waited for it yet.
            assert comes_true(lambda: linux.session(leader.pid) == [child])
        finally:
            os.killpg(leader.pid, signal.SIGKILL)


def test_who_is_at_a_unix_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = f"a socket of {os.getpid()}"
    assert linux.unix_socket(path) == (False, False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(path)
        assert linux.unix_socket(path) == (False, False)
        server.listen(1)
        assert linux.unix_socket(path) == (True, False)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
            link.connect(path)
            with server.accept()[0]:
                assert linux.unix_socket(path) == (True, True)
                assert linux.unix_socket(path[:-1]) == (False, False)
        assert linux.unix_socket(path) == (True, False)
    assert linux.unix_socket(path) == (False, False)
