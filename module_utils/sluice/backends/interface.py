"""All that the rest of Sluice knows of a backend.

A ``Backend`` is data: a value of ``sluice_backend``, how its files are made, what they need. A ``Layer`` is one place
in the kernel that holds Services. The two are apart since IPVS mode is two layers: its own tables, and iptables' rules.

An apply asks each layer for a ``Look``, and then has the looks send their changes, phase by phase: every step of a
phase, of all layers, comes before any step of the next. Layers that the wanted backend does not use are wanted empty.
So moving to another backend is nothing special, nor is removal: then no layer is used.
"""

from __future__ import annotations

import enum
import operator
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from ..settings import Settings
    from ..view import PortView, View

Files = Mapping[str, str]
"""Files of a node, contents by name."""

Views = Mapping[str, "View"]
"""What a node sees of the catalogue, by address family."""


class Phase(enum.IntEnum):
    """When a step is sent to the kernel."""

    PREPARE = 0
    """What the rules are going to refer to; no packet meets it yet."""

    SWITCH = 1
    """The rules, in one transaction where the kernel has one."""

    CLEAN = 2
    """What nothing refers to any more."""


class Change(NamedTuple):
    """What happens to one thing in the kernel: a chain, a set, a virtual server.

    ``verb`` is ``add``, ``change`` or ``remove``; ``removed`` and ``added`` are its lines.
    """

    thing: str
    verb: str
    removed: Sequence[str] = ()
    added: Sequence[str] = ()


class Memory(NamedTuple):
    """What a layer has to remember for its next look, as JSON values.

    ``record`` is true only as long as nobody changes the kernel behind our back, and only together with the files of
    the last apply; it may be lost at any time, and is empty where the layer cannot be sure. ``lasting`` has to outlive
    a killed apply: it says by file name, below /var/lib/sluice, what is ours. A file that is not in it is removed.
    """

    record: Mapping[str, Any] = {}
    lasting: Mapping[str, Any] = {}


class Held(NamedTuple):
    """What of ours a layer holds: files that would bring it back, and the settings that go with them."""

    files: Files
    settings: Mapping[str, Any]


NOTHING_HELD = Held({}, {})


class Frontend(NamedTuple):
    """Where clients send UDP to: an address, or ``""`` for any of the node's own, and a port."""

    address: str
    port: int


class Entry(NamedTuple):
    """Where connections come in: an address (``""``: any of the node's own), ``tcp``, ``udp`` or ``sctp``, a port."""

    address: str
    protocol: str
    port: int


class Count(NamedTuple):
    """What the kernel has counted: connections, and packets and bytes towards endpoints (``in``) and back (``out``)."""

    connections: int = 0
    packets_in: int = 0
    bytes_in: int = 0
    packets_out: int = 0
    bytes_out: int = 0

    def plus(self, other: Count) -> Count:
        """Both together."""
        return Count(*map(operator.add, self, other))

    def since(self, before: Count) -> Count:
        """What came after ``before``: all of it where the kernel has begun to count anew."""
        return self if self.connections < before.connections else Count(*map(operator.sub, self, before))


NO_COUNT = Count()


class Counters(NamedTuple):
    """What a layer has counted since the kernel has it.

    ``endpoints``: by an entry of the service port, one of several where these share it, and by ``address:port``;
    nothing where the layer counts entries only. ``whole``: packets are all of a connection, both ways; else they are
    those alone that begin one, as chains of nat see no others.
    """

    entries: Mapping[Entry, Count] = {}
    endpoints: Mapping[tuple[Entry, str], Count] = {}
    whole: bool = False


Made = TypeVar("Made")

Form = Callable[[Any], bool]
"""Whether a JSON value has the form in which it was kept."""

Frontends = dict[Frontend, set[tuple[str, int]]]
"""The endpoints (address, port) behind each UDP front end."""


class Amount(NamedTuple):
    """How much is sent to the kernel."""

    lines: int = 0
    bytes: int = 0


def amount_of(texts: Iterable[str]) -> Amount:
    """That of texts."""
    found = list(texts)
    return Amount(sum(text.count("\n") for text in found), sum(map(len, found)))


class KernelChanged(Exception):
    """A step was refused, as happens when the kernel is not any more what the plan was made for: look again."""


class Leftover(NamedTuple):
    """What another Service proxy has left in a layer, of one address family.

    ``name`` is what a person finds there; ``services``: the addresses of Services that it still serves.
    """

    name: str
    family: str
    services: Sequence[str] = ()


