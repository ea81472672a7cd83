"""What a Service's annotation says of its health check: by itself, or by the readinessProbe of a Pod.

From here on it is JSON of one form: nodes read no YAML, and know no Pods.

A Pod's probe means what it means to a kubelet (pkg/kubelet/prober, pkg/probe), as far as an endpoint can be asked from
elsewhere: once a period and no sooner after a failure, and without a look at the certificate, unless the annotation
says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from .. import addresses, probes
from ..probe_values import shown, unknown
from . import syntax
from .pods import pod_addresses, running_containers
from .reader import HEALTH_CHECK, ObjectReader, annotation
from .syntax import Path

_HANDLERS: Mapping[str, Collection[str]] = {
    probes.HTTP: ("host", "httpHeaders", "path", "port", "scheme"),
    probes.TCP: ("host", "port"),
    probes.GRPC: ("port", "service"),
    probes.EXEC: ("command",),
}
_NUMBERS = {"periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3, "successThreshold": 1}
"""With Kubernetes' defaults, for which 0 stands as well (SetDefaults_Probe)."""

_KUBELETS_OWN = ("initialDelaySeconds", "terminationGracePeriodSeconds")
"""When a kubelet begins, and how it ends what failed."""

_ANY: Mapping[str, Any] = {probes.HTTP: {"scheme": "HTTPS"}, **_NUMBERS}
"""Instead of a probe that cannot be had: all that an annotation may say beside goes with it."""

_MOST, _LONGEST = 2**31 - 1, 3600
_VERIFICATION = frozenset(("caFile", "serverName", "insecureSkipTLSVerify"))
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


class Pods(NamedTuple):
    """The Pods of a catalogue by namespace and name; ``whole``: whether they are all that there are."""

    entries: Mapping[tuple[str, str], ObjectReader]
    whole: bool = True


NO_PODS = Pods({})


class _Container(NamedTuple):
    """A container that has a readinessProbe, and where it stands in the manifest of its Pod."""

    pod: ObjectReader
    path: Path
    value: dict[str, Any]

    def fault(self, field: str, message: str, *, warning: bool = False) -> None:
        """``field`` of the probe, such as ``httpGet.httpHeaders[0].name``; ``""`` for the probe itself."""
        steps = [int(number) if number else name for number, name in _STEP.findall(field)]
        self.pod.fault((*self.path, probes.POD, *steps), message, warning=warning)


def read_health_check(entry: ObjectReader, text: str, pods: Pods) -> str:
    """The check that the annotation's ``text`` says; ``""`` after a fault, which may be one of a Pod's manifest."""
    parts, broken = syntax.read(text)
    if broken or len(parts) != 1:
        for message in [fault.reason for fault in broken] or ["must be one mapping"]:
            _fault(entry, "", message)
        return ""
    said, own, container = parts[0].value, None, None
    pointing = isinstance(said, dict) and probes.POD in said and probes.KINDS.isdisjoint(said)
    value = said
    if pointing:
        container = _container(entry, said[probes.POD], pods)
        own = container and _own(entry, container)
        value = _joined(own or _ANY, {name: part for name, part in said.items() if name != probes.POD})
    wrong = list(probes.faults(value))
    for field, message in wrong:
        if container and own and field.partition(".")[0] in own.keys() - said.keys():
            container.fault(field, message)
        else:
            _fault(entry, field, message)
    return "" if wrong or (pointing and not own) else probes.text(probes.probe(value))


def _fault(entry: ObjectReader, field: str, message: str) -> None:
    entry.fault(annotation(HEALTH_CHECK), f"{field}: {message}" if field else message)


def _container(entry: ObjectReader, reference: Any, pods: Pods) -> _Container | None:
    """The container whose probe the annotation points to; None after a fault, or where nobody knows all Pods."""
    if not isinstance(reference, dict):
        _fault(entry, probes.POD, f"must be a mapping with pod, the name of a Pod, is {shown(reference)}")
        return None
    names: dict[str, str] = {}
    for name, value in reference.items():
        if name not in ("pod", "container"):
            _fault(entry, f"{probes.POD}.{name}", unknown(name, ("pod", "container")))
        elif not isinstance(value, str) or not value:
            _fault(entry, f"{probes.POD}.{name}", f"must be a name, is {shown(value)}")
        else:
            names[name] = value
    if "pod" not in reference:
        _fault(entry, f"{probes.POD}.pod", "is needed: the name of a Pod in the Service's namespace")
    pod = pods.entries.get((entry.namespace, names.get("pod", "")))
    if "pod" in names and pod is None and pods.whole:
        _fault(entry, f"{probes.POD}.pod", f"there is no Pod {entry.namespace}/{names['pod']}")
    return _chosen(entry, pod, names.get("container", "")) if pod and names.keys() == reference.keys() else None


