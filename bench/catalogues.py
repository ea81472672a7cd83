"""Catalogues to measure with: manifests of N Services, and compiled states that differ by one thing each.

``catalogues.py N DIRECTORY`` writes ``services.yml`` (base), ``base.json``, ``endpoint.json`` (another address for one
endpoint of base) and ``added.json`` (one Service more than base). A process of its own, so that its memory is not
counted with what is measured later: a child's peak begins at its parent's.
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Iterable, Iterator

ENDPOINTS = 5
"""Endpoints a Service."""

SERVICE_NETWORK = "10.96.0.0/16"
ENDPOINT_NETWORK = "10.128.0.0/9"
PORT, TARGET_PORT = 80, 8080
ADDED = "-added"
STATES = ("base", "endpoint", "added")

_NAMESPACES = 20


def service_address(index: int) -> str:
    """The cluster IP of a Service; addresses lie dense in SERVICE_NETWORK."""
    return f"10.96.{index // 250}.{index % 250 + 1}"


def ends(services: int) -> tuple[str, str]:
    """The addresses of the Services whose rules a linear dispatch asks first and last: they stand by their names."""
    by_name = sorted(range(services), key=_name)
    return service_address(by_name[0]), service_address(by_name[-1])


def _name(index: int) -> tuple[str, str]:
    """Namespace and name of a Service."""
    return f"team-{index % _NAMESPACES}", f"service-{index:05}"


def endpoint_address(index: int) -> str:
    """The address of an endpoint in ENDPOINT_NETWORK, below 10.255."""
    return f"10.{128 + index // 62500}.{index // 250 % 250}.{index % 250 + 1}"


def manifest(
    index: int, suffix: str = "", address: str = "", endpoints: Iterable[int] = (), protocol: str = "TCP"
) -> str:
    """A Service and its EndpointSlice, with the fields that an API server's answer has.

    Without ``endpoints`` it has ENDPOINTS of its own.
    """
    namespace, name = _name(index)
    name += suffix
    lines = [
        "---",
        "apiVersion: v1",
        "kind: Service",
        f"metadata: {{name: {name}, namespace: {namespace}}}",
        "spec:",
        f"  clusterIP: {address or service_address(index)}",
        "  ports:",
        f"    - {{name: http, port: {PORT}, targetPort: {TARGET_PORT}, protocol: {protocol}}}",
        "---",
        "apiVersion: discovery.k8s.io/v1",
        "kind: EndpointSlice",
        f"metadata: {{name: {name}-1, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}",
        "addressType: IPv4",
        "ports:",
        f"  - {{name: http, port: {TARGET_PORT}, protocol: {protocol}}}",
        "endpoints:",
    ]
    for number in endpoints or range(index * ENDPOINTS, (index + 1) * ENDPOINTS):
        lines.append(f"  - addresses: [{endpoint_address(number)}]")
        lines.append(f"    nodeName: node-{number % 50}")
        lines.append("    conditions: {ready: true, serving: true, terminating: false}")
    return "\n".join(lines) + "\n"


def manifests(services: int) -> Iterator[str]:
    """The manifests of a whole catalogue, a Service at a time."""
    return map(manifest, range(services))


def write(path: pathlib.Path, texts: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(texts)


def write_states(services: int, directory: pathlib.Path) -> None:
    """Compile the states. What changes is in the middle of the catalogue."""
    from sluice import render
    from sluice.catalogue import compiled as catalogue
    from sluice.catalogue import sources
    from sluice.settings import Settings

    middle = services // 2
    base, more = directory / "services.yml", directory / "added.yml"
    write(base, manifests(services))
    write(more, [manifest(middle, ADDED, service_address(services))])
    added, _warnings = sources.catalogue_of(sources.read([str(base), str(more)]), (), render.checks_for([Settings()]))

    plain = added._replace(services=tuple(each for each in added.services if not each.name.endswith(ADDED)))
    place = next(i for i, each in enumerate(plain.services) if each.name == f"service-{middle:05}")
    service = plain.services[place]
    endpoints = service.slices[0].endpoints
    other = endpoints[-1]._replace(address=endpoint_address(services * ENDPOINTS))
    changed = service._replace(slices=(service.slices[0]._replace(endpoints=(*endpoints[:-1], other)),))
    endpoint = plain._replace(services=(*plain.services[:place], changed, *plain.services[place + 1 :]))

    for name, state in zip(STATES, (plain, endpoint, added)):
        write(directory / f"{name}.json", [catalogue.text(state)])


if __name__ == "__main__":
    os.umask(0o022)  # what others may write is not read as a compiled catalogue
    write_states(int(sys.argv[1]), pathlib.Path(sys.argv[2]))
