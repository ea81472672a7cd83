"""Manifests for tests, the engine in one call, and rules to compare."""

from __future__ import annotations

import re
import subprocess
from typing import Any

from sluice import addresses, render, settings, view
from sluice.backends.interface import Memo
from sluice.backends.iptables import rules as iptables_rules
from sluice.backends.iptables import text as ruleset
from sluice.backends.ipvs import rules as ipvs_rules
from sluice.catalogue import sources
from sluice.catalogue.model import Catalogue

NODE = {"sluice_node_name": "node1", "sluice_node_addresses": ["10.0.0.10", "127.0.0.1", "fd00:10::10", "::1"]}
"""The node that tests look from."""


def service(name: str = "web", *, ip: str | list[str] = "10.96.0.1", ports: Any = None, **spec: Any) -> dict[str, Any]:
    """A Service in namespace ``shop``, one TCP port 80 where ``ports`` does not say otherwise.

    ``ingress`` (addresses) goes to its status, ``labels`` and ``annotations`` to its metadata.
    """
    ips = [ip] if isinstance(ip, str) else ip
    metadata = {"name": name, "namespace": "shop"}
    metadata |= {key: spec.pop(key) for key in ("labels", "annotations") if key in spec}
    ingress = spec.pop("ingress", [])
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"clusterIP": ips[0], "clusterIPs": ips, "ports": ports or [{"port": 80, "targetPort": 8080}], **spec},
        "status": {"loadBalancer": {"ingress": [{"ip": entry} for entry in ingress]}},
    }


def endpoint(address: str, node: str = "node2", **more: Any) -> dict[str, Any]:
    """An endpoint. ``ready``, ``serving`` and ``terminating`` are its conditions; ``zones`` and ``nodes`` its hints."""
    conditions = {key: more[key] for key in ("ready", "serving", "terminating") if key in more}
    hints = {
        key: [{"name": entry} for entry in more[word]]
        for word, key in (("zones", "forZones"), ("nodes", "forNodes"))
        if word in more
    }
    return {"addresses": [address], "nodeName": node, "conditions": conditions, "hints": hints}


def endpoint_slice(
    *endpoints: dict[str, Any] | str, of: str = "web", name: str = "", ports: Any = None, family: str = addresses.IPV4
) -> dict[str, Any]:
    """A slice of the Service ``of``; an endpoint may be a mere address."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name or f"{of}-{family.lower()}",
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": of},
        },
        "addressType": family,
        "ports": ports or [{"name": "", "port": 8080, "protocol": "TCP"}],
        "endpoints": [endpoint(entry) if isinstance(entry, str) else entry for entry in endpoints],
    }


def node(**variables: Any) -> settings.Settings:
    """The settings of the tests' node, with ``variables`` (without their prefix) besides."""
    given = {**NODE, **{f"sluice_{key}": value for key, value in variables.items()}}
    found, warnings = settings.from_variables(given)
    assert not warnings
    return found


def catalogue(*objects: dict[str, Any], hosts: Any = ()) -> Catalogue:
    """The catalogue of ``objects``; warnings are of no interest."""
    return sources.catalogue_of(sources.read([], objects), hosts, render.checks_for([]))[0]


def rule_set(found: Catalogue, own: settings.Settings, family: str) -> ruleset.RuleSet:
    """The iptables rule set of one node in one family, as its builder made it."""
    seen = view.view(found, own, family)
    if own.backend == "ipvs":
        return ipvs_rules.state(seen, own, guard=own.ipvs_guard).rules
    return ruleset.parse(iptables_rules.rules(seen, own, Memo()))


def rendered(found: Catalogue, own: settings.Settings) -> dict[str, str]:
    """All files of one node."""
    return render.render(render.views(found, own), own)


def rules(*objects: dict[str, Any], family: str = addresses.IPV4, **variables: Any) -> ruleset.RuleSet:
    """The rule set of ``objects`` on the tests' node."""
    return rule_set(catalogue(*objects), node(**variables), family)


def ipvs_state(
    *objects: dict[str, Any], family: str = addresses.IPV4, guard: bool = False, **variables: Any
) -> ipvs_rules.IpvsState:
    """What ``objects`` want on the tests' node in IPVS mode."""
    own = node(**variables)
    return ipvs_rules.state(view.view(catalogue(*objects), own, family), own, guard=guard)


def with_former_names(text: str) -> str:
    """Rules of the prefix dispatch as an earlier Sluice wrote them: only the names of its chains were others."""
    return re.sub(r"KUBE-SVC-PFX-([A-Z2-7]{15})", r"KUBE-PFX-A\1", text)


def in_a_namespace(script: str, text: str = "", **variables: str) -> str:
    """What a shell script prints in an empty network namespace; ``text`` is its input.

    The tools of iptables-legacy lock a file below /run, which has to be of that namespace as well.
    """
    result = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-ec", f"mount -t tmpfs none /run\n{script}"],
        input=text,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def rules_by_chain(text: str) -> dict[tuple[str, str], list[str]]:
    """Every chain of an iptables-save text that has rules or is ours, and its rules; their order counts in a chain."""
    return {
        (table, chain): rules
        for table, chains in ruleset.parse(text).items()
        for chain, rules in chains.items()
        if rules or chain not in ruleset.BUILT_IN[table]
    }
