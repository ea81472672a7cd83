"""A catalogue that is rendered again and again, without something else each time: what is the same is not made anew."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple

from ..backends import registry
from ..backends.interface import Memo
from ..catalogue.model import Catalogue
from ..outages import NO_OUTAGES, Asked, Outages
from ..settings import Settings
from ..view import OPEN, PortView, View, asked, check_form, joined, place, ports


class Use(NamedTuple):
    """An endpoint of a service port that a check is about.

    ``on_down``: what becomes of its connections then; ``on_all_down``: what becomes of the service port when all are.
    """

    name: str
    protocol: str
    address: str
    port: int
    on_down: str
    on_all_down: str = OPEN


class Rendering:
    """The files of one catalogue with one node's settings. Raises InputError as ``render.render`` does."""

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._memo = Memo()
        self._outages = NO_OUTAGES
        self._with: dict[str, list[int]] = {}
        """The Services (by their number) that have an endpoint at an address."""
        for number, service in enumerate(catalogue.services):
            for address in {endpoint.address for piece in service.slices for endpoint in piece.endpoints}:
                self._with.setdefault(address, []).append(number)
        where = place(catalogue, settings)
        self._ports: dict[str, list[tuple[PortView, ...]]] = {}
        self._views: dict[str, View] = {}
        self.checks: dict[Asked, set[Use]] = {}
        """All checks that say whether endpoints answer, whatever is out, and what for."""
        self.health_views: dict[str, View] = {}
        """By family what the catalogue says, whatever is out, of the service ports with a health check node port."""
        for family in settings.ip_families:
            found = [ports(service, family, where) for service in catalogue.services]
            self._ports[family] = [seen for seen, _count in found]
            whole = self._views[family] = joined(found, catalogue, family, where)
            check_form(whole)
            self._note_checks(whole.ports)
            asked_for_health = tuple(port for port in whole.ports if port.health_check_node_port)
            self.health_views[family] = whole._replace(ports=asked_for_health)

    def _note_checks(self, seen: Iterable[PortView]) -> None:
        for port in seen:
            for target in port.endpoints:
                check = asked(port, target)
                if check and port.probe and (target.endpoint.ready or target.endpoint.serving):
                    then = port.probe.on_all_down or self._settings.health_on_all_down
                    use = Use(port.display_name, port.protocol, target.address, target.port, port.probe.on_down, then)
                    self.checks.setdefault(check, set()).add(use)

    def files(self, outages: Outages) -> dict[str, str]:
        """The files of the node's layers without what is out."""
        self._see(outages)
        views = {family: view._replace(ports=_each(self._ports[family])) for family, view in self._views.items()}
        self._memo.begin()
        return registry.BACKENDS[self._settings.backend].render(views, self._settings, self._memo)

    def _see(self, outages: Outages) -> None:
        before, self._outages = self._outages, outages
        if before == outages:
            return
        changed = {check[0] for check in before.down ^ outages.down} | (before.drained ^ outages.drained)
        where = place(self._catalogue, self._settings, outages)
        for number in sorted({number for address in changed for number in self._with.get(address, ())}):
            for family, view in self._views.items():
                seen = ports(self._catalogue.services[number], family, where)[0]
                check_form(view._replace(ports=seen, host_ports=()))
                self._ports[family][number] = seen


def _each(found: Iterable[tuple[PortView, ...]]) -> tuple[PortView, ...]:
    return tuple(itertools.chain.from_iterable(found))
