"""A good catalogue, and what its reader says where one thing in it is bad."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from support import node

from sluice import render
from sluice.catalogue import sources
from sluice.faults import Fault, InputError

SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  annotations:
    sluice.io/scheduler: sh
    sluice.io/scheduler-flags: sh-port
    sluice.io/weight: 2, 10.244.0.1=5
    example.com/other: "x"
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.1
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}
  loadBalancerSourceRanges:
  - 203.0.113.0/24
  ports:
  - name: http
    port: 80
    protocol: TCP
    nodePort: 30080
    targetPort: 8080
status:
  loadBalancer:
    ingress:
    - ip: 192.0.2.1
"""
SLICE = """\
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-1
  namespace: shop
  labels:
    kubernetes.io/service-name: web
  annotations:
    sluice.io/weight: "3"
addressType: IPv4
ports:
- name: http
  port: 8080
endpoints:
- addresses:
  - 10.244.0.1
  nodeName: node1
  conditions: {ready: true}
"""
OTHER = """\
---
apiVersion: v1
kind: Service
metadata:
  name: other
  namespace: shop
spec:
  externalIPs:
  - 198.51.100.1
  clusterIP: 10.96.0.2
  ports:
  - port: 80
"""
POD = """\
---
apiVersion: v1
kind: Pod
metadata:
  name: agent
  namespace: shop
  uid: 6b3a-1
spec:
  nodeName: node1
  containers:
  - name: agent
    ports:
    - containerPort: 9100
      hostPort: 9100
status:
  podIP: 10.244.0.9
"""
GOOD = SERVICE + SLICE + OTHER + POD
WEB, WEB_1, AGENT = "Service shop/web", "EndpointSlice shop/web-1", "Pod shop/agent"


class Bad(NamedTuple):
    """One way to spoil GOOD: ``new`` instead of ``old``, and the fault that it makes.

    The fault is on the first line of ``new``, or of ``line``: what is missing is missing from what is around it.
    """

    old: str
    new: str
    subject: str
    field: str
    message: str
    warning: bool = False
    line: str = ""


PORT, SAYS = "spec.ports[0]", "metadata.annotations.sluice.io"


def build(folder: Path, text: str, **variables: Any) -> list[Fault]:
    """All faults of a file with this text."""
    path = folder / "catalogue.yml"
    path.write_text(text)
    checks = render.checks_for([node(**{"affinity_clients": 5000, **variables})])
    try:
        _, faults = sources.catalogue_of(sources.read([str(path)]), (), checks)
    except InputError as error:
        faults = error.faults
    return [
        fault._replace(file=Path(fault.file).name, message=fault.message.replace(f"{folder}/", "")) for fault in faults
    ]


def line_of(text: str, piece: str) -> int:
    assert text.count(piece) == 1, piece
    return text.count("\n", 0, text.index(piece)) + 1


def check(bad: Bad, folder: Path) -> None:
    """What GOOD has to say for itself with ``bad`` in it: one fault, in its place, and nothing that follows from it."""
    assert bad.old in GOOD
    text = GOOD.replace(bad.old, bad.new, 1)
    faults = build(folder, text)
    (fault,) = [fault for fault in faults if (fault.subject, fault.field) == (bad.subject, bad.field)]
    assert bad.message in fault.message
    assert fault.file == "catalogue.yml"
    assert fault.warning == bad.warning
    # A Service that cannot be read leaves its slice without one; nothing else follows from one fault.
    assert all("no Service shop/web" in other.message for other in faults if other is not fault)
    assert fault.line == line_of(text, bad.line or bad.new), text.splitlines()[fault.line - 1]
