"""Reads the fields of one object and says what is wrong with them, each with its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from .. import addresses
from ..faults import Fault
from ..forms import LABEL, SUBDOMAIN, is_name
from .manifests import Manifest
from .syntax import Path

PROTOCOLS = ("TCP", "UDP", "SCTP")
ANNOTATION_PREFIX = "sluice.io/"
HEALTH_CHECK = "health-check"
ANNOTATIONS = {
    "Service": (
        *("scheduler", "scheduler-flags", "hash", "weight", "pool", "load-balancer-ips", "allow-shared-ip"),
        HEALTH_CHECK,
    ),
    "EndpointSlice": ("weight",),
    "Endpoints": ("weight",),
}
"""The annotations that are read, by kind of object, without their prefix."""

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
HEADLESS_LABEL = "service.kubernetes.io/headless"
PASSED_OVER_LABELS = frozenset(("service.kubernetes.io/service-proxy-name", HEADLESS_LABEL))
"""kube-proxy asks the API server for Services and slices that have neither of these labels, whatever their values."""

_ZEROS = re.compile("(?<![0-9a-f])0+(?=[0-9])")
"""Those that lead a number."""

MAX_STEP = 320
"""Characters of a field's name that a message shows: an annotation's may have 317."""

_T = TypeVar("_T")


class ObjectReader:
    """One manifest and its faults. Reads a field and says what is wrong with it, never raises."""

    def __init__(self, manifest: Manifest, kind: str, faults: list[Fault]) -> None:
        self.manifest = manifest
        self.kind = kind
        self.value: dict[str, Any] = manifest.value
        self._faults = faults
        self._said: set[tuple[Path, str]] = set()
        self.subject = kind
        self.faulty = False
        self.metadata = self.mapping(self.value, "metadata", ())
        pattern, form = (LABEL, "a DNS label") if kind == "Service" else (SUBDOMAIN, "a DNS subdomain")
        self.name = self.text(self.metadata, "name", ("metadata",))
        self.namespace = "" if kind == "Node" else self.text(self.metadata, "namespace", ("metadata",)) or "default"
        shown = "/".join(filter(None, (self.namespace, self.name)))
        self.subject = f"{kind} {shown}".rstrip()
        if self.metadata.get("name") in (None, ""):
            self.fault(("metadata", "name"), "is missing")
        elif self.name and not pattern.fullmatch(self.name):
            self.fault(("metadata", "name"), f"{short(self.name)} is not {form}")
        if self.namespace and not LABEL.fullmatch(self.namespace):
            self.fault(("metadata", "namespace"), f"{short(self.namespace)} is not a DNS label")
        self.labels = self.strings(self.metadata, "labels", ("metadata",))
        self.annotations = self.strings(self.metadata, "annotations", ("metadata",))

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name

    @property
    def created(self) -> str:
        """When an API server made the object; people read it, so no form is asked for."""
        found = self.metadata.get("creationTimestamp")
        return found if isinstance(found, str) else ""

    def first_annotation(self, keys: Sequence[str]) -> tuple[str, str]:
        """The first annotation of ``keys`` that the object has, and what it says; nothing where it has none."""
        return next(((key, self.annotations[key]) for key in keys if self.annotations.get(key)), (keys[0], ""))

    def fault(self, path: Path, message: str, *, warning: bool = False) -> None:
        """One line for one thing: a field that is read in two places is wrong once."""
        if (path, message) in self._said:
            return
        self._said.add((path, message))
        line = self.manifest.line(path)
        self._faults.append(Fault(self.manifest.document.file, line, self.subject, shown(path), message, warning))
        self.faulty = self.faulty or not warning

    # Each reader takes the mapping that holds the field, the field's key and the path of the mapping. A missing field
    # and null are the default, and so is "" where words or an address are asked for: types of Kubernetes without a
    # pointer know no other "not set", and charts write it. A wrong one is a fault and the default.

    def text(self, holder: dict[str, Any], key: str, path: Path, default: str = "") -> str:
        return self._read(holder, key, path, str, default, "a string")

    def flag(self, holder: dict[str, Any], key: str, path: Path, default: bool) -> bool:
        return self._read(holder, key, path, bool, default, "true or false")

    def mapping(self, holder: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
        return self._read(holder, key, path, dict, {}, "a mapping")

    def items(self, holder: dict[str, Any], key: str, path: Path) -> list[Any]:
        return self._read(holder, key, path, list, [], "a list")

    def mappings(self, holder: dict[str, Any], key: str, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
        """The entries of a list of mappings, each with its path."""
        for index, entry in enumerate(self.items(holder, key, path)):
            if isinstance(entry, dict):
                yield (*path, key, index), entry
            else:
                self.fault((*path, key, index), f"must be a mapping, is {short(entry)}")

    def number(self, holder: dict[str, Any], key: str, path: Path, low: int, high: int, default: int) -> int:
        value = self._read(holder, key, path, int, default, "a whole number")
        if value is holder.get(key) and not low <= value <= high:
            self.fault((*path, key), f"{short(value)} is not in {low}-{high}")
            return default
        return value

    def port(self, holder: dict[str, Any], key: str, path: Path) -> int:
        """A port number; 0 (after a fault) where there is none."""
        if holder.get(key) is None:
            self.fault((*path, key), "is missing")
        return self.number(holder, key, path, 1, 65535, 0)

    def choice(self, holder: dict[str, Any], key: str, path: Path, choices: Sequence[str], default: str) -> str:
        value = self.text(holder, key, path, default) or default
        if value not in choices:
            self.fault((*path, key), f"{short(value)} is not one of {', '.join(filter(None, choices))}")
            return default
        return value

    def address(self, value: Any, path: Path, family: str = "") -> str:
        """``value`` as a canonical address (of ``family``, if one is given); ``""`` after a fault."""
        text = addresses.address(value)
        if not text or text in ("0.0.0.0", "::"):
            self.fault(path, _no_address(value))
            return ""
        if family and addresses.family_of(text) != family:
            self.fault(path, f"{value!r} is not an {family} address")
            return ""
        return text

    def outward(self, value: Any, path: Path, family: str = "") -> str:
        """``address``, and no host's own: the API server refuses these for endpoints and external addresses, too."""
        text = self.address(value, path, family)
        if text and addresses.is_special(text):
            self.fault(path, f"{text} is a loopback or link-local address")
            return ""
        return text

    def network(self, value: Any, path: Path) -> str:
        """``value`` as a canonical CIDR; ``""`` after a fault."""
        text = addresses.network(value)
        if not text:
            self.fault(path, _no_network(value))
        return text

    def node_name(self, holder: dict[str, Any], key: str, path: Path) -> str:
        """A node's name in small letters, in which kube-proxy writes its own. An inventory's hosts may have others than
        Kubernetes' nodes: ``lb_1``."""
        value = self.text(holder, key, path)
        if value and not is_name(value):
            self.fault((*path, key), f"{short(value)} is not a node's name")
            return ""
        return value.lower()

    def strings(self, holder: dict[str, Any], key: str, path: Path) -> dict[str, str]:
        """A mapping of text to text, such as labels."""
        found: dict[str, str] = {}
        for name, value in self.mapping(holder, key, path).items():
            if isinstance(name, str) and isinstance(value, str):
                found[name] = value
            else:
                wrong = name if not isinstance(name, str) else value
                self.fault((*path, key, str(name)), f"must be text, is {short(wrong)}{self._text_hint(name, wrong)}")
        return found

    @staticmethod
    def _text_hint(name: Any, wrong: Any) -> str:
        """What to do about a value that is no text."""
        if name == "matchLabels":
            return ": a Service's selector has the labels themselves"
        return "" if isinstance(wrong, (dict, list)) else ": put it in quotes"

    def _read(self, holder: dict[str, Any], key: str, path: Path, kind: type[_T], default: _T, form: str) -> _T:
        value = holder.get(key)
        if value is None:
            return default
        # Python has true and false as numbers; where a number is asked for they are none.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.fault((*path, key), f"must be {form}, is {short(value)}")
            return default
        return value