def _chosen(entry: ObjectReader, pod: ObjectReader, wanted: str) -> _Container | None:
    """The container of that name, or the one that has a probe. A Pod is ready where all of its containers are."""
    containers = {
        str(value.get("name")): _Container(pod, path, value)
        for path, value in running_containers(pod, pod.mapping(pod.value, "spec", ()))
        if wanted in ("", value.get("name"))
    }
    probed = [name for name, each in containers.items() if each.value.get(probes.POD) is not None]
    if len(probed) == 1:
        return containers[probed[0]]
    if wanted and not containers:
        _fault(entry, f"{probes.POD}.container", f"{pod.subject} has no container {shown(wanted)}")
    elif wanted:
        _fault(entry, probes.POD, f"container {shown(wanted)} of {pod.subject} has no readinessProbe")
    elif not probed:
        _fault(entry, probes.POD, f"no container of {pod.subject} has a readinessProbe")
    else:
        message = f"is needed: several containers of {pod.subject} have a readinessProbe: {', '.join(probed)}"
        _fault(entry, f"{probes.POD}.container", message)
    return None


def _own(entry: ObjectReader, container: _Container) -> dict[str, Any] | None:
    """What the container's probe says, in the annotation's words; None after a fault that leaves nothing to ask."""
    pod, where = container.pod, (*container.path, probes.POD)
    probe = pod.mapping(container.value, probes.POD, container.path)
    known = (*_HANDLERS, *_NUMBERS, *_KUBELETS_OWN)
    for name in probe:
        if name not in known:
            container.fault(str(name), unknown(name, known))
    kinds = [kind for kind in _HANDLERS if probe.get(kind) is not None]
    if probe is container.value[probes.POD] and len(kinds) != 1:
        container.fault("", f"a probe has one of {', '.join(_HANDLERS)}, this one has {', '.join(kinds) or 'none'}")
    if len(kinds) != 1:
        return None
    (kind,) = kinds
    if kind == probes.EXEC:
        message = f"{pod.subject} is asked by exec, inside its container: say httpGet, tcpSocket or grpc here instead"
        _fault(entry, probes.POD, message)
        return None
    asked = pod.mapping(probe, kind, where)
    if asked is not probe[kind]:
        return None
    numbers = {name: pod.number(probe, name, where, 0, _MOST, usual) or usual for name, usual in _NUMBERS.items()}
    return {kind: _handler(container, kind, asked), **numbers}


def _handler(container: _Container, kind: str, given: dict[str, Any]) -> dict[str, Any]:
    """What is asked, of each endpoint at its own address, at a port with a number."""
    found = {}
    for name, value in given.items():
        if name not in _HANDLERS[kind]:
            container.fault(f"{kind}.{name}", unknown(name, _HANDLERS[kind]))
        elif value not in (None, ""):
            found[name] = value
    host, port, path = found.pop("host", ""), found.get("port"), found.get("path")
    status = container.pod.mapping(container.pod.value, "status", ())
    own = [addresses.address(value) for _path, value in pod_addresses(container.pod, status)]
    if host and addresses.address(host) not in own:
        message = f"{shown(host)} is not asked: each endpoint is, at its own address; a header Host can have the name"
        container.fault(f"{kind}.host", message, warning=True)
    if port is None:
        container.fault(f"{kind}.port", "is missing")
    elif isinstance(port, str):
        found["port"] = _numbered(container, port)
        if not found["port"]:
            del found["port"]
            container.fault(f"{kind}.port", f"the container has no port named {shown(port)}")
    if isinstance(path, str) and not path.startswith("/"):
        found["path"] = f"/{path}"
    return found


def _numbered(container: _Container, name: str) -> int:
    """The number of the container's port of that name, 0 where it has none."""
    for path, port in container.pod.mappings(container.value, "ports", container.path):
        if port.get("name") == name:
            return container.pod.port(port, "containerPort", path)
    return 0


def _joined(own: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """What the annotation says over what the Pod does.

    A kubelet asks again when it has an answer. So a Pod's timeout may be longer than its period, and the period is as
    long as that here. What the Pod says yields to what the annotation does.
    """
    found = {**own, **said}
    period, timeout = found["periodSeconds"], found["timeoutSeconds"]
    if _is_time(period) and _is_time(timeout):
        if timeout > period and "periodSeconds" not in said:
            found["periodSeconds"] = period = timeout
        elif timeout > period and "timeoutSeconds" not in said:
            found["timeoutSeconds"] = period
        found.setdefault("retryMilliseconds", max(10, round(period * 1000)))
    expect = said.get("expect", {})
    secured = own.get(probes.HTTP, {}).get("scheme") == "HTTPS"
    if secured and isinstance(expect, dict) and _VERIFICATION.isdisjoint(expect):
        found["expect"] = {**expect, "insecureSkipTLSVerify": True}
    return found


def _is_time(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= _LONGEST
