"""What a node leaves out of the catalogue for a while: endpoints that are down, or that an operator drains.

They stay in the catalogue and in the node's files; what the kernel holds is made without them (``node/effective``).
"""

from __future__ import annotations

from typing import NamedTuple

from .addresses import host_port

Asked = tuple[str, int, str]
"""A check: the address and port that are asked, and the question (``Probe.question``)."""


class Outages(NamedTuple):
    """``drained``: the addresses whose endpoints get no new connections. Those that they have go on.

    ``down``: the checks that say that an endpoint is down.
    """

    drained: frozenset[str] = frozenset()
    down: frozenset[Asked] = frozenset()

    @property
    def lines(self) -> list[str]:
        """A line for each, sorted."""
        drained = [f"{address} is drained" for address in sorted(self.drained)]
        asked = sorted({host_port(address, port) if port else address for address, port, _question in self.down})
        return [*drained, *(f"{each} is down" for each in asked)]

    @property
    def key(self) -> str:
        """A text that is another one where other outages are."""
        down = (f"{address} {port} {question}" for address, port, question in self.down)
        return "\n".join([*sorted(self.drained), "", *sorted(down)])


NO_OUTAGES = Outages()