def passed_over(entry: ObjectReader) -> bool:
    """Whether kube-proxy never sees the object: another proxy's, or of a headless Service."""
    return not PASSED_OVER_LABELS.isdisjoint(entry.labels)


def port_name(entry: ObjectReader, value: dict[str, Any], path: Path) -> str:
    name = entry.text(value, "name", path)
    if name and not LABEL.fullmatch(name):
        entry.fault((*path, "name"), f"{short(name)} is not a DNS label")
        return ""
    return name


def known_annotations(entry: ObjectReader) -> dict[str, str]:
    """The annotations that are read, without their prefix. Others that have the prefix get a warning."""
    known = ANNOTATIONS[entry.kind]
    found: dict[str, str] = {}
    for key, value in entry.annotations.items():
        name = key[len(ANNOTATION_PREFIX) :]
        if not key.startswith(ANNOTATION_PREFIX):
            continue
        if name in known:
            found[name] = value
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f", did you mean {ANNOTATION_PREFIX}{near[0]}?" if near else ""
        article = "a" if entry.kind == "Service" else "an"
        entry.fault(annotation(name), f"no such annotation of {article} {entry.kind}{hint}", warning=True)
    return found


def annotation(name: str) -> Path:
    return "metadata", "annotations", ANNOTATION_PREFIX + name


