"""Connection to a host of the embedded lab: every command runs in the namespaces of the process that keeps it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: netns
author: The Sluice authors (!UNKNOWN)
short_description: Run tasks on a host that is a set of namespaces of this machine
version_added: 0.1.0
description:
  - Reaches the hosts of the embedded lab (C(lab/network.py)). Each is a process of the controller in network, mount,
    PID, UTS and IPC namespaces of its own; a command, a module or a file transfer is run in all of them by C(nsenter),
    so that netfilter rules, routes, files and processes are that host's and not the controller's.
  - Needs root on the controller.
options:
  host:
    description: Name of the lab host.
    type: str
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_netns_host
  state_dir:
    description: Directory with one file a running host, its process ID and the time when that process started.
    type: path
    default: /run/sluice-lab
    vars:
      - name: ansible_netns_state_dir
    env:
      - name: SLUICE_LAB_STATE
  become_success_timeout:
    description: Seconds to wait for privilege escalation to succeed.
    type: int
    default: 10
    vars:
      - name: ansible_netns_become_success_timeout
  become_strip_preamble:
    description: Strip what privilege escalation printed before the command ran.
    type: bool
    default: true
    vars:
      - name: ansible_netns_become_strip_preamble
extends_documentation_fragment:
  - connection_pipelining
notes:
  - The controller's environment does not reach the host; commands start in C(/) with what a login of root has.
"""

EXAMPLES = r"""
lb1:
  ansible_connection: sluice.lb.netns
  ansible_python_interpreter: /usr/bin/python3
"""

import pathlib
import shlex

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.plugins.connection.local import Connection as LocalConnection

# What a login of root finds; the controller's own environment (a virtualenv on PATH, say) is not the host's.
ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "USER=root",
    "LOGNAME=root",
    "SHELL=/bin/sh",
    "LANG=C.UTF-8",
)


def keeper(state_file: pathlib.Path) -> int:
    """PID of the process that keeps a lab host's namespaces.

    The file holds ``PID STARTTIME``; the second is field 22 of /proc/PID/stat (proc(5)). A process of another start
    time has inherited the number: entering it would run the host's tasks on the controller.
    Raises OSError or ValueError where no such process runs.
    """
    pid, started = state_file.read_text(encoding="ascii").split()[:2]
    # The second field, the command's name, may itself hold blanks and parentheses.
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    if fields[19] != started:
        raise ValueError(f"process {pid} is not the one that {state_file} names")
    return int(pid)


class Connection(LocalConnection):
    """The local connection, one step to the side."""

    transport = "sluice.lb.netns"
    has_pipelining = True

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        host = self.get_option("host")
        try:
            pid = keeper(pathlib.Path(self.get_option("state_dir"), host))
        except (OSError, ValueError) as error:
            raise AnsibleConnectionFailure(f"lab host {host} is not running, bring the lab up first") from error
        enter = ["nsenter", f"--target={pid}", "--net", "--mount", "--uts", "--ipc", "--pid", "--wd=/", "--"]
        # One string, not a list: local hands it to a shell either way, and a list would lose its arguments there.
        line = shlex.join([*enter, "env", "-i", *ENVIRONMENT, "/bin/sh", "-c", cmd])
        return super().exec_command(f"exec {line}", in_data=in_data, sudoable=sudoable)

    def reset(self) -> None:
        """Every command enters the namespaces anew: nothing is kept open."""

    def put_file(self, in_path: str, out_path: str) -> None:
        try:
            content = pathlib.Path(in_path).read_bytes()
        except FileNotFoundError as error:
            raise AnsibleFileNotFound(f"file or module does not exist: {in_path}") from error
        self._transfer(f"cat > {shlex.quote(out_path)}", content)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        pathlib.Path(out_path).write_bytes(self._transfer(f"cat {shlex.quote(in_path)}"))

    def _transfer(self, command: str, content: bytes = b"") -> bytes:
        # Through the namespaces rather than /proc/PID/root, where an absolute symbolic link would lead out of the host.
        status, output, errors = self.exec_command(command, in_data=content, sudoable=False)
        if status:
            raise AnsibleError(f"{command}: {errors.decode(errors='replace').strip()}")
        return output
