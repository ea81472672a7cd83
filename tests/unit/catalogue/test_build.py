"""Bad input: each kind of it is one line that says where it stands and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support import endpoint, endpoint_slice, node, service

from sluice import render
from sluice.catalogue import checks, hosts, sources
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
  externalIPs:
  - 198.51.100.1
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
    """One way to spoil GOOD: ``new`` instead of ``old``, and the fault that it makes on the first line of ``new``."""

    old: str
    new: str
    subject: str
    field: str
    message: str
    warning: bool = False


PORT, SAYS = "spec.ports[0]", "metadata.annotations.sluice.io"
CASES = {
    "wrong type: number": Bad("port: 80\n", "port: http\n", WEB, f"{PORT}.port", "must be a whole number, is 'http'"),
    "wrong type: bool": Bad("port: 80\n", "port: true\n", WEB, f"{PORT}.port", "must be a whole number, is true"),
    "wrong type: float": Bad("port: 80\n", "port: 80.0\n", WEB, f"{PORT}.port", "must be a whole number, is 80.0"),
    "wrong type: nan": Bad("port: 80\n", "port: .nan\n", WEB, f"{PORT}.port", "must be a whole number, is nan"),
    "wrong type: base 60": Bad("port: 80\n", "port: 1:20\n", WEB, f"{PORT}.port", "must be a whole number, is '1:20'"),
    "wrong type: string": Bad("name: web\n", "name: 12\n", "Service", "metadata.name", "must be a string, is 12"),
    "wrong type: flag": Bad(
        "conditions: {ready: true}",
        "conditions: {ready: 'true'}",
        WEB_1,
        "endpoints[0].conditions.ready",
        "must be true or false, is 'true'",
    ),
    "scheduler": Bad(
        "sluice.io/scheduler: sh",
        "sluice.io/scheduler: fastest",
        WEB,
        f"{SAYS}/scheduler",
        "must be one of rr, wrr,",
    ),
    "flag of another scheduler": Bad(
        "flags: sh-port", "flags: mh-port", WEB, f"{SAYS}/scheduler-flags", "takes sh-fallback, sh-port, not 'mh-port'"
    ),
    "weight": Bad("weight: 2,", "weight: many,", WEB, f"{SAYS}/weight", "from 0 to 65535, is 'many'"),
    "weight of no address": Bad("2, 10.244.0.1=5", "web-1=5", WEB, f"{SAYS}/weight", "'web-1' is not an IP address"),
    "weight of a slice": Bad('weight: "3"', "weight: -3", WEB_1, f"{SAYS}/weight", "must be text, is -3"),
    "wrong weight of a slice": Bad('weight: "3"', 'weight: "-3"', WEB_1, f"{SAYS}/weight", "is '-3'"),
    "weight of no endpoint": Bad(
        'weight: "3"',
        'weight: "10.244.0.1=3, 10.244.0.7=4"',
        WEB_1,
        f"{SAYS}/weight",
        "10.244.0.7 is none of its endpoints",
        warning=True,
    ),
    "unknown annotation": Bad(
        "sluice.io/weight: 2",
        "sluice.io/weights: 2",
        WEB,
        f"{SAYS}/weights",
        "no such annotation of a Service, did you mean sluice.io/weight?",
        warning=True,
    ),
    "annotation of another kind": Bad(
        'sluice.io/weight: "3"',
        "sluice.io/scheduler: rr",
        WEB_1,
        f"{SAYS}/scheduler",
        "no such annotation of an EndpointSlice",
        warning=True,
    ),
    "wrong type: list": Bad(
        "externalIPs:\n  - 198.51.100.1",
        "externalIPs: 198.51.100.1",
        WEB,
        "spec.externalIPs",
        "must be a list, is '198.51.100.1'",
    ),
    "wrong type: mapping": Bad(
        "- ip: 192.0.2.1", "- 80", WEB, "status.loadBalancer.ingress[0]", "must be a mapping, is 80"
    ),
    "wrong type: label": Bad(
        "kubernetes.io/service-name: web",
        "x: 1\n    kubernetes.io/service-name: web",
        WEB_1,
        "metadata.labels.x",
        "must be text, is 1: put it in quotes",
    ),
    "no port": Bad("    port: 80\n", "", WEB, f"{PORT}.port", "is missing"),
    "unknown protocol": Bad(
        "protocol: TCP", "protocol: tcp", WEB, f"{PORT}.protocol", "'tcp' is not one of TCP, UDP, SCTP"
    ),
    "unknown type": Bad("type: LoadBalancer", "type: LoadBalancers", WEB, "spec.type", "is not one of ClusterIP"),
    "port 0": Bad("port: 80\n", "port: 0\n", WEB, f"{PORT}.port", "0 is not in 1-65535"),
    "port 65536": Bad("port: 80\n", "port: 65536\n", WEB, f"{PORT}.port", "65536 is not in 1-65535"),
    "port -1": Bad("  port: 8080\n", "  port: -1\n", WEB_1, "ports[0].port", "-1 is not in 1-65535"),
    "huge port": Bad("port: 80\n", f"port: {'9' * 90}\n", WEB, f"{PORT}.port", "… (90 characters) is not in 1-65535"),
    "target port": Bad("targetPort: 8080", "targetPort: 70000", WEB, f"{PORT}.targetPort", "70000 is not in 1-65535"),
    "target port name": Bad(
        "targetPort: 8080", "targetPort: a b", WEB, f"{PORT}.targetPort", "neither a port number nor the name"
    ),
    "no address": Bad(
        "- 10.244.0.1", "- 10.244.0.256", WEB_1, "endpoints[0].addresses[0]", "'10.244.0.256' is not an IP address"
    ),
    "address of nobody": Bad("- 10.244.0.1", "- 0.0.0.0", WEB_1, "endpoints[0].addresses[0]", "is not an IP address"),
    "address of oneself": Bad("- 10.244.0.1", "- 127.0.0.1", WEB_1, "endpoints[0].addresses[0]", "is a loopback or"),
    "no addresses": Bad(
        "addresses:\n  - 10.244.0.1\n  nodeName", "nodeName", WEB_1, "endpoints[0].addresses", "is missing"
    ),
    "wrong family": Bad(
        "- 10.244.0.1", "- fd00::1", WEB_1, "endpoints[0].addresses[0]", "'fd00::1' is not an IPv4 address"
    ),
    "cluster IP": Bad("clusterIP: 10.96.0.1", "clusterIP: 10.96.0", WEB, "spec.clusterIP", "is not an IP address"),
    "family of cluster IP": Bad(
        "clusterIP: 10.96.0.1",
        "ipFamilies: [IPv6]\n  clusterIP: 10.96.0.1",
        WEB,
        "spec.ipFamilies[0]",
        "is IPv6, but the cluster IP is 10.96.0.1",
    ),
    "two of one family": Bad(
        "clusterIP: 10.96.0.1",
        "clusterIPs: [10.96.0.1, 10.96.0.9]",
        WEB,
        "spec.clusterIPs",
        "has more than one IPv4 address",
    ),
    "external IP": Bad("- 198.51.100.1", "- example.com", WEB, "spec.externalIPs[0]", "is not an IP address"),
    "LB address": Bad(
        "- ip: 192.0.2.1", "- ip: 192.0.2.", WEB, "status.loadBalancer.ingress[0].ip", "is not an IP address"
    ),
    "LB without address": Bad(
        "- ip: 192.0.2.1", "- {}", WEB, "status.loadBalancer.ingress[0]", "has neither ip nor hostname"
    ),
    "source range": Bad(
        "- 203.0.113.0/24", "- 203.0.113.0", WEB, "spec.loadBalancerSourceRanges[0]", "'203.0.113.0' is not a CIDR"
    ),
    "source range too long": Bad(
        "- 203.0.113.0/24", "- 203.0.113.0/33", WEB, "spec.loadBalancerSourceRanges[0]", "is not a CIDR"
    ),
    "source range with a zone": Bad(
        "- 203.0.113.0/24", "- 'fe80::%x -j ACCEPT/64'", WEB, "spec.loadBalancerSourceRanges[0]", "is not a CIDR"
    ),
    "timeout 0": Bad(
        "timeoutSeconds: 60",
        "timeoutSeconds: 0",
        WEB,
        "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
        "0 is not in 1-86400",
    ),
    "timeout 86401": Bad(
        "timeoutSeconds: 60",
        "timeoutSeconds: 86401",
        WEB,
        "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
        "86401 is not in 1-86400",
    ),
    "node port out of range": Bad(
        "nodePort: 30080", "nodePort: 8080", WEB, f"{PORT}.nodePort", "8080 is not in the range of node ports 30000-327"
    ),
    "same address and port": Bad(
        "clusterIP: 10.96.0.2",
        "clusterIP: 10.96.0.1",
        "Service shop/other",
        "spec.clusterIP",
        "10.96.0.1:80/TCP is Service shop/web's as well (catalogue.yml:4)",
    ),
    "external address of another": Bad(
        "clusterIP: 10.96.0.2",
        "externalIPs: [192.0.2.1]\n  clusterIP: 10.96.0.2",
        "Service shop/other",
        "spec.externalIPs[0]",
        "192.0.2.1:80/TCP is Service shop/web's as well",
    ),
    "same node port": Bad(
        "  - port: 80\n",
        "  - nodePort: 30080\n    port: 80\n",
        "Service shop/other",
        f"{PORT}.nodePort",
        "node port 30080/TCP is Service shop/web's as well (catalogue.yml:4)",
    ),
    "one port twice": Bad(
        "  - port: 80\n",
        "  - {name: a, port: 80}\n  - {name: b, port: 80}\n",
        "Service shop/other",
        "spec.ports[1].port",
        "80/TCP is there twice",
    ),
    "one port name twice": Bad(
        "  - port: 80\n",
        "  - {port: 80}\n  - {port: 81}\n",
        "Service shop/other",
        "spec.ports[1].name",
        "two TCP ports have the name ''",
    ),
    "no ports": Bad(
        "ports:\n  - port: 80\n", "ports: []\n", "Service shop/other", "spec.ports", "a Service needs a port"
    ),
    "name": Bad("name: web\n", "name: Web\n", "Service shop/Web", "metadata.name", "'Web' is not a DNS label"),
    "no name": Bad("  name: other\n", "", "Service shop", "metadata.name", "is missing"),
    "namespace": Bad(
        "namespace: shop\n  annotations",
        "namespace: a/b\n  annotations",
        "Service a/b/web",
        "metadata.namespace",
        "'a/b' is not a DNS label",
    ),
    "port name": Bad("- name: http\n    port", "- name: h_p\n    port", WEB, f"{PORT}.name", "is not a DNS label"),
    "node name": Bad(
        "nodeName: node1\n  cond", "nodeName: a b\n  cond", WEB_1, "endpoints[0].nodeName", "'a b' is not a"
    ),
    "slice for no Service": Bad(
        "kubernetes.io/service-name: web",
        "kubernetes.io/service-name: wob",
        WEB_1,
        "metadata.labels.kubernetes.io/service-name",
        "there is no Service shop/wob",
    ),
    "slice without a Service": Bad(
        "labels:\n    kubernetes.io/service-name: web",
        "labels: {}",
        WEB_1,
        "metadata.labels.kubernetes.io/service-name",
        "is missing: it names the Service",
    ),
    "port that no slice has": Bad(
        "- name: http\n    port",
        "- name: web\n    port",
        WEB,
        f"{PORT}.name",
        "no EndpointSlice has a port named 'web'",
    ),
    "protocol that no slice has": Bad(
        "protocol: TCP\n    nodePort",
        "protocol: UDP\n    nodePort",
        WEB,
        f"{PORT}.name",
        "no EndpointSlice has a UDP port named 'http'",
        warning=True,
    ),
    "declared twice": Bad(
        "name: other", "name: web", WEB, "metadata.name", "is declared a second time, first at catalogue.yml:4"
    ),
    "LB address of a node": Bad(
        "- ip: 192.0.2.1",
        "- ip: 10.0.0.10",
        WEB,
        "status.loadBalancer.ingress[0].ip",
        "10.0.0.10 is a node's own address",
        warning=True,
    ),
    "unknown kind": Bad(
        "kind: Pod", "kind: Ingress", "", "kind", "v1 Ingress is not a kind that Sluice knows", warning=True
    ),
    "no kind": Bad("kind: Pod\n", "", "", "kind", "is missing"),
    "no clusterIP": Bad(
        "clusterIP: 10.96.0.2\n  ports",
        "ports",
        "Service shop/other",
        "spec",
        "has no clusterIP: it programs no rules",
        warning=True,
    ),
    "host port": Bad(
        "hostPort: 9100", "hostPort: 99999", AGENT, "spec.containers[0].ports[0].hostPort", "is not in 1-"
    ),
    "host IP": Bad(
        "hostPort: 9100",
        "hostIP: here\n      hostPort: 9100",
        AGENT,
        "spec.containers[0].ports[0].hostIP",
        "is not an IP address",
    ),
    "host port of no node": Bad(
        "  nodeName: node1\n  containers", "  containers", AGENT, "spec.nodeName", "is missing"
    ),
    "host port of no address": Bad("podIP: 10.244.0.9", "{}", AGENT, "status.podIP", "is missing: a host port leads"),
    "uid": Bad("uid: 6b3a-1", 'uid: "a\\nb"', AGENT, "metadata.uid", "'a\\nb' is not a uid"),
    "key twice": Bad(
        "clusterIP: 10.96.0.2",
        "clusterIP: 10.96.0.2\n  clusterIP: 10.96.0.3",
        "",
        "",
        "YAML syntax: the key 'clusterIP' is there twice",
    ),
    "YAML syntax": Bad("  - port: 80\n", "  - port: [80\n", "", "", "YAML syntax: "),
    "unknown tag": Bad("port: 80\n", "port: !!python/name:os.system 80\n", "", "", "YAML syntax: the tag "),
}
LINES = {  # where the fault is not on the line that is new: what is missing is missing from what is around it
    "no port": "  - name: http",
    "no addresses": "- nodeName: node1",
    "no name": "metadata:\n  namespace: shop\nspec:\n  clusterIP: 10.96.0.2",
    "namespace": "  namespace: a/b",
    "two of one family": "  clusterIPs",
    "no kind": "apiVersion: v1\nmetadata:\n  name: agent",
    "no clusterIP": "spec:\n  ports",
    "host port of no node": "spec:\n  containers",
    "host port of no address": "status:\n  {}",
    "protocol that no slice has": "  - name: http\n    port: 80\n    protocol: UDP",
    "cluster IP": "  clusterIP: 10.96.0\n",
    "slice without a Service": "  labels: {}",
    "same address and port": "  clusterIP: 10.96.0.1\n  ports",
    "one port twice": "  - {name: b",
    "one port name twice": "  - {port: 81}",
    "key twice": "  clusterIP: 10.96.0.3",
    "YAML syntax": "---\napiVersion: v1\nkind: Pod",
    "declared twice": "  name: web\n  namespace: shop\nspec:\n  clusterIP: 10.96.0.2",
}


def build(folder: Path, text: str, **variables: Any) -> list[Fault]:
    """All faults of a file with this text."""
    path = folder / "catalogue.yml"
    path.write_text(text)
    checks = render.checks_for([node(**variables)])
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


def test_good_input_has_no_fault(tmp_path: Path) -> None:
    assert build(tmp_path, GOOD) == []


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str, tmp_path: Path) -> None:
    bad = CASES[name]
    assert bad.old in GOOD
    text = GOOD.replace(bad.old, bad.new, 1)
    faults = build(tmp_path, text)
    (fault,) = [fault for fault in faults if (fault.subject, fault.field) == (bad.subject, bad.field)]
    assert bad.message in fault.message
    assert fault.file == "catalogue.yml"
    assert fault.warning == bad.warning
    # A Service that cannot be read leaves its slice without one; nothing else follows from one fault.
    assert all("there is no Service shop/web" in other.message for other in faults if other is not fault)
    assert fault.line == line_of(text, LINES.get(name, bad.new)), text.splitlines()[fault.line - 1]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, ""),
        ({"ipvs_scheduler": "mh"}, ""),
        ({"backend": "ipvs"}, "scheduler rr takes none, not 'sh-port'"),
        ({"backend": "ipvs", "ipvs_scheduler": "mh"}, "scheduler mh takes mh-fallback, mh-port, not 'sh-port'"),
        ({"backend": "ipvs", "ipvs_scheduler": "sh"}, ""),
    ],
)
def test_flags_are_for_the_scheduler_of_the_nodes(variables: dict[str, Any], message: str, tmp_path: Path) -> None:
    """A Service that names no scheduler has that of each node, if the node has one."""
    faults = build(tmp_path, GOOD.replace("    sluice.io/scheduler: sh\n", ""), **variables)
    assert [fault.message for fault in faults] == [message] * bool(message)


def test_every_service_s_annotations_are_checked(tmp_path: Path) -> None:
    """Those of Services that program no rules as well."""
    said = "  annotations: {sluice.io/weight: x}\nspec:\n"
    for spec in ("  type: ExternalName\n  externalName: a.example.com", "  clusterIP: None"):
        text = f"apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n{said}{spec}\n"
        assert [(fault.line, fault.field) for fault in build(tmp_path, text)] == [(5, f"{SAYS}/weight")]


def test_weights_of_slices_and_endpoints() -> None:
    one, two = (
        {**entry, "metadata": {**entry["metadata"], "annotations": {"sluice.io/weight": weight}}}
        for entry, weight in (
            (endpoint_slice("10.244.1.10", "10.244.1.11", name="a"), "2"),
            (endpoint_slice("10.244.1.12", "10.244.1.13", name="b"), "4, 10.244.1.13=0"),
        )
    )
    plain = endpoint_slice("10.244.1.14", name="c")
    older = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "old", "namespace": "shop", "annotations": {"sluice.io/weight": "10.244.2.1=6"}},
        "subsets": [{"addresses": [{"ip": "10.244.2.1"}, {"ip": "10.244.2.2"}], "ports": [{"port": 8080}]}],
    }
    objects = [service(), one, two, plain, service("old", ip="10.96.0.2"), older]
    found, faults = sources.catalogue_of(sources.read([], objects), (), render.checks_for([]))
    assert not faults
    weights = {end.address: end.weight for of in found.services for piece in of.slices for end in piece.endpoints}
    assert weights == {
        "10.244.1.10": 2,
        "10.244.1.11": 2,
        "10.244.1.12": 4,
        "10.244.1.13": 0,
        "10.244.1.14": None,
        "10.244.2.1": 6,
        "10.244.2.2": None,
    }


def test_all_faults_in_one_run(tmp_path: Path) -> None:
    text = GOOD
    for name in ("port 0", "no address", "unknown type", "uid", "declared twice", "unknown tag"):
        text = text.replace(CASES[name].old, CASES[name].new, 1)
    messages = "\n".join(map(str, build(tmp_path, text + "---\n[\n---\n- 1\n")))
    for said in ("0 is not in 1-65535", "10.244.0.256", "LoadBalancers", "not a uid", "the tag", "must be an object"):
        assert said in messages


def test_a_fault_is_one_line() -> None:
    fault = Fault("a\nb", 1, "Service \x1b[31m", "x\r", "\u2028 é \ud800")
    assert str(fault) == "a\\nb:1: Service \\x1b[31m: x\\r: \\u2028 é \\ud800"


def test_unknown_kind_is_one_warning(tmp_path: Path) -> None:
    several = "".join(f"---\napiVersion: x/v1\nkind: Foo\nmetadata: {{name: a{n}}}\n" for n in range(3))
    (fault,) = build(tmp_path, GOOD + several)
    assert fault.warning
    assert fault.line == line_of(GOOD + several, "---\napiVersion: x/v1\nkind: Foo\nmetadata: {name: a0}") + 2


def test_empty_catalogue_is_fine(tmp_path: Path) -> None:
    assert build(tmp_path, "") == []
    assert build(tmp_path, "# nothing\n---\n...\n---\nnull\n") == []


def test_long_comment_header_is_read_at_once(tmp_path: Path) -> None:
    """A regular expression that can match a line of # in more than one way takes for ever."""
    assert build(tmp_path, "#" * 5000 + "\n" + "%" * 5000 + "\n" + " " * 5000 + "\n---\n" + GOOD) == []