# --- words of a message


def _no_address(value: Any) -> str:
    """Why ``value`` is no address that Kubernetes takes, and which one it takes where that is clear."""
    if value in (None, ""):
        return "is missing"
    text = value.strip() if isinstance(value, str) else ""
    plain = addresses.address(text.partition("/")[0])
    if plain in ("0.0.0.0", "::"):
        return f"{short(value)} is the address of no host"
    if not plain:
        return _forbidden(value, _without_zeros(text), addresses.mapped(text)) or f"{short(value)} is not an IP address"
    return f"{short(value)} is not an IP address: write {plain}"


def _no_network(value: Any) -> str:
    if value in (None, ""):
        return "is missing"
    base, slash, length = value.strip().partition("/") if isinstance(value, str) else ("", "", "")
    if not slash and addresses.address(base):
        return f"{short(value)} is not a CIDR: write {addresses.host_network(addresses.address(base))}"
    bits = int(length) - 96 if length.isascii() and length.isdigit() and len(length) < 4 else -1
    zeros, mapped = f"{_without_zeros(base)}/{length}", f"{addresses.mapped(base)}/{bits}"
    return _forbidden(value, addresses.network(zeros), addresses.network(mapped)) or f"{short(value)} is not a CIDR"


def _forbidden(value: Any, without_zeros: str, mapped: str) -> str:
    """Forms that not all programs read alike, so that Kubernetes forbids them (KEP-4858)."""
    if without_zeros:
        return f"{short(value)} has leading zeros, which some take for octal: write {without_zeros}"
    return f"{short(value)} is IPv4 in IPv6's form: write {mapped}" if mapped else ""


def _without_zeros(text: str) -> str:
    """The IPv4 address that ``text`` is but for leading zeros, or ``""``."""
    return addresses.address(_ZEROS.sub("", text)) if "." in text and len(text) < 64 else ""


def plain_fault(faults: list[Fault], manifest: Manifest, field: str, message: str, *, warning: bool = False) -> None:
    line = manifest.line((field,) if field else ())
    faults.append(Fault(manifest.document.file, line, "", field, message, warning))


def place(entry: ObjectReader, path: Path = ("metadata", "name")) -> str:
    """``file:line`` of a field of the object, its name where none is told."""
    document = entry.manifest.document
    return f"{document.file}:{entry.manifest.line(path)}" if document.line else document.file


def shown(path: Path) -> str:
    text = ""
    for step in path:
        if isinstance(step, str) and len(step) > MAX_STEP:
            step = f"{step[:MAX_STEP]}…"
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))


def short(value: Any) -> str:
    """``value`` in a message: what it is, cut where it is long."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "a mapping"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"
