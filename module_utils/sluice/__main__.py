"""``python -m sluice``, and what the installed command runs."""

from __future__ import annotations

import os
from typing import NoReturn

from .command import main


def run() -> NoReturn:
    """Run the command and end the process."""
    code = main()
    # Freed one by one, the texts that an apply has read take 10 ms: they go with the process.
    os._exit(code)


if __name__ == "__main__":
    run()
