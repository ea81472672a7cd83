"""Run the examples of the documentation, and write what they print into the pages.

In a page, a ``yaml`` block whose first line is ``# NAME.yml`` is a file; a ``console`` block holds commands behind
``$ `` and what they print (stdout and stderr); a ``mermaid`` block whose first line is ``%% $ COMMAND`` is what that
prints. The commands of a page run in its order, in a folder of their own with the page's files in it. A picture that
they leave there, ``NAME.svg``, is the one of that name in ``docs/``. With --check nothing is written: exit 1 and a diff
for each page and picture that is not current.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(yaml|console|mermaid)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# ([\w.-]+\.yml)\n")
DRAWN = "%% $ "
# The command as a user has it, whatever is installed here.
SHELL = f'sluice() {{ "{sys.executable}" -m sluice "$@"; }}\n'


def pages() -> list[Path]:
    """Every page whose examples run."""
    return sorted((ROOT / "docs").glob("*.md"))


def current(text: str) -> tuple[str, dict[str, str]]:
    """The page ``text`` with what its commands print now, and the pictures that they make."""
    with tempfile.TemporaryDirectory() as folder:
        page = BLOCK.sub(lambda block: f"```{block[1]}\n{_block(block[1], block[2], Path(folder))}```", text)
        return page, {path.name: path.read_text(encoding="utf-8") for path in sorted(Path(folder).glob("*.svg"))}


def _block(kind: str, body: str, folder: Path) -> str:
    if kind == "yaml":
        name = FILE.match(body)
        if name:
            (folder / name[1]).write_text(body, encoding="utf-8")
        return body
    if kind == "mermaid":
        head, _newline, _rest = body.partition("\n")
        return f"{head}\n{_printed(head[len(DRAWN) :], folder)}" if head.startswith(DRAWN) else body
    commands = [line for line in body.splitlines() if line.startswith("$ ")]
    return "".join(f"{command}\n{_printed(command[2:], folder)}" for command in commands)


def _printed(command: str, folder: Path) -> str:
    result = subprocess.run(
        ["bash", "-c", SHELL + command],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "module_utils"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LC_ALL": "C.UTF-8",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return result.stdout


def main() -> int:
    """Write or check; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 where a page is not current")
    check = parser.parse_args().check
    stale = 0
    for page in pages():
        text, pictures = current(page.read_text(encoding="utf-8"))
        for path, new in ((page, text), *((page.with_name(name), drawn) for name, drawn in pictures.items())):
            old = path.read_text(encoding="utf-8") if path.exists() else ""
            if new == old:
                continue
            stale += 1
            if check:
                name = str(path.relative_to(ROOT))
                difference = difflib.unified_diff(
                    old.splitlines(), new.splitlines(), name, "what it prints now", lineterm=""
                )
                print("\n".join(difference), file=sys.stderr)
            else:
                path.write_text(new, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
