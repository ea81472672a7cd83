"""What a Service may say about its balancing that kube-proxy has no field for: annotations ``sluice.io/…``.

* ``scheduler``: one of SCHEDULERS; without it the node's ``sluice_ipvs_scheduler`` counts.
* ``scheduler-flags``: ``sh-port``, ``sh-fallback``, ``mh-port``, ``mh-fallback``, as ipvsadm(8) has them.
* ``weight``: a number for every endpoint of the Service, and ``address=number`` for single ones, with commas:
  ``2, 10.244.1.10=5``. What an endpoint's EndpointSlice (the same annotation) or inventory host gives
  overrides the plain number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from . import addresses

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "mh", "fo", "ovf")
"""The kernel's schedulers (ipvsadm(8)); each is a module ``ip_vs_NAME``."""

FLAGS = {"sh": ("sh-fallback", "sh-port"), "mh": ("mh-fallback", "mh-port")}
"""The flags that a scheduler takes, in the order in which ipvsadm prints them."""

_BY_HASH = ("sh", "mh")

MAX_WEIGHT = 65535


class Balancing(NamedTuple):
    """How one Service is balanced. ``flags`` None: not given, so those that kube-proxy of the release sets."""

    scheduler: str
    flags: tuple[str, ...] | None
    weight: int | None
    weights: Mapping[str, int]

    @property
    def hash(self) -> str:
        """What of a client decides where it goes: ``source``, ``source-port``; ``""`` where chance does."""
        if self.scheduler not in _BY_HASH:
            return ""
        return "source-port" if f"{self.scheduler}-port" in (self.flags or ()) else "source"

    def weight_of(self, address: str, own: int | None) -> int:
        """The weight of the endpoint at ``address``; ``own`` is what the endpoint says itself."""
        plain = own if own is not None else self.weight
        return self.weights.get(address, 1 if plain is None else plain)


def balancing(annotations: Sequence[tuple[str, str]], scheduler: str) -> Balancing:
    """What ``annotations`` (without ``sluice.io/``) say, on a node whose default is ``scheduler``.

    Raises ValueError where they are not valid; ``faults`` says what is wrong, for all of them at once.
    """
    given = dict(annotations)
    chosen = given.get("scheduler", scheduler)
    if "scheduler" in given and chosen not in SCHEDULERS:
        # It becomes a word of a line for ipvsadm: whatever was validated before, no text gets there.
        raise ValueError(f"scheduler must be one of {', '.join(SCHEDULERS)}, is {chosen!r}")
    plain, by_address = weights(given.get("weight", ""))
    flags = _flags(given["scheduler-flags"], chosen) if "scheduler-flags" in given else None
    return Balancing(chosen, flags, plain, by_address)


def faults(annotations: Sequence[tuple[str, str]], schedulers: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
    """(annotation, what is wrong with it), for a validation that reports all faults in one run.

    ``schedulers``: the defaults of the nodes, which count where the Service names none, so that flags can be held
    against them. Where no node is known, flags may be those of any scheduler.
    """
    given = dict(annotations)
    chosen = given.get("scheduler")
    if chosen is not None and chosen not in SCHEDULERS:
        yield "scheduler", f"must be one of {', '.join(SCHEDULERS)}, is {chosen!r}"
    elif "scheduler-flags" in given:
        try:
            for scheduler in [chosen] if chosen else list(schedulers) or [""]:
                _flags(given["scheduler-flags"], scheduler)
        except ValueError as error:
            yield "scheduler-flags", str(error)
    try:
        weights(given.get("weight", ""))
    except ValueError as error:
        yield "weight", str(error)


def _flags(text: str, scheduler: str) -> tuple[str, ...]:
    """The flags in ``text``, in ipvsadm's order; of any scheduler where ``scheduler`` is empty."""
    words = _entries(text)
    known = FLAGS.get(scheduler, ()) if scheduler else tuple(flag for several in FLAGS.values() for flag in several)
    for word in words:
        if word not in known:
            if not scheduler:
                raise ValueError(f"no scheduler takes {word!r}")
            takes = f"takes {', '.join(known)}" if known else "takes none"
            raise ValueError(f"scheduler {scheduler} {takes}, not {word!r}")
    return tuple(flag for flag in known if flag in words)


def weights(text: str) -> tuple[int | None, dict[str, int]]:
    """The plain number in an annotation ``weight``, or None, and those by address. Raises ValueError."""
    plain: int | None = None
    by_address: dict[str, int] = {}
    for entry in _entries(text):
        where, equals, value = entry.rpartition("=")
        address = addresses.address(where.strip())
        if equals and not address:
            raise ValueError(f"{where.strip()!r} is not an IP address")
        if not (value.strip().isascii() and value.strip().isdigit() and int(value) <= MAX_WEIGHT):
            raise ValueError(f"must be a whole number from 0 to {MAX_WEIGHT}, is {value.strip()!r}")
        if equals:
            by_address[address] = int(value)
        else:
            plain = int(value)
    return plain, by_address


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]
