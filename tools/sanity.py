"""Run ansible-test's sanity tests on the collection as tools/release_tree.py lays it out.

ansible-test makes a virtual environment a test and keeps it, named after what is in it, below its home; here that is
.cache/sanity. What does not reach those environments by itself is put there: pip's settings, and pip.
"""

from __future__ import annotations

import ast
import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import release_tree

HOME = release_tree.ROOT / ".cache/sanity"
PIP_CONF = HOME / ".config/pip/pip.conf"
GET_PIP = HOME / ".ansible/test/cache/get_pip_24_2.py"  # the release that the pinned ansible-test asks for
BOOTSTRAP = '''"""The pip that comes with Python. ansible-test would download its own from a host of Ansible's CI."""

import ensurepip

ensurepip.bootstrap()
'''
SKIPPED = re.compile(r"WARNING: (Skipping .*)")


def pip_settings() -> configparser.RawConfigParser:
    """What pip is told here by files and the environment; ansible-test hands neither on with its own home."""
    settings = configparser.RawConfigParser()
    command = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):  # the environment has the last word
        name, _equals, value = line.partition("=")
        section, _dot, key = name.replace(":env:", "global").rpartition(".")
        settings.read_dict({section: {key: ast.literal_eval(value)}})
    return settings


def prepare() -> None:
    """Put into HOME what the virtual environments need."""
    for file in (GET_PIP, PIP_CONF):
        file.parent.mkdir(parents=True, exist_ok=True)
    GET_PIP.write_text(BOOTSTRAP, encoding="utf-8")
    with PIP_CONF.open("w", encoding="utf-8") as file:
        pip_settings().write(file)


def main() -> int:
    place = release_tree.write(release_tree.ROOT, release_tree.ROOT / ".cache/collection")
    prepare()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    with subprocess.Popen(
        [Path(sys.executable).with_name("ansible-test"), "sanity", "--color", "no", "--python", version],
        cwd=place,
        env={**os.environ, "HOME": str(HOME)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            if match := SKIPPED.match(line):
                print(f"SKIPPED: {match[1]}")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
