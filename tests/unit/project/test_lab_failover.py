"""The deaths that the lab shows: of a Service that has a check, and where they can be caused."""

from __future__ import annotations

import failover
import topology
import traffic
import yaml


def test_deaths_are_of_a_service_with_a_check() -> None:
    hosts = topology.read_hosts(topology.INVENTORY)
    to = next(row for row in traffic.read_expectations(traffic.EXPECTATIONS, "") if row.service == failover.SERVICE)
    found = failover.deaths(hosts, dict.fromkeys(hosts, 1), to.answers)
    dying = [death.endpoint for death in found]
    assert len({host.name for host in dying}) == 2
    assert {host.name for host in dying} <= set(to.answers)
    # Also where load balancers are virtual machines, whose namespaces no link of an endpoint ends in.
    assert {topology.carriers(hosts)[host.network].name for host in dying} == {"router"}
    manifests = yaml.safe_load_all((topology.INVENTORY.parent / "services/shop.yml").read_text(encoding="utf-8"))
    annotated = {each["metadata"]["name"]: each["metadata"].get("annotations", {}) for each in manifests}
    assert "sluice.io/health-check" in annotated[failover.SERVICE.removeprefix("shop/")]
