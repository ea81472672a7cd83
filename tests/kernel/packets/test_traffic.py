"""What the kernel counts goes up by what was sent, by Service and by endpoint, whatever the rules are."""

from __future__ import annotations

import collections
import json
from typing import Any

import cases
import hosts
import load
import pytest
import support
from prometheus_client.parser import text_string_to_metric_families

from sluice import render
from sluice.addresses import IPV4, IPV6, host_port
from sluice.backends.iptables.kernel import VARIANTS
from sluice.catalogue import compiled, sources
from sluice.node import files, traffic

WEB, DNS = cases.Service(1, node_port=30001), cases.Service(2, protocol="UDP", node_port=30002)
QUIET = cases.Service(3)


def contents(plane: str, *services: cases.Service, **more: Any) -> dict[str, str]:
    own = support.node(ip_families=[IPV4, IPV6], **cases.settings_of(plane), **more)
    found = support.catalogue(*(each for service in services for each in service.objects(both=True)))
    return render.render(render.views(found, own), own, compiled.text(found))


def put(node: hosts.Node, texts: dict[str, str]) -> None:
    node.write(texts)
    node.sluice("apply", "--force")


def counted(node: hosts.Node) -> dict[str, tuple[int, dict[str, int]]]:
    """How many connections went to each Service so far, and to its endpoints: the kernel has counted from nothing."""

    def read() -> dict[str, tuple[int, dict[str, int]]]:
        found = traffic.by_service(sources.compiled(f"{files.DIRECTORY}/{files.CATALOGUE_FILE}"), traffic.read())
        return {
            port.service: (
                counted.total.connections,
                {where: count.connections for where, count in counted.endpoints.items() if count.connections},
            )
            for port, counted in found.items()
        }

    return node.call(read)


def of_services_alone() -> bool:
    """Whether it is the same of Services where endpoints are not asked for, which reads other chains or none."""
    whole, entries = traffic.read(), traffic.read(endpoints=False)
    return [each.entries for each in whole] == [each.entries for each in entries]


KINDS = [
    *((plane, {}) for plane in cases.PLANES),
    *((variant, more) for variant in VARIANTS for more in ({"compat": "1.20"}, {"iptables_dispatch": "prefix"})),
]


@pytest.mark.parametrize(("plane", "more"), KINDS, ids=str)
def test_it_counts_what_was_sent(plane: str, more: dict[str, Any], network: load.Network) -> None:
    node = network.node
    network.serve([WEB, DNS])
    put(node, contents(plane, WEB, DNS, QUIET, **more))
    answers = collections.Counter(network.ask(WEB.address, 80) for _turn in range(5))
    answers.update(network.ask(cases.mapped(WEB.address), 80) for _turn in range(3))
    answers.update(network.ask(cases.NODE_ADDRESS, 30001) for _turn in range(2))
    network.ask(cases.NODE_ADDRESS, 30002, "UDP")
    found = counted(node)
    assert {name: total for name, (total, _ends) in found.items()} == {"s1": 10, "s2": 1, "s3": 0}
    if plane == "nftables":
        assert found["s1"][1] == {}, "it counts by address alone"
    else:
        said = {host_port(answer.split()[0], int(answer.split()[1])): count for answer, count in answers.items()}
        assert found["s1"][1] == said
    assert node.call(of_services_alone)
    # A change of another Service is nothing to count from anew.
    put(node, contents(plane, WEB, DNS, QUIET._replace(endpoints=cases.PODS[:4]), cases.Service(4), **more))
    network.ask(WEB.address, 80)
    assert counted(node)["s1"][0] == 11


def test_sluice_top(plane: str, network: load.Network) -> None:
    node = network.node
    network.serve([WEB])
    put(node, contents(plane, WEB, QUIET))
    asking = network.client.start(lambda: load.request([(WEB.address, WEB.target_port)], rate=50, held=0))
    done = node.sluice("top", "--once", "--json", "--interval", "1")
    web, quiet = json.loads(done.stdout)["services"]
    assert web["connections"] > 0
    assert web["packets_in"] == web["connections"]
    assert web["bytes_in"] == 60 * web["connections"], "a SYN of Linux has 60 bytes"
    assert (web["packets_out"], web["packets_counted"]) == (None, "first")
    assert (quiet["service"], quiet["connections"]) == ("s3", 0)
    if plane != "nftables":
        assert sum(each["connections"] for each in web["endpoints"]) == web["connections"]
    table = node.sluice("top", "--interval", "0.5").stdout
    assert [line.split()[0] for line in table.splitlines()[:2]] == ["SERVICE", "shop/s1"]
    asking.stop()


def test_a_file_for_node_exporter(plane: str, network: load.Network) -> None:
    """As the node's timer writes it, over one that is there."""
    node = network.node
    network.serve([WEB])
    put(node, contents(plane, WEB, QUIET._replace(endpoints=())))
    for _turn in range(4):
        network.ask(WEB.address, 80)
    file = "/run/sluice.prom"
    for _turn in range(2):
        node.sluice("status", "--metrics", "--out", file)
    families = text_string_to_metric_families(node.run("cat", file).stdout)
    found = {(sample.name, sample.labels.get("service")): sample.value for each in families for sample in each.samples}
    assert found["sluice_service_connections_total", "s1"] == 4
    assert found["sluice_service_packets_total", "s1"] == 4
    assert found["sluice_service_bytes_total", "s1"] == 240
    assert found["sluice_service_without_ready_endpoints", "s3"] == 1
    assert found["sluice_drift_lines", None] == 0
    assert node.run("stat", "-c", "%a", file).stdout == "644\n"
    assert node.sluice("status", "--out", file, check=False).returncode == 2
