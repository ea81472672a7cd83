"""The stage of IPVS (``tests/kernel/ipvs_stage.py``) on the load balancer, as this machine asks it."""

from __future__ import annotations

import collections
import contextlib
import json
import pathlib
import subprocess
import typing

import yaml
from probes import Probe, Seen

ROOT = pathlib.Path(__file__).resolve().parents[3]
FOLDER = "/run/sluice-stage"
"""In memory: it goes with the machine."""

_CODE = ("module_utils/sluice", "lab", "tests/kernel")
_YAML = pathlib.Path(yaml.__file__).parent


class StageError(Exception):
    """The other side says what went wrong."""


class RemoteStage:
    """A stage, by what its process reads and writes."""

    bound: typing.Sequence[str] = ()
    """Addresses that the node has for what is loaded."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._heard()

    def __call__(self, name: str, *arguments: typing.Any) -> typing.Any:
        assert self._process.stdin
        print(json.dumps([name, *arguments]), file=self._process.stdin, flush=True)
        return self._heard()

    def seen(self, probes: typing.Sequence[Probe], seconds: float = 0.2) -> dict[Probe, collections.Counter[Seen]]:
        """As ``probes.Stage`` sees."""
        asked = list(collections.Counter(probes).items())
        return {
            Probe(*probe): collections.Counter({Seen(*each): times for each, times in counted})
            for probe, counted in self("seen", asked, seconds, self.bound)
        }

    def _heard(self) -> typing.Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise StageError("it has ended")
        said = json.loads(line)
        if "error" in said:
            raise StageError(said["error"])
        return said["found"]


@contextlib.contextmanager
def remote_stage(ssh: typing.Sequence[str]) -> typing.Iterator[RemoteStage]:
    """``ssh``: the command that takes a command to the machine."""
    _copy(ssh, ROOT, _CODE)
    # PyYAML, which the lab's files import: the machine has none. Its compiled half it does without.
    _copy(ssh, _YAML.parent, [f"{_YAML.name}/{each.name}" for each in _YAML.glob("*.py")], "tests/kernel")
    path = ":".join(f"{FOLDER}/{each}" for each in ("lab", "module_utils", "tests/kernel"))
    command = [*ssh, f"PYTHONPATH={path} python3 {FOLDER}/tests/kernel/ipvs_stage.py"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield RemoteStage(process)
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait()
    subprocess.run([*ssh, f"rm -r {FOLDER}"], check=True)


def _copy(ssh: typing.Sequence[str], where: pathlib.Path, what: typing.Iterable[str], to: str = "") -> None:
    pack = ["tar", "-C", where, "--exclude=__pycache__", "--exclude=recorded", "-c", *what]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as tar:
        unpack = f"mkdir -p {FOLDER}/{to} && tar -x -m -C {FOLDER}/{to}"
        subprocess.run([*ssh, unpack], stdin=tar.stdout, check=True)
    assert tar.returncode == 0
