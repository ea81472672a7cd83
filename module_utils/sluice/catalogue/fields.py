"""The fields that Kubernetes' objects have, so that a slip of the pen does not pass as one that is not looked at."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .reader import ObjectReader
from .syntax import Path


class Fields:
    """The fields of a mapping, or of each mapping of a list.

    ``names``, with blanks between: those whose values are not looked at. ``inner``: those that have fields themselves.
    ``closed``: there are no others; a Pod's many are not all named here.
    """

    def __init__(self, names: str = "", *, closed: bool = True, **inner: Fields) -> None:
        self.names = frozenset((*names.split(), *inner))
        self.inner = inner
        self.closed = closed


_METADATA = Fields(
    "annotations clusterName creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generateName"
    " generation initializers labels managedFields name namespace ownerReferences resourceVersion selfLink uid"
)
_SERVICE_SPEC = Fields(
    "allocateLoadBalancerNodePorts clusterIP clusterIPs externalIPs externalName externalTrafficPolicy"
    " healthCheckNodePort internalTrafficPolicy ipFamilies ipFamilyPolicy loadBalancerClass loadBalancerIP"
    " loadBalancerSourceRanges publishNotReadyAddresses selector sessionAffinity trafficDistribution type"
    # Of releases that dialects are for: 1.18 had these.
    " ipFamily topologyKeys",
    ports=Fields("appProtocol name nodePort port protocol targetPort"),
    sessionAffinityConfig=Fields(clientIP=Fields("timeoutSeconds")),
)
_SERVICE_STATUS = Fields("conditions", loadBalancer=Fields(ingress=Fields("hostname ip ipMode ports")))
_SUBSET_ADDRESS = Fields("hostname ip nodeName targetRef")
_SLICE_PORT = Fields("appProtocol name port protocol")
_ENDPOINT = Fields(
    "addresses deprecatedTopology hostname nodeName targetRef topology zone",
    conditions=Fields("ready serving terminating"),
    hints=Fields(forNodes=Fields("name"), forZones=Fields("name")),
)
_CONTAINER = Fields(closed=False, ports=Fields("containerPort hostIP hostPort name protocol"))
_OBJECT = "apiVersion kind status"
_FIELDS: Mapping[str, Fields] = {
    "Service": Fields(_OBJECT, metadata=_METADATA, spec=_SERVICE_SPEC, status=_SERVICE_STATUS),
    "Endpoints": Fields(
        _OBJECT,
        metadata=_METADATA,
        subsets=Fields(addresses=_SUBSET_ADDRESS, notReadyAddresses=_SUBSET_ADDRESS, ports=_SLICE_PORT),
    ),
    "EndpointSlice": Fields(f"{_OBJECT} addressType", metadata=_METADATA, ports=_SLICE_PORT, endpoints=_ENDPOINT),
    "Pod": Fields(
        _OBJECT, metadata=_METADATA, spec=Fields(closed=False, containers=_CONTAINER, initContainers=_CONTAINER)
    ),
    "Node": Fields(f"{_OBJECT} spec", metadata=_METADATA),
}


def unknown_fields(entry: ObjectReader) -> None:
    """A warning for each field of the object that Kubernetes does not know, with the one that may be meant."""
    _compare(entry, entry.value, _FIELDS[entry.kind], ())


def _compare(entry: ObjectReader, value: Any, known: Fields, path: Path) -> None:
    for below, where in zip(value, _indexes(path)) if isinstance(value, list) else ((value, path),):
        if not isinstance(below, dict):
            continue
        if known.closed and not below.keys() <= known.names:
            for key in sorted(map(str, below.keys() - known.names)):
                entry.fault((*where, key), f"there is no such field{_hint(key, below, known)}", warning=True)
        for key, inner in known.inner.items():
            if below.get(key):
                _compare(entry, below[key], inner, (*where, key))


def _indexes(path: Path) -> Iterator[Path]:
    return ((*path, index) for index in itertools.count())


def _hint(key: str, there: Mapping[str, Any], known: Fields) -> str:
    by_letters = {name.lower(): name for name in sorted(known.names) if name not in there}
    near: Sequence[str] = difflib.get_close_matches(key.lower(), by_letters, n=1)
    return f", did you mean {by_letters[near[0]]}?" if near else ""
