"""Keeps what syslog(3) would get, in a /dev of its own: neither the machine's log nor its devices change.

    syslog_recorder.py FILE                      in this mount namespace until it is killed; says "ready" first
    syslog_recorder.py FILE COMMAND [WORD ...]   in a mount namespace of its own, while the command runs

FILE gets the messages, each followed by an empty line. Standard library only: it runs on a node, too.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

SETUP = """
mkdir -p "$1"
mount --rbind /dev "$1"
mount -t tmpfs -o mode=755 none /dev
for name in null zero full random urandom tty; do touch /dev/$name; mount --bind "$1/$name" /dev/$name; done
for name in shm pts; do mkdir /dev/$name; mount --rbind "$1/$name" /dev/$name; done
ln -s pts/ptmx /dev/ptmx
ln -s /proc/self/fd /dev/fd
"""
UNSHARED = "SYSLOG_RECORDER_UNSHARED"
LARGEST = 1 << 22
"""Bytes of a message."""


def record(path: str) -> None:
    """Keep messages from now on, in a thread."""
    subprocess.run(["/bin/sh", "-ec", SETUP, "sh", f"{path}.devices"], check=True)
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind("/dev/log")
    os.chmod("/dev/log", 0o666)
    stream = open(path, "ab", buffering=0)  # noqa: SIM115  as long as the process

    def keep() -> None:
        while True:
            stream.write(log.recv(LARGEST) + b"\n\n")

    threading.Thread(target=keep, daemon=True).start()


def main() -> int:
    path, *command = sys.argv[1:]
    if command and UNSHARED not in os.environ:
        words = ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv]
        os.execvpe(words[0], words, {**os.environ, UNSHARED: "1"})
    record(path)
    if command:
        return subprocess.run(command, check=False).returncode
    print("ready", flush=True)
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