def test_place_of_an_item_of_a_list(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: A\n"
    faults = build(tmp_path, text + "  spec: {ports: [{port: 1}]}\n")
    assert [(fault.line, fault.field) for fault in faults if not fault.warning] == [(7, "metadata.name")]


def test_lists_within_lists_are_no_objects(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: List, items: []}\n"
    (fault,) = build(tmp_path, text)
    assert "v1 List is not a kind" in fault.message


@pytest.mark.parametrize(
    ("host", "field"),
    [
        ({"name": "a", "endpoint_ip": "nowhere"}, "sluice_endpoint_ip"),
        ({"name": "a", "endpoint_ip": "127.0.0.1"}, "sluice_endpoint_ip"),
        ({"name": "a", "endpoint_ip": "10.0.0.1", "labels": "web"}, "sluice_labels"),
        ({"name": "a", "endpoint_ip": "10.0.0.1", "ports": {"http": 0}}, "sluice_ports"),
        ({"name": "a", "endpoint_ip": "10.0.0.1", "ports": {"http": True}}, "sluice_ports"),
        ({"name": "a", "endpoint_ip": "10.0.0.1", "ready": "no"}, "sluice_ready"),
        ({"name": "a", "endpoint_ip": "10.0.0.1", "weight": -1}, "sluice_weight"),
        ("a", ""),
    ],
)
def test_bad_inventory_host(host: Any, field: str) -> None:
    good = {"name": "b", "endpoint_ip": "10.0.0.2"}
    with pytest.raises(InputError) as caught:
        hosts.endpoint_hosts([good, host, good])
    (fault,) = caught.value.faults
    assert (fault.file, fault.field) == ("inventory", field)


@pytest.mark.parametrize("hosts", ["abc", {"a": 1}, 3, [None]])
def test_inventory_hosts_that_are_no_list(hosts: Any) -> None:
    with pytest.raises(InputError):
        sources.catalogue_of(sources.read([]), hosts, render.checks_for([]))


def test_hosts_become_endpoints_by_selector() -> None:
    hosts = [
        {"name": "a", "labels": {"app": "web"}, "endpoint_ip": ["10.0.0.1", "fd00::1"], "ports": {"http": 8080}},
        {"name": "b", "labels": {"app": "web"}, "endpoint_ip": "10.0.0.2", "ports": {"http": 81}, "ready": False},
        {"name": "c", "labels": {"app": "db"}, "endpoint_ip": "10.0.0.3"},
        {"name": "d", "labels": {"app": "web"}, "endpoint_ip": "10.0.0.4"},
    ]
    web = service(selector={"app": "web"}, ports=[{"port": 80, "targetPort": "http"}])
    found, faults = sources.catalogue_of(sources.read([], [web]), hosts, render.checks_for([]))
    ends = {
        (end.address, port.port, end.node, end.ready)
        for piece in found.services[0].slices
        for port in piece.ports
        for end in piece.endpoints
    }
    assert ends == {("10.0.0.1", 8080, "a", True), ("fd00::1", 8080, "a", True), ("10.0.0.2", 81, "b", False)}
    (warning,) = faults
    assert "host d has no port 'http'" in warning.message


def test_slices_win_over_the_selector() -> None:
    hosts = [{"name": "a", "labels": {"app": "web"}, "endpoint_ip": "10.0.0.1"}]
    objects = [service(selector={"app": "web"}), endpoint_slice("10.244.0.1")]
    found, _ = sources.catalogue_of(sources.read([], objects), hosts, render.checks_for([]))
    assert [end.address for piece in found.services[0].slices for end in piece.endpoints] == ["10.244.0.1"]


def test_beta_slices_name_their_node_by_topology() -> None:
    beta = endpoint_slice({**endpoint("10.244.0.1", ""), "topology": {"kubernetes.io/hostname": "node7"}})
    beta["apiVersion"] = "discovery.k8s.io/v1beta1"
    found, faults = sources.catalogue_of(sources.read([], [service(), beta]), (), checks.NO_CHECKS)
    assert not faults
    assert found.services[0].slices[0].endpoints[0].node == "node7"


def pod(name: str, *ports: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"nodeName": "node1", "containers": [{"ports": list(ports)}]},
        "status": {"podIP": "10.244.0.9"},
    }


@pytest.mark.parametrize(
    ("pods", "message"),
    [
        (
            [pod("a", {"containerPort": 1, "hostPort": 1234}), pod("a1", {"containerPort": 1, "hostPort": 234})],
            "has the same chain as one of Pod shop/a",
        ),
        (
            [
                pod(
                    "a",
                    {"containerPort": 1, "hostPort": 80, "hostIP": "10.0.0.1"},
                    {"containerPort": 2, "hostPort": 80, "hostIP": "10.0.0.2"},
                )
            ],
            "has the same chain as one of Pod shop/a",
        ),
        (
            [pod("a", {"containerPort": 1, "hostPort": 80}), pod("b", {"containerPort": 1, "hostPort": 80})],
            "host port 80/TCP on node node1 is Pod shop/a's as well",
        ),
    ],
)
def test_host_ports_that_cannot_be_told_apart(pods: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError) as caught:
        sources.catalogue_of(sources.read([], pods), (), checks.NO_CHECKS)
    (fault,) = caught.value.faults
    assert message in fault.message