class Look(Protocol):
    """What a layer found in the kernel, and what it takes to bring that to what is wanted."""

    @property
    def changes(self) -> Sequence[Change]: ...

    @property
    def amount(self) -> Amount:
        """How much ``send`` gives to the kernel, in all phases."""

    @property
    def warnings(self) -> Sequence[str]: ...

    @property
    def leftovers(self) -> Sequence[Leftover]:
        """What another Service proxy has left, in whichever family or variant. A takeover's changes remove it."""

    @property
    def details(self) -> Mapping[str, str]:
        """What a result says of this layer besides its changes, such as iptables' variant."""

    @property
    def udp(self) -> bool:
        """Whether a change is about UDP: conntrack may then hold flows that the change leaves behind."""

    def holds(self, files: Files) -> bool:
        """Whether the kernel holds just what ``files`` say."""

    def held(self) -> Held:
        """What of ours the kernel holds, whatever the files say."""

    def send(self, phase: Phase) -> None:
        """Change the kernel. Raises KernelChanged, or NodeError where looking again would not help."""

    def memory(self) -> Memory:
        """What to remember. Asked before the first ``send`` and after the last.

        What is kept before has to be true whenever the apply is killed: all that is ours or is going to be, and no
        record.
        """


class Layer(Protocol):
    """One place in the kernel that holds Services."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """The node's settings that this layer alone asks for, with what they are where the node has no files of Sluice.

        Every look is also told of ``takeover``: whether what another Service proxy has left may be replaced.
        """

    @property
    def devices(self) -> Sequence[str]:
        """Network devices that hold addresses of Services; those are not the node's own."""

    @property
    def remembers(self) -> Mapping[str, Form]:
        """The files of ``Memory.lasting``, and the form of each.

        One that is damaged, or could not be written, is missing: the layer goes on from the kernel.
        """

    @property
    def waiting(self) -> str:
        """The one among them that exists only while something waits for its connections to end; or ``""``."""

    def files(self, families: Sequence[str]) -> Sequence[str]:
        """The names of its files on a node with these address families."""

    def look(
        self, wanted: Files, last: Files, memory: Memory, settings: Mapping[str, Any], *, check: bool
    ) -> AbstractContextManager[Look]:
        """Compare the kernel with its files ``wanted``; without any it is to hold nothing of ours.

        ``last``: the files of the last apply, for ``memory.record``. ``check``: nothing is going to be sent. The
        context holds the locks that the layer's tools ask for. Raises NodeError, and ValueError where a file is not in
        the form in which Sluice writes it.
        """

    def frontends(self, files: Files, family: str) -> Frontends:
        """The UDP front ends of ``files``."""

    def counters(self, *, endpoints: bool = True) -> Counters:
        """What came in and where it went to. Nothing where this layer has no Services, or not for this user.

        ``endpoints``: whether they are asked for; without them a layer may read much less of the kernel. Raises
        NodeError where it could not be read.
        """

    def ours(self, files: Files) -> bool:
        """Whether ``files``, which ``held`` gave, are Sluice's alone, with nothing that a takeover found."""

    def settle(self, memory: Memory, now: float) -> Memory:
        """Remove what waited for its connections, as far as they have ended by ``now`` (seconds of uptime).

        ``memory`` has no record here: this runs every few seconds, and reading the last files takes its time.
        """


class Memo:
    """What was made of service ports: a render that meets one again, the same object, takes it from here.

    So a render of a catalogue of which little is another one costs little. Only what the last render took is kept.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[Any, int], tuple[PortView, Any]] = {}
        self._before: dict[tuple[Any, int], tuple[PortView, Any]] = {}

    def begin(self) -> None:
        """A render begins."""
        self._before, self._made = self._made, {}

    def of(self, port: PortView, why: Any, make: Callable[[PortView], Made]) -> Made:
        """What ``make`` makes of ``port``, in a context of which ``why`` says all that matters."""
        key = why, id(port)
        found = self._before.get(key)
        if found is None or found[0] is not port:
            found = port, make(port)
        self._made[key] = found
        made: Made = found[1]
        return made


class Needs(NamedTuple):
    """What the files of a backend need on a node: sysctls with their values, kernel modules.

    ``module_options``: values of modules' parameters, by module and name; these modules need not be among ``modules``.
    """

    sysctls: Mapping[str, str]
    modules: Sequence[str]
    module_options: Mapping[str, Mapping[str, str]] = {}


class Backend(NamedTuple):
    """A value of ``sluice_backend``.

    ``commands``: the programs that have to be installed. ``layers``: in the order in which they are prepared.
    ``render``: views and settings to files; what it may take from the memo was made with the same settings.
    ``needs``: views, settings and the release of the node's Linux ``(6, 1)``.
    ``scheduler``: what balances a Service that does not say; ``""`` where the backend has no schedulers.
    """

    name: str
    commands: tuple[str, ...]
    layers: tuple[Layer, ...]
    render: Callable[[Views, Settings, Memo], dict[str, str]]
    needs: Callable[[Views, Settings, Sequence[int]], Needs]
    scheduler: Callable[[Settings], str]
    remembers_clients: int = 0
    """How many clients an endpoint's session affinity keeps where the node does not say otherwise; 0: all."""
    releases: Sequence[str] = ()
    """The values of ``sluice_compat`` that it knows; none: all."""
    names_own: Callable[[Views, Settings], bool] = lambda views, settings: False
    """Whether there are node ports in files that name each address of the node which serves them."""
    obstacles: Callable[[Sequence[str]], Sequence[str]] = lambda families: ()
    """What of others on this node keeps packets of these address families from Services, a line each."""

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices of its layers."""
        return tuple(device for layer in self.layers for device in layer.devices)
