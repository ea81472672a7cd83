"""Run targets of make, and end with what they came to: run_steps.py LANE... [--then TARGETS]

A lane is a word of targets ("ruff mypy unit"), which run one after the other; lanes run side by side, and each that is
done goes on with the next of TARGETS. All of them run, whether or not one fails. What a target said is kept as
.cache/log/test/TARGET.log, and is printed where it failed, its end where it was ended. The last lines are the time of
each target, what was skipped and why, and "steps: N passed, N failed". Exit 1: one failed or did not run.
"""

from __future__ import annotations

import argparse
import itertools
import pathlib
import signal
import subprocess
import sys
import threading
import time
import typing

LOGS = pathlib.Path(".cache/log/test")
SKIPPED = "SKIPPED"  # begins what pytest and tools/step say of a check that was skipped


class Step(typing.NamedTuple):
    """A target that has run: its exit code, the seconds it took, and why what was skipped."""

    target: str
    code: int
    seconds: float
    skipped: tuple[str, ...]

    def __str__(self) -> str:
        return f"{'FAILED' if self.code else 'ok':6} {self.seconds:5.0f} s  {self.target}"


def run(target: str) -> tuple[Step, str]:
    """Run a target; the step, and all that it said."""
    log = LOGS / f"{target}.log"
    began = time.monotonic()
    with log.open("wb") as stream:
        done = subprocess.run(
            ["make", target], stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, check=False
        )
    said = log.read_text(encoding="utf-8", errors="replace")
    reasons = (line[line.index(SKIPPED) :] for line in said.splitlines() if SKIPPED in line)
    return Step(target, done.returncode, time.monotonic() - began, tuple(dict.fromkeys(reasons))), said


def main(lanes: list[list[str]], shared: list[str]) -> int:
    LOGS.mkdir(parents=True, exist_ok=True)
    done: dict[str, Step] = {}
    ending, printing = threading.Event(), threading.Lock()
    waiting = iter(shared)  # one for all lanes, so that each target is taken once
    # What runs is told as well: the signal is for all of the group. Nothing more is started then.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())

    def drive(lane: list[str]) -> None:
        for target in itertools.chain(lane, waiting):
            if ending.is_set():
                return
            step, said = run(target)
            with printing:
                done[target] = step
                print(said if step.code else "", step, sep="", flush=True)
            # What ends us may have ended the step a moment before we hear of it.
            ending.wait(0.5 if step.code else 0)

    threads = [threading.Thread(target=drive, args=(lane,)) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    targets = [target for lane in [*lanes, shared] for target in lane]
    passed = sum(not step.code for step in done.values())
    print()
    for target in targets:
        print(done.get(target, f"FAILED, was not run  {target}"))
    for target, step in done.items():
        for reason in step.skipped:
            print(f"{target}: {reason}")
    print(f"steps: {passed} passed, {len(targets) - passed} failed")
    return 0 if passed == len(targets) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("lanes", nargs="+", type=str.split)
    parser.add_argument("--then", default=[], type=str.split)
    arguments = parser.parse_args()
    sys.exit(main(arguments.lanes, arguments.then))
