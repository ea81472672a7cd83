"""What a Service may say about its balancing that kube-proxy has no field for: annotations ``sluice.io/…``.

* ``scheduler``: one of SCHEDULERS, or ``maglev`` (consistent hashing, which IPVS calls mh); without it the node's
  ``sluice_ipvs_scheduler`` counts. Of these, flat nftables know hashing (maglev, mh, sh); the rest is chance by weight.
* ``hash``: what of a client is hashed, ``source`` or ``source-port``; without a scheduler, by maglev.
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

MAGLEV, _MAGLEV_OF_IPVS = "maglev", "mh"
_BY_HASH = ("sh", "mh")

SOURCE, SOURCE_PORT = "source", "source-port"
HASHES = (SOURCE, SOURCE_PORT)
"""What of a client decides where it goes: its address, or its address and port."""

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
        return SOURCE_PORT if _port_flag(self.scheduler) in (self.flags or ()) else SOURCE

    def weight_of(self, address: str, own: int | None) -> int:
        """The weight of the endpoint at ``address``; ``own`` is what the endpoint says itself."""
        plain = own if own is not None else self.weight
        return self.weights.get(address, 1 if plain is None else plain)


def balancing(annotations: Sequence[tuple[str, str]], scheduler: str) -> Balancing:
    """What ``annotations`` (without ``sluice.io/``) say, on a node whose default is ``scheduler``.

    Raises ValueError where they are not valid; ``faults`` says what is wrong, for all of them at once.
    """
    given = dict(annotations)
    chosen = _scheduler(given) or scheduler
    plain, by_address = weights(given.get("weight", ""))
    return Balancing(chosen, _all_flags(given, chosen), plain, by_address)


def faults(annotations: Sequence[tuple[str, str]], schedulers: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
    """(annotation, what is wrong with it), for a validation that reports all faults in one run.

    ``schedulers``: the defaults of the nodes, which count where the Service names none, so that flags can be held
    against them. Where no node is known, flags may be those of any scheduler.
    """
    given = dict(annotations)
    try:
        chosen = _scheduler(given)
        for scheduler in [chosen] if chosen else list(schedulers) or [""]:
            _all_flags(given, scheduler)
    except _Wrong as wrong:
        yield wrong.annotation, str(wrong)
    try:
        weights(given.get("weight", ""))
    except _Wrong as wrong:
        yield wrong.annotation, str(wrong)


class _Wrong(ValueError):
    """An annotation that cannot be taken; the text says what is wrong with it."""

    def __init__(self, annotation: str, message: str) -> None:
        super().__init__(message)
        self.annotation = annotation


def _scheduler(given: Mapping[str, str]) -> str:
    """The scheduler that annotations ask for, as IPVS calls it; ``""`` where they do not."""
    named = given.get("scheduler", MAGLEV if "hash" in given else "")
    if named not in (*SCHEDULERS, MAGLEV) and ("scheduler" in given or named):
        # It becomes a word of a line for ipvsadm: whatever was validated before, no text gets there.
        raise _Wrong("scheduler", f"must be one of {', '.join((*SCHEDULERS, MAGLEV))}, is {named!r}")
    return _MAGLEV_OF_IPVS if named == MAGLEV else named


def _port_flag(scheduler: str) -> str:
    return f"{scheduler}-port"


def _all_flags(given: Mapping[str, str], scheduler: str) -> tuple[str, ...] | None:
    """The flags that annotations ask for; None where they ask for none, so that a kube-proxy's count."""
    flags = _flags(given["scheduler-flags"], scheduler) if "scheduler-flags" in given else None
    if "hash" not in given:
        return () if flags is None and given.get("scheduler") == MAGLEV else flags
    by = given["hash"]
    if by not in HASHES:
        raise _Wrong("hash", f"must be one of {', '.join(HASHES)}, is {by!r}")
    if scheduler not in _BY_HASH:
        raise _Wrong("hash", f"scheduler {scheduler} hashes nothing")
    port = _port_flag(scheduler)
    if by == SOURCE and port in (flags or ()):
        raise _Wrong("hash", f"{SOURCE} is not what the flag {port} says")
    wanted = {*(flags or ()), *([port] if by == SOURCE_PORT else ())}
    return tuple(flag for flag in FLAGS[scheduler] if flag in wanted)


def _flags(text: str, scheduler: str) -> tuple[str, ...]:
    """The flags in ``text``, in ipvsadm's order; of any scheduler where ``scheduler`` is empty."""
    words = _entries(text)
    known = FLAGS.get(scheduler, ()) if scheduler else tuple(flag for several in FLAGS.values() for flag in several)
    for word in words:
        if word not in known:
            if not scheduler:
                raise _Wrong("scheduler-flags", f"no scheduler takes {word!r}")
            takes = f"takes {', '.join(known)}" if known else "takes none"
            raise _Wrong("scheduler-flags", f"scheduler {scheduler} {takes}, not {word!r}")
    return tuple(flag for flag in known if flag in words)


def weights(text: str) -> tuple[int | None, dict[str, int]]:
    """The plain number in an annotation ``weight``, or None, and those by address. Raises ValueError."""
    plain: int | None = None
    by_address: dict[str, int] = {}
    for entry in _entries(text):
        where, equals, value = entry.rpartition("=")
        address = addresses.address(where.strip())
        if equals and not address:
            raise _Wrong("weight", f"{where.strip()!r} is not an IP address")
        if not (value.strip().isascii() and value.strip().isdigit() and int(value) <= MAX_WEIGHT):
            raise _Wrong("weight", f"must be a whole number from 0 to {MAX_WEIGHT}, is {value.strip()!r}")
        if equals:
            by_address[address] = int(value)
        else:
            plain = int(value)
    return plain, by_address


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]
