"""The fields that Kubernetes' objects have, so that a slip of the pen does not pass as one that is not looked at."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Union

from .reader import ObjectReader
from .syntax import Path

Fields = Mapping[str, Union["Fields", None]]
"""Fields of a mapping, or of each mapping of a list; None: whatever is in it is not looked at."""

_OTHERS = "*"
"""Among the fields of a mapping: others are not looked at, as of a Pod's many."""


def _leaves(text: str) -> dict[str, Fields | None]:
    return dict.fromkeys(text.split())


_METADATA = _leaves(
    "annotations clusterName creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generateName"
    " generation initializers labels managedFields name namespace ownerReferences resourceVersion selfLink uid"
)
_OBJECT: Fields = {**_leaves("apiVersion kind status"), "metadata": _METADATA}
_SERVICE_SPEC: Fields = {
    **_leaves(
        "allocateLoadBalancerNodePorts clusterIP clusterIPs externalIPs externalName externalTrafficPolicy"
        " healthCheckNodePort internalTrafficPolicy ipFamilies ipFamilyPolicy loadBalancerClass loadBalancerIP"
        " loadBalancerSourceRanges publishNotReadyAddresses selector sessionAffinity trafficDistribution type"
        # Of releases that dialects are for: 1.18 had these.
        " ipFamily topologyKeys"
    ),
    "ports": _leaves("appProtocol name nodePort port protocol targetPort"),
    "sessionAffinityConfig": {"clientIP": _leaves("timeoutSeconds")},
}
_SERVICE_STATUS: Fields = {
    "conditions": None,
    "loadBalancer": {"ingress": _leaves("hostname ip ipMode ports")},
}
_SUBSET_ADDRESS = _leaves("hostname ip nodeName targetRef")
_CONTAINER: Fields = {_OTHERS: None, "ports": _leaves("containerPort hostIP hostPort name protocol")}
_FIELDS: Mapping[str, Fields] = {
    "Service": {**_OBJECT, "spec": _SERVICE_SPEC, "status": _SERVICE_STATUS},
    "Endpoints": {
        **_OBJECT,
        "subsets": {
            "addresses": _SUBSET_ADDRESS,
            "notReadyAddresses": _SUBSET_ADDRESS,
            "ports": _leaves("appProtocol name port protocol"),
        },
    },
    "EndpointSlice": {
        **_OBJECT,
        "addressType": None,
        "ports": _leaves("appProtocol name port protocol"),
        "endpoints": {
            **_leaves("addresses deprecatedTopology hostname nodeName targetRef topology zone"),
            "conditions": _leaves("ready serving terminating"),
            "hints": {"forNodes": _leaves("name"), "forZones": _leaves("name")},
        },
    },
    "Pod": {**_OBJECT, "spec": {_OTHERS: None, "containers": _CONTAINER}},
    "Node": {**_OBJECT, "spec": None},
}


def unknown_fields(entry: ObjectReader) -> None:
    """A warning for each field of the object that Kubernetes does not know, with the one that may be meant."""
    _compare(entry, entry.value, _FIELDS[entry.kind], ())


def _compare(entry: ObjectReader, value: Any, known: Fields, path: Path) -> None:
    if isinstance(value, list):
        for index, each in enumerate(value):
            _compare(entry, each, known, (*path, index))
    if not isinstance(value, dict):
        return
    if _OTHERS not in known:
        for key in sorted(map(str, value.keys() - known.keys())):
            entry.fault((*path, key), f"there is no such field{_hint(key, value, known)}", warning=True)
    for key, below in known.items():
        if below is not None and key in value:
            _compare(entry, value[key], below, (*path, key))


def _hint(key: str, there: Mapping[str, Any], known: Fields) -> str:
    by_letters = {name.lower(): name for name in known if name not in there}
    near: Sequence[str] = difflib.get_close_matches(key.lower(), by_letters, n=1)
    return f", did you mean {by_letters[near[0]]}?" if near else ""
