"""What a Service's annotation says of its health check, by itself or by a Pod's readinessProbe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bad_input import build
from hypothesis import given
from hypothesis import strategies as st
from support import node, service

from sluice import render
from sluice.catalogue import build as catalogue_build
from sluice.catalogue import manifests, sources
from sluice.faults import Fault, InputError
from sluice.settings import from_variables

KEY = "sluice.io/health-check"
WEB, POD, PROBE = "Service shop/web", "Pod shop/web-0", "spec.containers[0].readinessProbe"
SAYS = f"metadata.annotations.{KEY}"
PORTS = [{"name": "http", "containerPort": 8080}, {"name": "https", "containerPort": 8443}]
OTHERS = "httpGet, tcpSocket or grpc"
NUMBERS = {"periodSeconds": 10, "retryMilliseconds": 10000, "successThreshold": 1}
"""What a readinessProbe that says nothing of them comes to, without what is Sluice's default as well."""


def pod(probe: Any, *, sidecar: Any = None, **status: Any) -> dict[str, Any]:
    """A Pod of which nothing is known but its containers, as those that are only pointed to."""
    spec: dict[str, Any] = {"containers": [{"name": "web", "ports": PORTS, "readinessProbe": probe}]}
    if sidecar is not None:
        spec["initContainers"] = [
            {"name": "once", "readinessProbe": {"exec": {"command": ["/bin/true"]}}},
            {"name": "log", "restartPolicy": "Always", "readinessProbe": sidecar},
        ]
    metadata = {"name": "web-0", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def checked(said: Any) -> dict[str, Any]:
    return service(annotations={KEY: said if isinstance(said, str) else json.dumps(said)})


def read(*objects: dict[str, Any]) -> tuple[dict[str, Any] | None, list[Fault]]:
    """The check of the first Service, and what there is to say of the ``objects``, warnings included."""
    try:
        found, faults = sources.catalogue_of(sources.read([], objects), (), render.checks_for([node()]))
    except InputError as error:
        return None, error.faults
    text = dict(found.services[0].annotations).get("health-check", "null")
    return json.loads(text), faults


def pointed(probe: Any, reference: Any = None, **said: Any) -> tuple[dict[str, Any] | None, list[Fault]]:
    return read(checked({"readinessProbe": reference or {"pod": "web-0"}, **said}), pod(probe))


def said(faults: list[Fault]) -> list[tuple[str, str, str]]:
    return [(fault.subject, fault.field, fault.message) for fault in faults]


def test_what_is_said_is_json_of_one_form() -> None:
    text = "periodSeconds: 5\nhttpGet: {path: /healthz, port: 8080}\nexpect: {status: 204}"
    assert read(checked(text)) == ({"httpGet": {"path": "/healthz", "port": 8080}, "expect": {"status": "204"}}, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("httpGet: {", "YAML syntax:"),
        ("tcpSocket: {}\n---\ntcpSocket: {}", "must be one mapping"),
        ("[]", "must be a mapping, is a list"),
        ("tcpSocket: {prot: 1}", "tcpSocket.prot: there is no such field; did you mean port?"),
    ],
)
def test_faults_are_of_the_annotation(text: str, message: str) -> None:
    found, ((subject, field, told),) = read(checked(text))[0], said(read(checked(text))[1])
    assert (found, subject, field) == (None, WEB, SAYS)
    assert told.startswith(message)


@pytest.mark.parametrize(
    ("probe", "kind"),
    [
        ({"httpGet": {"port": 8080}}, {"httpGet": {"port": 8080}}),
        ({"httpGet": {"path": "", "port": "http", "scheme": ""}}, {"httpGet": {"port": 8080}}),
        ({"httpGet": {"path": "ready?full", "port": "http"}}, {"httpGet": {"path": "/ready?full", "port": 8080}}),
        (
            {"httpGet": {"port": 8080, "httpHeaders": [{"name": "Host", "value": "shop.example"}]}},
            {"httpGet": {"port": 8080, "httpHeaders": [{"name": "Host", "value": "shop.example"}]}},
        ),
        ({"tcpSocket": {"port": "https"}, "exec": None}, {"tcpSocket": {"port": 8443}}),
        ({"grpc": {"port": 9000, "service": None}}, {"grpc": {"port": 9000}}),
        ({"grpc": {"port": 9000, "service": "shop"}}, {"grpc": {"port": 9000, "service": "shop"}}),
    ],
)
def test_what_a_pod_asks(probe: dict[str, Any], kind: dict[str, Any]) -> None:
    kubelets = {"initialDelaySeconds": 30, "terminationGracePeriodSeconds": 60, "timeoutSeconds": 0}
    assert pointed({**probe, **kubelets}) == ({**kind, **NUMBERS}, [])


