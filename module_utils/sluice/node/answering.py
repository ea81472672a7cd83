"""What is answered for this node's health now: made in the thread that looks, for the loop that answers."""

from __future__ import annotations

from collections.abc import Mapping

from ..outages import Asked, Outages
from ..settings import Settings
from ..view import View
from . import outage
from .answers import Handler, Place, handlers
from .condition import Condition


class Answering:
    """``wanted``: who answers where (``Listeners.listen``), another mapping whenever that changes.

    ``condition``: how the node is; it is looked at when somebody asks. ``drained``: the addresses that are.
    """

    def __init__(self) -> None:
        self.condition = Condition()
        self.wanted: Mapping[Place, Handler] = {}
        self.drained: frozenset[str] = frozenset()
        self._made_of: object = None

    def look(self, settings: Settings | None, views: Mapping[str, View], down: frozenset[Asked]) -> bool:
        """Heed what is in force, what is ``down`` and what an operator drains. Whether ``wanted`` is another one now.

        ``settings``: those of the files in force, None where nothing is; ``views`` are ``Rendering.health_views`` of
        them, none where nobody can tell. Costs nothing worth mentioning where all are as before.
        """
        self.drained = outage.drained()
        outages = Outages(self.drained, down)
        made_of = settings, views, outages
        if made_of == self._made_of:
            return False
        self._made_of = made_of
        self.wanted = handlers(settings, views, outages, self.condition) if settings else {}
        return True
