"""What a command gives to who called it: lines on stdout and stderr, files in a folder, and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from ..faults import Fault
from ..system import owned_files
from ..system.tools import NodeError

FINE, NO, FAILED = 0, 1, 2
"""Exit codes: fine; the answer is no (invalid, differs, dropped); it could not be asked or done."""


def say(line: object) -> None:
    """Print a line."""
    write(f"{line}\n")


def write(text: str) -> None:
    """Print a text as it is."""
    sys.stdout.write(text)


def complain(line: object) -> None:
    """Print a line to stderr."""
    sys.stderr.write(f"{line}\n")


def warn(warnings: Sequence[str]) -> None:
    """Print warnings to stderr."""
    for warning in warnings:
        complain(f"warning: {warning}")


def print_faults(faults: Sequence[Fault]) -> None:
    """Print faults, and warnings that have a place, to stderr."""
    for fault in faults:
        complain(fault)


def put(folder: str, texts: Mapping[str, str]) -> None:
    """Write files into a folder that somebody has named."""
    # A link in the folder is replaced. The folder may be one as well, unless another user made it: it may lead to
    # files that are root's.
    if os.path.islink(folder) and os.lstat(folder).st_uid not in (0, os.geteuid()):
        raise NodeError(f"{folder}: is a link that another user has made")
    owned_files.write({os.path.join(folder, name): text for name, text in texts.items()}, sync=False)
