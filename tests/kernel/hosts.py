"""Hosts for tests: namespaces of this machine with files of their own, in which a test runs functions and commands."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import namespaces
import network
import wires

import sluice
from sluice import addresses, command
from sluice.backends.iptables import kernel as iptables_kernel
from sluice.backends.nftables import layout as nftables
from sluice.node import apply, files, installation, state
from sluice.node.result import Result
from sluice.system import netlink
from sluice.system.tools import NodeError

EMPTY = Path(namespaces.__file__).with_name("endpoint.py")
"""A host's first process. Without ports it only reaps its orphans."""

CHECKOUT = EMPTY.parent.parent

PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
_NAMESPACES = (("net", namespaces.CLONE_NEWNET), ("uts", namespaces.CLONE_NEWUTS), ("ipc", namespaces.CLONE_NEWIPC))

Answer = TypeVar("Answer")


class Task:
    """A function that runs in a host, as a process of its own."""

    def __init__(self, host: Host, function: Callable[[], Any]) -> None:
        self._waited = False
        self._reader, writer = os.pipe()
        with _children_in(host.pid):
            self.pid = os.fork()
            if not self.pid:
                os.close(self._reader)
                _run_in(host.pid, function, writer)
        os.close(writer)

    def kill(self, *, group: bool = False) -> None:
        """End it as ``kill -9`` does; ``group``: with all processes that it started."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill it unless it has been waited for: a PID namespace only ends when all in it are."""
        if not self._waited:
            self.kill(group=True)
            os.close(self._reader)
            os.waitpid(self.pid, 0)
            self._waited = True

    def stop(self) -> Any:
        """Ask it to end (SIGTERM) and return its answer."""
        os.kill(self.pid, signal.SIGTERM)
        return self.answer()

    def answer(self) -> Any:
        """What the function returned, or raise what it raised. Raises KilledError if it was killed."""
        with os.fdopen(self._reader, "rb") as stream:
            data = stream.read()
        os.waitpid(self.pid, 0)
        self._waited = True
        if not data:
            raise KilledError
        fine, answer = pickle.loads(data)
        if not fine:
            raise answer
        return answer


class KilledError(Exception):
    """The task was killed before it could answer."""


PATIENCE = 120.0
"""Seconds that a slow machine is given; whoever waits goes on at once when it is time."""


def wait_for(what: Callable[[], object], fault: str) -> None:
    """Return as soon as ``what`` is true."""
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until, fault
        time.sleep(0.02)


