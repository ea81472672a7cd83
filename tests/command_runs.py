"""A run of the ``sluice`` command as a process, and manifests to give it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{clusterIP: {ip}, ports: [{{port: 80}}]}}
"""

GOOD = SERVICE.format(name="web", ip="10.96.0.1")

LISTED = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {app: web}, annotations: {sluice.io/weight: "2"}}
spec:
  type: NodePort
  clusterIP: 10.96.0.10
  selector: {app: wéb}
  ports: [{name: http, port: 80, targetPort: 8080, nodePort: 30080}]
---
apiVersion: v1
kind: Service
metadata: {name: dns, creationTimestamp: "2020-01-01T00:00:00Z"}
spec: {clusterIP: 10.96.0.2, ports: [{port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: web, namespace: shop}
subsets: [{addresses: [{ip: 192.0.2.21}, {ip: 192.0.2.22}], ports: [{name: http, port: 8080}]}]
---
apiVersion: v1
kind: Node
metadata: {name: lb1}
status: {conditions: [{type: Ready, status: "True"}]}
"""


class Ran:
    """What a run of the command gave. ``errors`` are the lines on stderr."""

    def __init__(self, *words: object, memory: int = 0, encoding: str = "utf-8") -> None:
        limit = ["prlimit", f"--as={memory}"] if memory else []
        result = subprocess.run(
            [*limit, sys.executable, "-m", "sluice", *map(str, words)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "module_utils"), "PYTHONIOENCODING": encoding},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.code = result.returncode
        self.output = result.stdout
        self.errors = result.stderr.splitlines()
        assert "Traceback" not in result.stderr, result.stderr
