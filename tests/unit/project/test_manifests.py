"""What clusters print and documentation shows is served as it is; tests/manifests says what comes of each file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sluice import addresses, names
from sluice.catalogue import build, manifests
from sluice.catalogue.model import Service, ServicePort

FOLDER = Path(__file__).resolve().parents[2] / "manifests"
FILES = sorted(FOLDER.glob("*.yaml"))


def said(text: str, word: str) -> list[str]:
    """The lines ``# word: …`` of a file, sorted."""
    return sorted(re.findall(rf"^# {word}: (.*)$", text, re.MULTILINE))


def programmed(service: Service, port: ServicePort) -> str:
    """The service port, and where its ready endpoints are."""
    ends = sorted(
        addresses.host_port(end.address, offered.port)
        for piece in service.slices
        for offered in piece.ports
        for end in piece.endpoints
        if (offered.name, offered.protocol) == (port.name, port.protocol) and end.ready
    )
    return " ".join([names.display_name(service.namespace, service.name, port.name), *ends])


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_served_as_it_is(file: Path) -> None:
    text = file.read_text()
    objects, faults = manifests.parse([(file.name, text)])
    found, more, _given = build.build(objects)
    # A place in the file, which moves with every edit of it, is no news.
    assert sorted(re.sub(r"^\S+: ", "", str(fault)) for fault in faults + more) == said(text, "says")
    ports = [(service, port) for service in found.services for port in service.ports]
    assert sorted(programmed(service, port) for service, port in ports) == said(text, "programs")
    assert all(service.cluster_ips for service in found.services)
    assert sorted(
        f"node {port.node} {port.host_port} {addresses.host_port(port.addresses[0], port.port)}"
        for port in found.host_ports
    ) == said(text, "host port")


def test_there_are_some() -> None:
    assert FILES
