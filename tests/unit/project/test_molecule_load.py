"""The Molecule scenarios' client (``molecule/shared/load.py``): its ports are free ones, and none comes twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "molecule/shared"

# A server, and the client as often as asked; every second one of the client's next ports may be somebody else's. Prints
# what each run counted, then how many ports the client has: closed ones stay a minute, as it is the client that closes.
RUNS = """
import itertools, socket, subprocess, sys, time
import load
own, runs, taken = "127.0.0.2", int(sys.argv[1]), int(sys.argv[2])
others = [socket.socket() for _ in range(taken)]
for other, port in zip(others, itertools.islice(load.ports(), 0, None, 2)):
    other.bind((own, port))
program = [sys.executable, load.__file__]
said = lambda *words: subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True).stdout
with subprocess.Popen([*program, "serve", "pod", "80"]) as server:
    while not said("ss", "-Hlnt", "sport = :80"):
        time.sleep(0.05)
    for _ in range(runs):
        words = [*program, "ask", "--rate=50", "--held=3", f"127.0.0.1:80@{own}"]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            client.stdout.readline()
            time.sleep(1)
            print(client.communicate()[0], end="")
    for other in others:
        other.close()
    print(said("ss", "-Hant", "src", own).count("\\n"))
    server.kill()
"""


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize(("runs", "taken"), [(3, 0), (1, 400)], ids=["runs follow each other", "ports are taken"])
def test_every_connection_has_a_port_of_its_own(runs: int, taken: int) -> None:
    inside = ["unshare", "--net", "sh", "-ec", 'ip link set lo up; exec "$@"', "sh", sys.executable, "-c", RUNS]
    done = subprocess.run(
        [*inside, str(runs), str(taken)], cwd=FOLDER, stdout=subprocess.PIPE, text=True, check=True, timeout=300
    )
    *lines, ports = done.stdout.splitlines()
    counted = [json.loads(line) for line in lines]
    assert [each["faults"] for each in counted] == [{}] * runs
    connections = sum(each["new"]["pod"] + 3 for each in counted)
    assert connections > 10
    assert int(ports) == connections