def test_what_the_annotation_says_wins() -> None:
    probe = {"tcpSocket": {"port": 1}, "periodSeconds": 20, "timeoutSeconds": 2, "failureThreshold": 6}
    own = {"tcpSocket": {"port": 1}, "timeoutSeconds": 2, "failureThreshold": 6, "successThreshold": 1}
    assert pointed(probe) == ({**own, "periodSeconds": 20, "retryMilliseconds": 20000}, [])
    beside = {"periodSeconds": 4, "retryMilliseconds": 500, "successThreshold": 5, "onAllDown": "closed"}
    assert pointed(probe, **beside) == ({**own, **beside}, [])


@pytest.mark.parametrize(
    ("probe", "beside", "period", "timeout"),
    [
        ({"periodSeconds": 5, "timeoutSeconds": 30}, {}, 30, 30),
        ({"periodSeconds": 5}, {"timeoutSeconds": 30}, 30, 30),
        ({"timeoutSeconds": 8}, {"periodSeconds": 2}, 2, 2),
        ({"timeoutSeconds": 3}, {"periodSeconds": 3}, 3, 3),
    ],
)
def test_a_period_is_as_long_as_a_timeout(
    probe: dict[str, Any], beside: dict[str, Any], period: int, timeout: int
) -> None:
    found, faults = pointed({"tcpSocket": {"port": 1}, **probe}, **beside)
    assert found is not None
    assert (found["periodSeconds"], found["timeoutSeconds"], found["retryMilliseconds"]) == (
        period, timeout, period * 1000,
    )  # fmt: skip
    assert faults == []


SECURED = {"httpGet": {"port": "https", "scheme": "HTTPS"}}


@pytest.mark.parametrize(
    ("expect", "verification"),
    [
        ({}, {"insecureSkipTLSVerify": True}),
        ({"status": 204}, {"insecureSkipTLSVerify": True, "status": "204"}),
        ({"caFile": "/etc/ca"}, {"caFile": "/etc/ca"}),
        ({"serverName": "shop.example"}, {"serverName": "shop.example"}),
        ({"insecureSkipTLSVerify": False}, None),
        (
            {"serverName": "shop.example", "insecureSkipTLSVerify": True},
            {"serverName": "shop.example", "insecureSkipTLSVerify": True},
        ),
    ],
)
def test_a_certificate_is_verified_where_the_annotation_says_by_what(expect: Any, verification: Any) -> None:
    found, faults = pointed(SECURED, **({"expect": expect} if expect else {}))
    assert found is not None
    assert found.get("expect") == verification
    assert faults == []


def test_which_container() -> None:
    probes = {"tcpSocket": {"port": 1}}, {"tcpSocket": {"port": 2}}
    for name, port in (("web", 1), ("log", 2)):
        reference = {"pod": "web-0", "container": name}
        found, faults = read(checked({"readinessProbe": reference}), pod(probes[0], sidecar=probes[1]))
        assert (found, faults) == ({"tcpSocket": {"port": port}, **NUMBERS}, [])
    found, faults = read(checked({"readinessProbe": {"pod": "web-0"}}), pod(None, sidecar=probes[1]))
    assert (found, faults) == ({"tcpSocket": {"port": 2}, **NUMBERS}, [])
    found, faults = read(checked({"readinessProbe": {"pod": "web-0"}}), pod(probes[0], sidecar=probes[1]))
    message = f"readinessProbe.container: is needed: several containers of {POD} have a readinessProbe: web, log"
    assert said(faults) == [(WEB, SAYS, message)]


