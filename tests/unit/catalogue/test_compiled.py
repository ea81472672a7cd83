"""A compiled catalogue comes back whole, or is refused by one line, whatever was done to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import strategies
from bad_input import GOOD
from support import endpoint, endpoint_slice, service

from sluice.catalogue import compiled, sources
from sluice.catalogue.model import Catalogue, Node


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """A catalogue with something in every field that matters."""
    path = tmp_path_factory.mktemp("good") / "good.yml"
    path.write_text(GOOD)
    hinted = [service("hinted", ip="10.96.0.9"), endpoint_slice(endpoint("10.244.3.1", zones=["a"]), of="hinted")]
    both, _ = sources.catalogue_of(sources.read([str(path)], hinted))
    both = both._replace(nodes=(Node("node1", (("zone", "a"),), ("10.0.0.1",)),))
    assert all((both.services, both.host_ports, both.nodes))
    return both


def test_it_comes_back(found: Catalogue) -> None:
    assert compiled.load(compiled.text(found)) == found
    assert compiled.load(compiled.text(Catalogue())) == Catalogue()


def test_what_says_that_it_is_one() -> None:
    text = compiled.text(Catalogue())
    assert compiled.is_one(text)
    assert compiled.is_one('{"format":"sluice-catalogue-1","catalogue":[[],[],[]]}'), "of a release before"
    assert not any(map(compiled.is_one, ("", "{}", "[]", f" {text}", '{"kind": "List"}')))


def test_another_release_compiled_it() -> None:
    for text in (compiled.text(Catalogue()).replace("catalogue-3", "catalogue-2"), ""):
        with pytest.raises(ValueError, match=r"^another release of Sluice compiled it$"):
            compiled.load(text)


def test_damage_anywhere_is_found(found: Catalogue) -> None:
    text = compiled.text(found)
    for place in range(len(text)):
        for damaged in (text[:place], text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]):
            with pytest.raises(ValueError, match=r"^(it is damaged|another release of Sluice compiled it)$"):
                compiled.load(damaged)


def sealed(body: str) -> str:
    """A file with the right digest, as anybody can make one."""
    return compiled.FORMAT % compiled.digest(body) + body


def places(value: Any, here: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    """The way to each value within lists."""
    inner = (
        [way for key, entry in enumerate(value) for way in places(entry, (*here, key))] if type(value) is list else []
    )
    return [here, *inner]


@pytest.mark.parametrize(
    "bad", [None, True, -1, 70000, 1.5, 10**500, {}, [], [[]], [None], {"a": 1}, *strategies.NASTY], ids=repr
)
def test_a_right_digest_proves_nothing(bad: Any, found: Catalogue) -> None:
    """Every value in turn is something else: what is loaded then is still a catalogue, of the right types."""
    plain = json.loads(json.dumps(found))
    for way in places(plain)[1:]:
        value = json.loads(json.dumps(plain))
        holder = value
        for step in way[:-1]:
            holder = holder[step]
        holder[way[-1]] = bad
        try:
            again = compiled.load(sealed(json.dumps(value) + "}\n"))
        except ValueError as error:
            assert str(error).startswith("it is damaged")
        else:
            assert compiled.load(compiled.text(again)) == again


@pytest.mark.parametrize("body", ["", "}\n", "[]}\n", "[[],[]]}\n", "null}\n", "[" * 100_000, '"\\ud800"}\n', "NaN}\n"])
def test_no_catalogue_at_all(body: str) -> None:
    with pytest.raises(ValueError, match=r"^it is damaged"):
        compiled.load(sealed(body))


def test_scheduler_flags_are_asked_for(found: Catalogue) -> None:
    (web,) = (each for each in found.services if each.annotations)
    for bad in ({"scheduler": "rr -f 7"}, {"weight": "1 -g"}, {"scheduler-flags": "x"}, {"other": "1"}):
        spoilt = Catalogue((web._replace(annotations=tuple(bad.items())),))
        with pytest.raises(ValueError, match=r"^it is damaged: Service\.annotations$"):
            compiled.load(compiled.text(spoilt))