class Host:
    """Namespaces with an empty network and private files. Use as a context manager: they end with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tasks: list[Task] = []
        # Functions run in a host as they are in this checkout, wherever it lies.
        self.pid = namespaces.start(name, EMPTY, [], _sysctls, [CHECKOUT], lasting=False)
        self.ip("link set lo up")

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        for task in self.tasks:
            task.end()
        network.stop([self.pid])
        os.waitpid(self.pid, 0)

    def ip(self, *lines: str) -> None:
        """Run lines of ip(8) here."""
        wires.ip_batch(self.pid, list(lines))

    def start(self, function: Callable[[], Any]) -> Task:
        """Start ``function`` here. It ends with the host if nobody asks for its answer."""
        task = Task(self, function)
        self.tasks.append(task)
        return task

    def hold(self, path: str) -> Task:
        """A process here that has the lock of a file until it is killed."""

        def keep() -> None:
            with open(path, "a", encoding="ascii") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                signal.pause()

        task = self.start(keep)
        wait_for(lambda: self.run("flock", "--nonblock", path, "true", check=False).returncode, f"no lock of {path}")
        return task

    def call(self, function: Callable[[], Answer]) -> Answer:
        """What ``function`` returns here; what it changes in this process's memory is not kept."""
        answer: Answer = Task(self, function).answer()
        return answer

    def run(self, *words: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command here, ``text`` at its input."""
        where = ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", "--uts", "--ipc", "--wd=/"]
        done = subprocess.run(
            [*where, *words], input=text, capture_output=True, text=True, env={"PATH": PATH, "LC_ALL": "C"}, check=False
        )
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done

    def shell(self, script: str) -> str:
        """Run a shell script here that stops at the first error; what it printed."""
        return self.run("/bin/sh", "-ec", script).stdout


class Node(Host):
    """A load balancer: a host with the engine installed."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.call(_install)

    def write(self, contents: Mapping[str, str], directory: str = files.DIRECTORY) -> None:
        """Put a node's files in place, and take away those that are not among them."""

        def put() -> None:
            os.makedirs(directory, exist_ok=True)
            for file in files.names():
                path = Path(directory, file)
                if file in contents:
                    path.write_text(contents[file], encoding="utf-8")
                else:
                    path.unlink(missing_ok=True)

        self.call(put)

    def apply(self, contents: Mapping[str, str], *, check: bool = False, confirm: int = 0) -> Result:
        """Write the files and bring the kernel to them."""
        self.write(contents)
        return self.call(lambda: apply.apply(lambda: files.load(files.DIRECTORY), check=check, confirm=confirm))

    def differs(self, contents: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """What ``sluice diff`` says of the files in place, or of others, by a full look at the kernel.

        No record is asked.
        """

        def look() -> Sequence[str]:
            last = state.last
            state.last = lambda: last()._replace(records={})
            wanted = files.load(files.DIRECTORY) if contents is None else files.parse(contents)
            return list(apply.apply(lambda: wanted, check=True).diff())

        return tuple(self.call(look))

    def installed(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the installed command."""
        return self.run(installation.COMMAND, *words, check=check)

    def sluice(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The same without the start of an interpreter, which would be most of the time that tests take."""

        def run() -> subprocess.CompletedProcess[str]:
            with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as said:
                code = command.main(words)
            return subprocess.CompletedProcess(words, code, out.getvalue(), said.getvalue())

        done = self.call(run)
        assert not check or done.returncode == 0, f"sluice {' '.join(words)}: {done.stdout}{done.stderr}"
        return done

    def command(self, *words: str) -> Task:
        """Start the command's function: the same work without the start of an interpreter."""

        def silent() -> int:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 1)
            os.dup2(null, 2)
            return command.main(words)

        return self.start(silent)

    def save(self, plane: str, family: str = addresses.IPV4) -> str:
        """What iptables-save prints, without counters, times and the names of tables that are empty; or our table."""
        if plane == "nftables":
            return self.run("nft", "-s", "list", "table", nftables.FAMILIES[family], nftables.TABLE, check=False).stdout
        return self.call(lambda: iptables_kernel.Tools(plane, family).text())

    def generation(self) -> int:
        """nf_tables' count of transactions."""
        return self.call(netlink.nft_generation)


@contextlib.contextmanager
def _children_in(pid: int) -> Iterator[None]:
    """Children that are forked here are born into the PID namespace of ``pid``, and do not leave this context."""
    with open(f"/proc/{pid}/ns/pid", "rb") as theirs, open("/proc/self/ns/pid", "rb") as ours:
        namespaces.setns(theirs.fileno(), namespaces.CLONE_NEWPID)
        try:
            yield
        finally:
            namespaces.setns(ours.fileno(), namespaces.CLONE_NEWPID)


def _run_in(pid: int, function: Callable[[], Any], writer: int) -> NoReturn:
    try:
        os.setsid()
        descriptors = [(os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY), kind) for name, kind in _NAMESPACES]
        descriptors.append((os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), namespaces.CLONE_NEWNS))
        for descriptor, kind in descriptors:
            namespaces.setns(descriptor, kind)
            os.close(descriptor)
        os.chdir("/")
        answer: tuple[bool, Any] = (True, function())
    except BaseException as error:  # the test has to hear of it, whatever it is
        if not isinstance(error, (NodeError, SystemExit)):
            traceback.print_exc(file=sys.stderr)
        answer = (False, error)
    try:
        with os.fdopen(writer, "wb") as stream:
            stream.write(pickle.dumps(answer))
    finally:
        os._exit(0)


def _sysctls() -> None:
    # A new namespace takes those of IPv4's devices from the machine (net.core.devconf_inherit_init_net).
    for scope in ("all", "default"):
        for name in ("arp_announce", "arp_ignore", "rp_filter"):
            namespaces.sysctl(f"net/ipv4/conf/{scope}/{name}", 0)
        namespaces.sysctl(f"net/ipv4/conf/{scope}/route_localnet", 1)
        namespaces.sysctl(f"net/ipv6/conf/{scope}/accept_dad", 0)
    namespaces.sysctl("net/ipv4/ip_forward", 1)
    namespaces.sysctl("net/ipv6/conf/all/forwarding", 1)
    namespaces.sysctl("net/ipv4/icmp_ratelimit", 0)


def _install() -> None:
    # Compiled at the first use instead: most tests never start the command.
    installation.compileall.compile_dir = lambda *_, **__: True
    installation.perform(installation.change(sluice, namespaces.PYTHON, present=True, systemd=False))
