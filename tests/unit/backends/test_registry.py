"""The backends that there are fit together: names, files and what they remember are each one layer's."""

from __future__ import annotations

import collections
import inspect

import pytest

from sluice.addresses import FAMILIES
from sluice.backends import registry
from sluice.backends.interface import Layer
from sluice.settings import Settings


def test_backends_go_by_their_names() -> None:
    assert list(registry.BACKENDS) == ["iptables", "ipvs", "nftables"]
    assert all(backend.name == name for name, backend in registry.BACKENDS.items())
    assert Settings().backend == next(iter(registry.BACKENDS))


def test_each_layer_is_there_once() -> None:
    names = [layer.name for layer in registry.layers()]
    assert sorted(names) == ["iptables", "ipvs", "nftables"]
    assert {layer for backend in registry.BACKENDS.values() for layer in backend.layers} == set(registry.layers())


@pytest.mark.parametrize("layer", registry.layers(), ids=lambda layer: layer.name)
def test_a_layer_has_all_that_is_asked_of_it(layer: Layer) -> None:
    asked = [name for name, _ in inspect.getmembers(Layer) if not name.startswith("_")]
    assert len(asked) >= 10
    assert not [name for name in asked if not hasattr(layer, name)]
    assert layer.waiting in ("", *layer.remembers)


def test_nothing_is_two_layers_own() -> None:
    for own in (
        [name for layer in registry.layers() for name in layer.files(FAMILIES)],
        [name for layer in registry.layers() for name in layer.remembers],
        [name for layer in registry.layers() for name in layer.settings],
        registry.devices(),
    ):
        assert max(collections.Counter(own).values()) == 1


def test_settings_of_layers_are_settings_of_a_node() -> None:
    assert {name for layer in registry.layers() for name in layer.settings} <= set(Settings._fields)
    assert registry.devices() == ["kube-ipvs0"]
