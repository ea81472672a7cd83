"""Generations are told with their time, who made them and what they changed, as far as that was kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from folder_backend import put_and_apply

from sluice.node import apply, files, history, kept, rollback, state
from sluice.node.origin import Origin

OPS = Origin("ansible", "ops", "lb1")


@pytest.fixture
def three(etc: Path) -> Path:
    """Three generations, the second one in force again; the times are written into them."""
    for text in ("web a\n", "web a b\ndns a\n", "dns a\n"):
        put_and_apply(etc, text, with_catalogue=True, origin=OPS)
    for number in (1, 2, 3):
        dated(number, f"2026-11-28T10:1{number}:59Z")
    rollback.roll_back(str(etc))
    return etc


def folder(number: int) -> Path:
    return Path(state.ROOT) / "generations" / str(number)


def dated(number: int, time: str) -> None:
    path = folder(number) / state.META
    meta = json.loads(path.read_text())
    del meta["sha256"]
    path.write_text(kept.text({**meta, "time": time}))


TABLE = """\
   GENERATION  TIME                  BY             CHANGES
-  3           2026-11-28 10:13 UTC  ops (ansible)  1 Service removed
                                                    - shop/web
*  2           2026-11-28 10:12 UTC  ops (ansible)  1 Service added, 1 changed
                                                    + shop/dns (ClusterIP 10.96.0.1, 1 endpoint)
                                                    shop/web: 192.0.2.1:80 node a -> b
   1           2026-11-28 10:11 UTC  ops (ansible)  1 Service
"""


@pytest.mark.usefixtures("three")
def test_the_newest_first() -> None:
    assert history.table(history.entries()) == TABLE
    assert [each.fields() for each in history.entries()][1] == {
        "generation": 2,
        "time": "2026-11-28T10:12:59Z",
        "by": {"by": "ansible", "user": "ops", "detail": "lb1"},
        "active": True,
        "undone": False,
        "services": 2,
        "changes": [
            "1 Service added, 1 changed",
            "+ shop/dns (ClusterIP 10.96.0.1, 1 endpoint)",
            "shop/web: 192.0.2.1:80 node a -> b",
        ],
    }


@pytest.mark.usefixtures("folder")
def test_a_node_that_has_kept_nothing() -> None:
    assert (history.entries(), history.table([]), history.kept_ones()) == ([], "", "none is kept")
    assert history.named(0) == "a node with nothing of Sluice"


def test_generations_of_an_earlier_version(etc: Path) -> None:
    """Less is said of them: they have no catalogue, nobody who made them, and another clock."""
    put_and_apply(etc, "web a\n")
    path = folder(1) / state.META
    fields = {"previous": 0, "time": "2026-11-28T00:12:00+0200", "digest": json.loads(path.read_text())["digest"]}
    path.write_text(json.dumps(fields))
    (entry,) = history.entries()
    assert entry.fields() == {
        "generation": 1,
        "time": "2026-11-27T22:12:00Z",
        "by": None,
        "active": True,
        "undone": False,
        "services": None,
        "changes": [],
    }
    assert history.table([entry]).splitlines()[1].split(maxsplit=3) == ["*", "1", "2026-11-27", "22:12 UTC  ?   ?"]
    assert history.named(1) == "generation 1 of 2026-11-27 22:12 UTC"


def test_one_that_is_damaged_is_said(three: Path) -> None:
    (folder(3) / files.CATALOGUE_FILE).write_text("")
    assert history.entries()[0].changes == ["it is damaged, or somebody has edited it"]
    (folder(2) / state.META).write_text("{")
    assert [(each.generation, each.undone) for each in history.entries()] == [(3, True), (1, False)]


def test_in_one_line(three: Path) -> None:
    assert history.named(2) == "generation 2 of 2026-11-28 10:12 UTC (by ops, ansible): 2 Services"
    assert history.kept_ones() == "kept are 1, 2, 3, in force is 2"
    apply.remove()
    assert history.named(4).endswith(": nothing of Sluice")


def test_times() -> None:
    assert history.shown("2026-11-28T10:12:59Z") == "2026-11-28 10:12 UTC"
    assert (history.shown(""), history.shown("noon"), history.in_utc("noon")) == ("?", "noon", "noon")
    assert history.in_utc("0001-01-01T00:00:00+2300") == "0001-01-01T00:00:00+2300"


def test_several_lines_of_changes() -> None:
    entry = history.Entry(7, "", None, True, False, 2, ["web: + a", "web: - b"])
    assert history.table([entry]).splitlines()[1:] == ["*  7           ?     ?   web: + a", " " * 25 + "web: - b"]