@pytest.mark.parametrize(
    ("reference", "probe", "messages"),
    [
        ({}, SECURED, ["readinessProbe.pod: is needed: the name of a Pod in the Service's namespace"]),
        ("web-0", SECURED, ["readinessProbe: must be a mapping with pod, the name of a Pod, is 'web-0'"]),
        (
            {"pods": "web-0", "container": 1},
            SECURED,
            [
                "readinessProbe.pods: there is no such field; did you mean pod?",
                "readinessProbe.container: must be a name, is 1",
                "readinessProbe.pod: is needed: the name of a Pod in the Service's namespace",
            ],
        ),
        ({"pod": "web-1"}, SECURED, ["readinessProbe.pod: there is no Pod shop/web-1"]),
        ({"pod": "web-0"}, None, [f"readinessProbe: no container of {POD} has a readinessProbe"]),
        (
            {"pod": "web-0", "container": "web"},
            None,
            [f"readinessProbe: container 'web' of {POD} has no readinessProbe"],
        ),
        (
            {"pod": "web-0", "container": "db"},
            SECURED,
            [f"readinessProbe.container: {POD} has no container 'db'"],
        ),
        (
            {"pod": "web-0"},
            {"exec": {"command": ["/bin/true"]}},
            [f"readinessProbe: {POD} is asked by exec, inside its container: say {OTHERS} here instead"],
        ),
    ],
)
def test_a_pod_that_cannot_be_pointed_to(reference: Any, probe: Any, messages: list[str]) -> None:
    """What else the annotation says is looked at all the same, and what goes with a Pod's probe is no fault."""
    more = {"expect": {"caFile": "/etc/ca"}, "timeoutSeconds": 9, "onDown": "kill"}
    own = "onDown: must be one of keep, reset, is 'kill'"
    found, faults = read(checked({"readinessProbe": reference, **more}), pod(probe))
    assert (found, said(faults)) == (None, [(WEB, SAYS, message) for message in [*messages, own]])
    found, faults = read(checked({"readinessProbe": reference}), pod(probe))
    assert (found, said(faults)) == (None, [(WEB, SAYS, message) for message in messages])


@pytest.mark.parametrize(
    ("probe", "field", "message"),
    [
        ([], "", "must be a mapping, is a list"),
        ({}, "", "a probe has one of httpGet, tcpSocket, grpc, exec, this one has none"),
        (
            {"httpGet": {"port": 1}, "exec": {}},
            "",
            "a probe has one of httpGet, tcpSocket, grpc, exec, this one has httpGet, exec",
        ),
        ({"httpGet": []}, ".httpGet", "must be a mapping, is a list"),
        ({"tcpSocket": {}}, ".tcpSocket.port", "is missing"),
        ({"tcpSocket": {"port": 0}}, ".tcpSocket.port", "must be a whole number from 1 to 65535, is 0"),
        ({"tcpSocket": {"port": "web"}}, ".tcpSocket.port", "the container has no port named 'web'"),
        (
            {"tcpSocket": {"port": 1, "accept": True}},
            ".tcpSocket.accept",
            "there is no such field",
        ),
        (
            {"httpGet": {"port": 1, "paht": "/"}},
            ".httpGet.paht",
            "there is no such field; did you mean path?",
        ),
        (
            {"tcpSocket": {"port": 1}, "periodSecond": 1},
            ".periodSecond",
            "there is no such field; did you mean periodSeconds?",
        ),
        ({"tcpSocket": {"port": 1}, "onDown": "keep"}, ".onDown", "there is no such field"),
        ({"tcpSocket": {"port": 1}, "periodSeconds": "5"}, ".periodSeconds", "must be a whole number, is '5'"),
        ({"tcpSocket": {"port": 1}, "periodSeconds": -1}, ".periodSeconds", "-1 is not in 0-2147483647"),
        (
            {"tcpSocket": {"port": 1}, "periodSeconds": 7200},
            ".periodSeconds",
            "must be a number from 0.1 to 3600, in steps of 0.001, is 7200",
        ),
        (
            {"tcpSocket": {"port": 1}, "timeoutSeconds": 301},
            ".timeoutSeconds",
            "must be a number from 0.01 to 300, in steps of 0.001, is 301",
        ),
        ({"httpGet": {"port": 1, "scheme": "https"}}, ".httpGet.scheme", "must be one of HTTP, HTTPS, is 'https'"),
        (
            {"httpGet": {"port": 1, "httpHeaders": [{"name": "X", "value": "a\nb"}]}},
            ".httpGet.httpHeaders[0].value",
            "must hold visible ASCII characters, with blanks between them only, is 'a\\nb'",
        ),
    ],
)
def test_faults_of_a_pods_probe_are_the_pods(probe: Any, field: str, message: str) -> None:
    found, faults = pointed(probe)
    assert (found, said(faults)) == (None, [(POD, f"{PROBE}{field}", message)])


