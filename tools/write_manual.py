"""Write docs/sluice.1 and completions/, the manual page of the command and what shells complete, from its parser.

With --check nothing is written: exit 1 and a line for each file that is not current.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sluice import command

ROOT = Path(__file__).resolve().parents[1]


def files() -> dict[Path, str]:
    """Each file with what it should hold."""
    folders = {"sluice.1": ROOT / "docs"}
    texts = {Path(place).name: text for place, text in command.documents().items()}
    return {folders.get(name, ROOT / "completions") / name: text for name, text in texts.items()}


def main() -> int:
    """Write or check; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 where a file is not current")
    check = parser.parse_args().check
    stale = {file: text for file, text in files().items() if not file.exists() or file.read_text("utf-8") != text}
    for file, text in stale.items():
        if check:
            print(f"{file.relative_to(ROOT)}: not current, run python tools/write_manual.py", file=sys.stderr)
        else:
            file.write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
