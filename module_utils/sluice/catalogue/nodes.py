"""A Node, from its manifest."""

from __future__ import annotations

from typing import Any

from .model import Node
from .reader import ObjectReader, distinct

_INFO = ("kubeletVersion", "osImage", "kernelVersion", "containerRuntimeVersion")


def read_node(entry: ObjectReader) -> Node:
    spec, status = (entry.mapping(entry.value, key, ()) for key in ("spec", "status"))
    info = entry.mapping(status, "nodeInfo", ("status",))
    conditions = [value for _path, value in entry.mappings(status, "conditions", ("status",))]
    ready = next((value.get("status") == "True" for value in conditions if value.get("type") == "Ready"), None)
    cordoned = ",SchedulingDisabled" if spec.get("unschedulable") is True else ""
    return Node(
        name=entry.name.lower(),
        labels=tuple(entry.labels.items()),
        addresses=_addresses(entry, status, "InternalIP"),
        external_addresses=_addresses(entry, status, "ExternalIP"),
        status=("Unknown" if ready is None else "Ready" if ready else "NotReady") + cordoned,
        info=tuple((key, str(info[key])) for key in _INFO if info.get(key)),
        created=entry.created,
    )


def _addresses(entry: ObjectReader, status: dict[str, Any], kind: str) -> tuple[str, ...]:
    return distinct(
        entry.address(value.get("address"), (*path, "address"))
        for path, value in entry.mappings(status, "addresses", ("status",))
        if value.get("type") == kind
    )
