"""Write the tables of variables in README.md and the roles' READMEs from the roles' argument specs.

A table stands between the lines ``<!-- variables: ROLE ENTRY_POINT [PREFIX] -->`` and ``<!-- end -->``; with PREFIX it
has the variables that begin so. With --check nothing is written: exit 1 and a line for each page that is not current.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
PLACE = re.compile(r"(<!-- variables: (\w+) (\w+) ?(\w*) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """Every page that has tables."""
    return [ROOT / "README.md", *sorted(ROOT.glob("roles/*/README.md"))]


def options(role: str, entry_point: str) -> dict[str, dict[str, Any]]:
    """The options of one entry point of a role, by name."""
    specs = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = specs["argument_specs"][entry_point]["options"]
    return found


def told(option: dict[str, Any]) -> tuple[str, str]:
    """What the first paragraph of an option's description says: its meaning, and its default (or ``""``)."""
    meaning, _, default = option["description"][0].partition(" Default ")
    return meaning, default.rstrip(".")


def row(name: str, option: dict[str, Any]) -> str:
    """One row: variable, default, meaning with the choices there are."""
    meaning, default = told(option)
    if option.get("required"):
        default = "required"
    elif "default" in option:
        shown = option["default"]
        default = f"`{str(shown).lower() if isinstance(shown, bool) else shown}`"
    if "choices" in option:
        meaning = f"{meaning.rstrip('.')}: {', '.join(f'`{choice}`' for choice in option['choices'])}."
    return f"| `{name}` | {_markdown(default)} | {_markdown(meaning)} |"


def _markdown(text: str) -> str:
    """Ansible's markup, V(value), C(code) and O(option), as Markdown's."""
    return re.sub(r"\b[VCO]\(([^)]*)\)", r"`\1`", text)


def current(text: str) -> str:
    """The page ``text`` with its tables as the argument specs are now."""

    def table(match: re.Match[str]) -> str:
        rows = [row(name, option) for name, option in options(match[2], match[3]).items() if name.startswith(match[4])]
        return match[1] + "\n".join(["| variable | default | |", "|---|---|---|", *rows, match[5]])

    return PLACE.sub(table, text)


def main() -> int:
    """Write or check; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 where a page is not current")
    check = parser.parse_args().check
    stale = [page for page in pages() if current(page.read_text(encoding="utf-8")) != page.read_text(encoding="utf-8")]
    for page in stale:
        if check:
            print(f"{page.relative_to(ROOT)}: not current, run python tools/write_tables.py", file=sys.stderr)
        else:
            page.write_text(current(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
