"""What a Service says of its health check (annotation ``sluice.io/health-check``): Kubernetes' probes, and some more.

A probe is a mapping with one kind (``tcpSocket``, ``httpGet``, ``grpc``, ``dns``, ``udp``, ``exec``, ``icmp``), what
holds for all kinds (``periodSeconds`` …), and what its answer must be (``expect``). The tables below have its fields.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from . import probe_http as http
from . import probe_values as values
from .probe_values import Field

TCP, HTTP, GRPC, DNS, UDP, EXEC, ICMP = "tcpSocket", "httpGet", "grpc", "dns", "udp", "exec", "icmp"
POD = "readinessProbe"
"""What stands for a kind in a Service's annotation: the Pod's probe that it points to (``catalogue/health_checks``)."""


class Probe(NamedTuple):
    """One health check as it was asked for; times in milliseconds.

    ``port`` is a number, the name of an endpoint's port, or 0: the endpoint's own. ``on_all_down`` is ``""`` (what the
    node's settings say), ``open``, ``closed``, or ``ADDRESS:PORT`` of who says sorry.
    """

    kind: str
    port: int | str = 0
    accept: bool = False
    path: str = "/"
    scheme: str = "HTTP"
    host: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    status: str = "200-399"
    body: str = ""
    ca_file: str = ""
    server_name: str = ""
    unverified: bool = False
    service: str = ""
    name: str = ""
    type: str = "A"
    protocol: str = "UDP"
    send: str = ""
    expect: str = ""
    command: tuple[str, ...] = ()
    period: int = 5000
    timeout: int = 1000
    retry: int = 1000
    fall: int = 3
    rise: int = 2
    on_all_down: str = ""
    on_down: str = "keep"
    min_healthy_percent: int = 0

    @property
    def question(self) -> str:
        """What is asked, when, and what counts as an answer: the same for all Services that mean the same check.

        It is ``text`` without the port, which a check has resolved, and without what follows from the answers.
        """
        return text(self._replace(port=0, on_all_down="", on_down="keep", min_healthy_percent=0))

    @property
    def transport(self) -> str:
        """``tcp`` or ``udp``: by what a port is asked; empty for what asks none."""
        return self.protocol.lower() if self.kind == DNS else _TRANSPORT.get(self.kind, "")

    def asked(self, own: int, names: Mapping[str, int]) -> int | None:
        """The port that is asked of an endpoint whose own is ``own``; None where it has none of that name."""
        if self.kind == ICMP:
            return 0
        return names.get(self.port) if isinstance(self.port, str) else self.port or own


_TRANSPORT = {TCP: "tcp", HTTP: "tcp", GRPC: "tcp", UDP: "udp"}
_PORT = {"port": Field("port", values.port)}
_KINDS: Mapping[str, Mapping[str, Field]] = {
    TCP: {**_PORT, "accept": Field("accept", values.flag)},
    HTTP: {
        **_PORT,
        "path": Field("path", http.path),
        "scheme": Field("scheme", values.among("HTTP", "HTTPS")),
        "host": Field("host", http.host),
        "httpHeaders": Field("headers", http.headers, http.say_headers),
    },
    GRPC: {**_PORT, "service": Field("service", values.word)},
    DNS: {
        **_PORT,
        "name": Field("name", values.domain),
        "type": Field("type", values.among(*values.DNS_TYPES)),
        "protocol": Field("protocol", values.among("UDP", "TCP")),
    },
    UDP: {**_PORT, "send": Field("send", values.payload), "expect": Field("expect", values.payload)},
    EXEC: {"command": Field("command", values.command, list)},
    ICMP: {},
}
KINDS = frozenset(_KINDS)
_EXPECT = {
    "status": Field("status", http.status),
    "body": Field("body", http.body),
    "caFile": Field("ca_file", values.file),
    "serverName": Field("server_name", values.host_name),
    "insecureSkipTLSVerify": Field("unverified", values.flag),
}
_COMMON = {
    "periodSeconds": Field("period", values.seconds(0.1, 3600), values.say_seconds),
    "timeoutSeconds": Field("timeout", values.seconds(0.01, 300), values.say_seconds),
    "retryMilliseconds": Field("retry", values.whole(10, 3_600_000)),
    "failureThreshold": Field("fall", values.whole(1, 100)),
    "successThreshold": Field("rise", values.whole(1, 100)),
    "onAllDown": Field("on_all_down", values.on_all_down, values.say_on_all_down),
    "onDown": Field("on_down", values.among("keep", "reset")),
    "minHealthyPercent": Field("min_healthy_percent", values.whole(0, 100)),
}
_NOT_HERE = {
    "initialDelaySeconds": "an endpoint is asked from when it is there: leave it out",
    "terminationGracePeriodSeconds": "nothing is restarted here: leave it out",
    "slowStartSeconds": "is not supported: who is up again has its full share at once",
}
"""Fields of Kubernetes' probes and of other load balancers that could not do here what they say."""

_ELSEWHERE = "is for the annotation of a Service, in whose namespace the Pod is"

_NEEDED = {DNS: ("name",), EXEC: ("command",)}
_NO_ANSWER = (
    "is needed: what takes UDP need not answer, and a port that is closed need not say so; without a question and the "
    "answer to expect up and down look the same"
)


def faults(value: Any) -> Iterator[tuple[str, str]]:
    """(field such as ``httpGet.path``, what is wrong with it): all that is wrong with a probe, in one run."""
    yield from _read(value)[1]


def probe(value: Any) -> Probe:
    """The probe that ``value`` describes. Raises ValueError with the first thing that is wrong with it."""
    found, wrong = _read(value)
    if wrong:
        raise ValueError(": ".join(part for part in wrong[0] if part))
    return found


def text(said: Probe) -> str:
    """``said`` as JSON that ``probe`` takes: sorted keys, and only what is no default."""
    usual = _with_defaults({"kind": said.kind, "period": said.period})._replace(period=Probe(said.kind).period)
    groups = {"": _COMMON, "expect": _EXPECT, said.kind: _KINDS[said.kind]}
    told: dict[str, Any] = {said.kind: {}}
    for group, fields in groups.items():
        for name, (attribute, _read_one, say) in fields.items():
            own = getattr(said, attribute)
            if own != getattr(usual, attribute):
                (told.setdefault(group, {}) if group else told)[name] = say(own)
    return json.dumps(told, sort_keys=True, separators=(",", ":"))


def _with_defaults(given: Mapping[str, Any]) -> Probe:
    """A probe of what was given. What waits by default does not wait for longer than a period."""
    found = Probe(**{"kind": TCP, **given})
    waits = {name: min(getattr(found, name), found.period) for name in ("timeout", "retry") if name not in given}
    return found._replace(**waits)


def _read(value: Any) -> tuple[Probe, list[tuple[str, str]]]:
    wrong: list[tuple[str, str]] = []
    given: dict[str, Any] = {}
    if not isinstance(value, dict):
        return Probe(TCP), [("", f"must be a mapping, is {values.shown(value)}")]
    kinds = [kind for kind in _KINDS if kind in value]
    asking = [*kinds, *([POD] if POD in value else [])]
    if asking == [POD]:
        wrong.append((POD, _ELSEWHERE))
    elif len(asking) > 1:
        wrong.append(("", f"{', '.join(asking)}: an endpoint has one check"))
    elif not asking:
        wrong.append(("", f"one of {', '.join(_KINDS)} is needed"))
    aside = (*_KINDS, "expect", POD, *_NOT_HERE)
    _group({name: part for name, part in value.items() if name not in aside}, "", given, wrong)
    for name, reason in _NOT_HERE.items():
        if value.get(name, 0) != 0:
            wrong.append((name, reason))
    for kind in kinds:
        _group(value[kind], kind, given, wrong)
    if "expect" in value:
        _group(value["expect"], "expect", given, wrong)
    if len(kinds) == 1:
        given["kind"] = kinds[0]
        wrong += _missing(kinds[0], value)
    found = _with_defaults(given)
    wrong += _together(found, value)
    return found, wrong


def _group(value: Any, group: str, given: dict[str, Any], wrong: list[tuple[str, str]]) -> None:
    """Read the fields of ``value``, which is what the probe has as ``group``, into ``given``."""
    fields = _EXPECT if group == "expect" else _KINDS.get(group, _COMMON)
    if not isinstance(value, dict):
        wrong.append((group, f"must be a mapping ({{}} where there is nothing to say), is {values.shown(value)}"))
        return
    for name, part in value.items():
        where = f"{group}.{name}" if group else str(name)
        if name not in fields:
            wrong.append((where, values.unknown(name, [*fields, *([] if group else [*_KINDS, POD, "expect"])])))
            continue
        try:
            given[fields[name].attribute] = fields[name].read(part)
        except values.WrongError as reason:
            wrong.append((where + reason.place, str(reason)))


def _missing(kind: str, value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    said = value[kind] if isinstance(value[kind], dict) else {}
    for name in _NEEDED.get(kind, ()):
        if name not in said:
            yield f"{kind}.{name}", "is needed"
    for name in ("send", "expect") if kind == UDP else ():
        if said.get(name, "") in ("", values.HEX):
            yield f"{kind}.{name}", _NO_ANSWER


def _together(found: Probe, value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with fields that are right by themselves."""
    if found.timeout > found.period:
        yield "timeoutSeconds", "must not be more than periodSeconds"
    if found.retry > found.period:
        yield "retryMilliseconds", "must not be more than periodSeconds: a failure would be looked at later than usual"
    if found.host and any(name.lower() == "host" for name, _value in found.headers):
        yield "httpGet.host", "is said by a header Host as well"
    if "expect" in value and HTTP not in value:
        yield "expect", f"goes with {HTTP}"
    elif found.scheme != "HTTPS":
        for name in ("caFile", "serverName", "insecureSkipTLSVerify"):
            if getattr(found, _EXPECT[name].attribute):
                yield f"expect.{name}", "goes with scheme HTTPS"
    elif found.unverified and found.ca_file:
        yield "expect.insecureSkipTLSVerify", "contradicts caFile, by which the certificate is verified"
