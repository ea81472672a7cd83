"""What ``trace`` predicts of packets, held against what conntrack saw become of them."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

from probes import Probe, Seen

from sluice import chance
from sluice.addresses import FAMILIES
from sluice.observe import hooks
from sluice.observe.outcomes import Outcome
from sluice.observe.packets import Packet
from sluice.observe.snapshot import Snapshot

P_MINIMUM = 1e-8
"""Of a hundred million groups of packets that are shared out fairly, chance makes one look unfair."""

OFTEN = 60
"""So often a packet is sent whose way is by chance: one of three is missed once in 10^10 times."""

_SURE = 1e-9

Prediction = Mapping[Seen, Fraction]
Found = Mapping[Seen, int]
Ask = Callable[[Sequence[Probe], float], Mapping[Probe, collections.Counter[Seen]]]
"""Send packets and wait so many seconds: how often what was seen of each."""


class Oracle:
    """What a trace of one dump says of packets."""

    def __init__(self, held: Snapshot) -> None:
        self._held = held
        self._stations = {family: held.stations(family) for family in FAMILIES}

    def outcomes(self, packet: Packet) -> list[Outcome]:
        found = hooks.trace(self._stations[packet.family], self._held.servers, packet, self._held.node)
        assert sum(each.probability for each in found) == 1
        return found

    def prediction(self, probe: Probe) -> Prediction:
        """In the words of ``probes``."""
        found = self.outcomes(Packet(probe.address, probe.port, probe.protocol, probe.source))
        return {Seen(each.verdict, each.endpoint, each.masquerade): each.probability for each in found}


def faults(
    oracle: Oracle,
    probes: Sequence[Probe],
    ask: Ask,
    is_sticky: Callable[[Probe], bool] = lambda _probe: False,
    *,
    times: int = OFTEN,
    missed: float = _SURE,
) -> list[str]:
    """Where packets did what was not predicted, not all of it, or not as often. What is odd is asked once again.

    ``is_sticky``: a client that comes again goes where it was sent first. ``times``: how often packets are sent whose
    way is not certain; ``missed``: what chance would miss no likelier than that has to be seen.
    """
    predicted = {probe: oracle.prediction(probe) for probe in probes}
    found: dict[Probe, collections.Counter[Seen]] = {}
    odd: Iterable[Probe] = predicted
    for seconds in (0.2, 1.5):
        often = {each: 1 if is_sticky(each) else times if len(predicted[each]) > 1 else 2 for each in odd}
        found.update(ask([each for each in odd for _turn in range(often[each])], seconds))
        odd = [each for each in odd if not agree(predicted[each], found[each], _SURE if is_sticky(each) else missed)]
        if not odd:
            break
    told = [f"{each}: predicted {_text(predicted[each])}, seen {dict(found[each])}" for each in odd]
    p = chance.pooled_p(samples((predicted[each], found[each]) for each in predicted))
    return told if p >= P_MINIMUM else [*told, f"shares are not as predicted, p = {p:.1e}"]


def agree(predicted: Prediction, found: Found, missed: float = _SURE) -> bool:
    """Nothing was seen but what is predicted, and nothing missed that chance could not miss."""
    times = sum(found.values())
    sure = {each for each, share in predicted.items() if (1 - share) ** times < missed}
    return sure <= set(found) <= set(predicted)


def samples(pairs: Iterable[tuple[Prediction, Found]]) -> Iterator[tuple[list[int], list[Fraction]]]:
    """How often each outcome was seen, and its share, as ``chance.pooled_p`` takes them."""
    for predicted, found in pairs:
        if len(predicted) > 1 and min(predicted.values()) * sum(found.values()) >= chance.FEWEST:
            yield [found.get(each, 0) for each in predicted], list(predicted.values())


def _text(predicted: Prediction) -> str:
    return ", ".join(f"{share} {tuple(each)}" for each, share in predicted.items())
