"""What the kernel is to hold while something is out: what the renderer makes of the rest, of no other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import strategies
import support
from hypothesis import HealthCheck, given, settings

from sluice.catalogue import compiled
from sluice.catalogue.model import Catalogue
from sluice.node import effective, files, state
from sluice.outages import NO_OUTAGES, Outages
from sluice.settings import Settings, from_variables

A, B = "10.244.1.1", "10.244.1.2"
WEB = support.catalogue(support.service(), support.endpoint_slice(A, B))
OUT = Outages(frozenset((A,)))


@pytest.fixture(autouse=True)
def _root(node_root: Path) -> None:
    """Nothing is kept yet."""


def contents(found: Catalogue, own: Settings) -> dict[str, str]:
    return files.sealed({**support.rendered(found, own), files.CATALOGUE_FILE: compiled.text(found)})


def without(found: Catalogue, addresses: frozenset[str]) -> Catalogue:
    """The catalogue that says the same: they neither are ready nor serve."""

    def piece_without(piece: Any) -> Any:
        rest = (
            endpoint._replace(ready=False, serving=False) if endpoint.address in addresses else endpoint
            for endpoint in piece.endpoints
        )
        return piece._replace(endpoints=tuple(rest))

    return found._replace(
        services=tuple(service._replace(slices=tuple(map(piece_without, service.slices))) for service in found.services)
    )


@given(objects=strategies.catalogues(), variables=strategies.variables())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_files_are_those_of_a_catalogue_that_says_so(objects: list[dict[str, Any]], variables: dict[str, Any]) -> None:
    own = from_variables(variables)[0]
    # Comments of endpoints depend on how many there are, which an outage does not change.
    own = own._replace(endpoint_comments="never")
    found = support.catalogue(*objects)
    addresses = sorted({each.address for entry in found.services for piece in entry.slices for each in piece.endpoints})
    out = frozenset(addresses[::2])
    for backend in ("iptables", "ipvs", *(["nftables"] if own.compat == "1.36" else [])):
        node = own._replace(backend=backend)
        wanted = files.parse(contents(found, node))
        assert files.settings_of(wanted.contents)._replace(nodeport_range=node.nodeport_range) == node._replace(
            service_cidrs=()
        )
        done, warnings = effective.effective(wanted, Outages(out))
        assert warnings == []
        expected = support.rendered(without(found, out), node)
        for name, text in done.programmed.items():
            assert name in (files.SETTINGS_FILE, files.CATALOGUE_FILE) or text == expected[name]
        assert done.contents == wanted.contents


def test_nothing_is_out() -> None:
    wanted = files.parse(contents(WEB, support.node()))
    assert effective.effective(wanted, NO_OUTAGES) == (wanted, [])
    nothing = files.of_nothing()
    assert effective.effective(nothing, OUT) == (nothing, [])


def test_it_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = files.parse(contents(WEB, support.node()))
    done, _warnings = effective.effective(wanted, OUT)
    state.set_programmed(done.without)
    monkeypatch.setattr(compiled, "load", None)
    assert effective.effective(wanted, OUT)[0] == done
    assert (done.out, A in done.programmed["iptables.rules"]) == ([f"{A} is drained"], False)


def test_files_that_are_not_the_catalogues_stay_as_they_are() -> None:
    """Somebody has edited them, or another release has written them."""
    whole = contents(WEB, support.node())
    end = ": what is out serves all the same"
    rules, text = whole["iptables.rules"], whole[files.SETTINGS_FILE]
    for other, said in (
        ({**whole, "iptables.rules": rules.replace(B, "10.244.1.3")}, "the files are not what this release makes of"),
        ({name: each for name, each in whole.items() if name != files.CATALOGUE_FILE}, "there is no catalogue.json"),
        ({**whole, files.CATALOGUE_FILE: "{}"}, "another release of Sluice compiled it"),
        ({**whole, files.SETTINGS_FILE: text.replace("node_name", "name")}, "an earlier release wrote settings.json"),
    ):
        wanted = files.parse(other)
        done, (warning,) = effective.effective(wanted, OUT)
        assert done == wanted
        assert said in warning
        assert warning.endswith(end)