def test_what_the_annotation_says_is_no_fault_of_the_pod() -> None:
    found, faults = pointed({"tcpSocket": {"port": 1}, "periodSeconds": 7200}, periodSeconds=5)
    assert (found and found["retryMilliseconds"], faults) == (5000, [])
    for beside, message in (
        ({"periodSeconds": 7200}, "periodSeconds: must be a number from 0.1 to 3600, in steps of 0.001, is 7200"),
        ({"periodSeconds": "x"}, "periodSeconds: must be a number from 0.1 to 3600, in steps of 0.001, is 'x'"),
        ({"retryMilliseconds": 20000}, "retryMilliseconds: must not be more than periodSeconds: a failure would be"),
        ({"expect": {"status": 200}}, "expect: goes with httpGet"),
        ({"expect": 1}, "expect: must be a mapping ({} where there is nothing to say), is 1"),
        ({"timeout": 1}, "timeout: there is no such field; did you mean timeoutSeconds?"),
        ({"httpGet": {}}, "httpGet, readinessProbe: an endpoint has one check"),
        ({"initialDelaySeconds": 5}, "initialDelaySeconds: an endpoint is asked from when it is there: leave it out"),
    ):
        _found, faults = pointed({"tcpSocket": {"port": 1}}, **beside)
        assert [fault.subject for fault in faults] == [WEB] * len(faults)
        assert faults[0].message.startswith(message)


def test_another_host_than_the_endpoint_is_not_asked() -> None:
    probe = {"httpGet": {"port": 1, "host": "shop.example"}}
    found, faults = pointed(probe)
    assert found == {"httpGet": {"port": 1}, **NUMBERS}
    message = "is not asked: each endpoint is, at its own address; a header Host can have the name"
    assert said(faults) == [(POD, f"{PROBE}.httpGet.host", f"'shop.example' {message}")]
    assert faults[0].warning
    for own in ({"podIP": "192.0.2.7"}, {"podIPs": [{"ip": "192.0.2.7"}]}):
        probe = {"tcpSocket": {"port": 1, "host": "192.0.2.7"}}
        found, faults = read(checked({"readinessProbe": {"pod": "web-0"}}), pod(probe, **own))
        assert (found, faults) == ({"tcpSocket": {"port": 1}, **NUMBERS}, [])


def test_a_pod_that_nobody_points_to_is_left_alone() -> None:
    wrong = {"exec": {}, "httpGet": {"port": "nonsense", "x": 1}, "periodSecond": 0}
    assert read(checked({"tcpSocket": {}}), pod(wrong)) == ({"tcpSocket": {}}, [])


def test_pods_are_of_the_services_namespace() -> None:
    elsewhere = pod(SECURED)
    elsewhere["metadata"]["namespace"] = "other"
    _found, faults = read(checked({"readinessProbe": {"pod": "web-0"}}), elsewhere)
    assert said(faults) == [(WEB, SAYS, "readinessProbe.pod: there is no Pod shop/web-0")]


def test_no_pod_is_missing_where_not_all_is_known() -> None:
    objects, faults = manifests.inline([checked({"readinessProbe": {"pod": "web-0"}})])
    built = catalogue_build.build(objects, whole=False)
    assert (faults, built.faults, built.catalogue.services[0].annotations) == ([], [], ())


def test_a_fault_has_the_line_of_the_pods_file(tmp_path: Path) -> None:
    """Two Services that point to one Pod: what is wrong with it is said once."""
    text = """\
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: shop, annotations: {sluice.io/health-check: "readinessProbe: {pod: web-0}"}}
spec: {clusterIP: None, ports: [{port: 80}]}
---
"""
    probed = """\
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop}
spec:
  containers:
    - name: web
      readinessProbe:
        httpGet:
          port: 80
          httpHeaders:
            - name: X-Probe
              value: lb
            - name: Connection
              value: close
"""
    faults = build(tmp_path, text.replace("NAME", "web") + text.replace("NAME", "api") + probed)
    message = "belongs to the connection, not to the question"
    assert faults == [Fault("catalogue.yml", 23, POD, f"{PROBE}.httpGet.httpHeaders[1].name", message)]


def test_settings_point_to_no_pod() -> None:
    with pytest.raises(InputError, match="readinessProbe: is for the annotation of a Service"):
        from_variables({"sluice_health_check": {"readinessProbe": {"pod": "web-0"}}})


NAMES = st.sampled_from(
    ["httpGet", "tcpSocket", "grpc", "exec", "port", "host", "path", "scheme", "service", "periodSeconds", "expect",
     "timeoutSeconds", "retryMilliseconds", "pod", "container", "readinessProbe", "onDown", "[0]", ""]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 2**40),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["HTTPS", "web"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)


@given(VALUES, st.dictionaries(NAMES, VALUES, max_size=3))
def test_hostile_probes_are_faults_or_checks_but_never_errors(probe: Any, beside: dict[str, Any]) -> None:
    for own in (probe, {"httpGet": probe}, {"tcpSocket": {"port": 1}, "timeoutSeconds": probe}):
        found, faults = pointed(own, **beside)
        assert found or faults
