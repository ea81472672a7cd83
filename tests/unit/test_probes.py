"""What a Service says of its health check: every slip is told at once, and what is said survives being written down."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice import probes
from sluice.probes import Probe, faults, probe, text

KINDS: dict[str, dict[str, Any]] = {
    "tcpSocket": {},
    "httpGet": {},
    "grpc": {},
    "dns": {"name": "example.org"},
    "udp": {"send": "ping", "expect": "pong"},
    "exec": {"command": ["/bin/true"]},
    "icmp": {},
}


@pytest.mark.parametrize("kind", KINDS)
def test_defaults(kind: str) -> None:
    found = probe({kind: KINDS[kind]})
    assert found.kind == kind
    assert found[-8:] == (5000, 1000, 1000, 3, 2, "", "keep", 0)
    assert found.port == 0


def test_all_that_an_http_probe_may_say() -> None:
    said = {
        "httpGet": {
            "path": "/healthz?full=1",
            "port": "web",
            "scheme": "HTTPS",
            "host": "shop.example",
            "httpHeaders": [{"name": "X-Probe", "value": "lb 1"}],
        },
        "periodSeconds": 2,
        "timeoutSeconds": 0.5,
        "retryMilliseconds": 250,
        "failureThreshold": 4,
        "successThreshold": 1,
        "expect": {"status": "204, 200-202", "body": "ok", "caFile": "/etc/ca.crt", "serverName": "shop.internal"},
        "onAllDown": "sorry: [2001:db8::0:9]:80",
        "onDown": "reset",
        "minHealthyPercent": 30,
    }
    assert not list(faults(said))
    assert probe(said) == Probe(
        "httpGet",
        port="web",
        path="/healthz?full=1",
        scheme="HTTPS",
        host="shop.example",
        headers=(("X-Probe", "lb 1"),),
        status="200-202,204",
        body="ok",
        ca_file="/etc/ca.crt",
        server_name="shop.internal",
        period=2000,
        timeout=500,
        retry=250,
        fall=4,
        rise=1,
        on_all_down="[2001:db8::9]:80",
        on_down="reset",
        min_healthy_percent=30,
    )


def test_a_probe_of_a_pod_is_taken_as_it_is() -> None:
    pod = {"httpGet": {"path": "/", "port": 8080, "scheme": "HTTP"}, "initialDelaySeconds": 0, "periodSeconds": 10}
    assert probe({**pod, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3}).port == 8080


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ([], [("", "must be a mapping, is a list")]),
        ({}, [("", "one of tcpSocket, httpGet, grpc, dns, udp, exec, icmp is needed")]),
        ({"tcpSocket": {}, "grpc": {}}, [("", "tcpSocket, grpc: an endpoint has one check")]),
        ({"icmp": None}, [("icmp", "must be a mapping ({} where there is nothing to say), is None")]),
        (
            {"tcpSocket": {}, "periodSecond": 1},
            [("periodSecond", "there is no such field; did you mean periodSeconds?")],
        ),
        ({"tcpsocket": {}}, [("", "one of "), ("tcpsocket", "there is no such field; did you mean tcpSocket?")]),
        ({"httpGet": {"paht": "/"}}, [("httpGet.paht", "there is no such field; did you mean path?")]),
        ({"tcpSocket": {"port": 0}}, [("tcpSocket.port", "must be a whole number from 1 to 65535, is 0")]),
        ({"tcpSocket": {"port": True}}, [("tcpSocket.port", "must be a whole number from 1 to 65535, is True")]),
        ({"dns": {}}, [("dns.name", "is needed")]),
        ({"dns": {"name": "a", "protocol": "tcp"}}, [("dns.protocol", "must be one of UDP, TCP, is 'tcp'")]),
        ({"exec": {}}, [("exec.command", "is needed")]),
        ({"udp": {"send": "x"}}, [("udp.expect", "is needed: what takes UDP need not answer")]),
        ({"udp": {"send": "", "expect": "x"}}, [("udp.send", "is needed: what takes UDP need not answer")]),
        ({"udp": {"send": "hex:", "expect": "x"}}, [("udp.send", "is needed: what takes UDP need not answer")]),
        (
            {"tcpSocket": {}, "periodSeconds": 1, "timeoutSeconds": 2, "retryMilliseconds": 1500},
            [
                ("timeoutSeconds", "must not be more than periodSeconds"),
                ("retryMilliseconds", "must not be more than periodSeconds"),
            ],
        ),
        ({"tcpSocket": {}, "expect": {"status": 200}}, [("expect", "goes with httpGet")]),
        ({"httpGet": {}, "expect": {"caFile": "/x"}}, [("expect.caFile", "goes with scheme HTTPS")]),
        (
            {"httpGet": {}, "expect": {"insecureSkipTLSVerify": True}},
            [("expect.insecureSkipTLSVerify", "goes with scheme HTTPS")],
        ),
        (
            {"httpGet": {"scheme": "HTTPS"}, "expect": {"insecureSkipTLSVerify": True, "caFile": "/x"}},
            [("expect.insecureSkipTLSVerify", "contradicts caFile, by which the certificate is verified")],
        ),
        ({"readinessProbe": {"pod": "x"}}, [("readinessProbe", "is for the annotation of a Service")]),
        ({"tcpSocket": {}, "readinessProbe": {}}, [("", "tcpSocket, readinessProbe: an endpoint has one check")]),
        (
            {"httpGet": {"host": "a", "httpHeaders": [{"name": "host", "value": "b"}]}},
            [("httpGet.host", "is said by a header Host as well")],
        ),
        ({"tcpSocket": {}, "initialDelaySeconds": 3}, [("initialDelaySeconds", "an endpoint is asked from when")]),
        ({"tcpSocket": {}, "terminationGracePeriodSeconds": 3}, [("terminationGracePeriodSeconds", "nothing is")]),
        ({"tcpSocket": {}, "slowStartSeconds": 30}, [("slowStartSeconds", "is not supported: who is up again has")]),
        (
            {"httpGet": {"path": "/\r\nX: y", "httpHeaders": [{"name": "A\n", "value": "b"}]}},
            [("httpGet.path", "must begin with /"), ("httpGet.httpHeaders[0].name", "must be the name of a header")],
        ),
    ],
)
def test_all_that_is_wrong_is_told(said: Any, wrong: list[tuple[str, str]]) -> None:
    found = list(faults(said))
    assert [field for field, _message in found] == [field for field, _message in wrong]
    for (_field, message), (_same, begin) in zip(found, wrong):
        assert message.startswith(begin)
    with pytest.raises(ValueError, match=r"."):
        probe(said)


def test_waits_are_no_longer_than_a_short_period() -> None:
    found = probe({"tcpSocket": {}, "periodSeconds": 0.5})
    assert (found.period, found.timeout, found.retry) == (500, 500, 500)
    assert text(found) == '{"periodSeconds":0.5,"tcpSocket":{}}'


def test_the_same_check_is_one_question() -> None:
    one = probe({"httpGet": {"port": 8080}, "onAllDown": "closed", "onDown": "reset", "minHealthyPercent": 5})
    other = probe({"httpGet": {"port": "web", "path": "/"}, "periodSeconds": 5})
    assert one.question == other.question == '{"httpGet":{}}'
    assert one.question != probe({"httpGet": {}, "periodSeconds": 6}).question
    assert probe(json.loads(one.question)).question == one.question


def test_which_port_is_asked() -> None:
    assert probe({"tcpSocket": {}}).asked(80, {}) == 80
    assert probe({"tcpSocket": {"port": 9}}).asked(80, {"web": 81}) == 9
    assert probe({"tcpSocket": {"port": "web"}}).asked(80, {"web": 81}) == 81
    assert probe({"tcpSocket": {"port": "web"}}).asked(80, {}) is None
    assert probe({"icmp": {}}).asked(80, {}) == 0, "one check for all ports of an endpoint"


@pytest.mark.parametrize(
    ("said", "transport"),
    [
        ({"tcpSocket": {}}, "tcp"),
        ({"httpGet": {"scheme": "HTTPS"}}, "tcp"),
        ({"grpc": {}}, "tcp"),
        ({"udp": {"send": "a", "expect": "b"}}, "udp"),
        ({"dns": {"name": "a.b"}}, "udp"),
        ({"dns": {"name": "a.b", "protocol": "TCP"}}, "tcp"),
        ({"exec": {"command": ["/bin/true"]}}, ""),
        ({"icmp": {}}, ""),
    ],
)
def test_by_what_a_port_is_asked(said: dict[str, Any], transport: str) -> None:
    assert probe(said).transport == transport


def test_what_was_asked_before_there_were_protocols_is_still_the_same_question() -> None:
    assert probe({"dns": {"name": "a.b", "protocol": "UDP"}}).question == probe({"dns": {"name": "a.b"}}).question


NUMBERS = st.one_of(st.integers(), st.floats(), st.booleans(), st.none())
TEXTS = st.one_of(st.text(), st.sampled_from(["/x", "a.b", "A", "HTTPS", "200-299", "web", "hex:00", "open", "reset"]))
VALUES = st.recursive(
    st.one_of(NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)
PORTS = st.one_of(st.integers(1, 65535), st.sampled_from(["web", "dns-tcp"]))
VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)
ADDRESSES = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(lambda each: f"[{each}]"))
PAYLOADS = st.one_of(
    st.text(min_size=1, max_size=40), st.binary(min_size=1, max_size=9).map(lambda b: f"hex:{b.hex()}")
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


SOUND_KINDS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "tcpSocket": some(port=PORTS, accept=st.booleans()),
    "httpGet": some(
        port=PORTS,
        path=VISIBLE.map(lambda path: f"/{path}"),
        scheme=st.sampled_from(["HTTP", "HTTPS"]),
        host=st.sampled_from(["shop.example", "shop.example:8443", "[2001:db8::1]:80", "192.0.2.1"]),
        httpHeaders=st.lists(st.fixed_dictionaries({"name": st.just("X-Y"), "value": VISIBLE}), max_size=2),
    ),
    "grpc": some(port=PORTS, service=VISIBLE),
    "dns": st.fixed_dictionaries({"name": st.sampled_from(["a.b", "x."])},
                                 optional={"type": st.just("SRV"), "protocol": st.sampled_from(["TCP", "UDP"])}),
    "udp": st.fixed_dictionaries({"send": PAYLOADS, "expect": PAYLOADS}, optional={"port": PORTS}),
    "exec": st.fixed_dictionaries({"command": st.lists(st.text(max_size=9).filter(lambda t: "\0" not in t), max_size=3)
                                   .map(lambda rest: ["/bin/true", *rest])}),
    "icmp": st.just({}),
}  # fmt: skip


@st.composite
def sound(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(list(SOUND_KINDS)))
    said = {kind: draw(SOUND_KINDS[kind])}
    said |= draw(
        some(
            periodSeconds=st.integers(300, 3_600_000).map(lambda milliseconds: milliseconds / 1000),
            timeoutSeconds=st.integers(10, 300).map(lambda milliseconds: milliseconds / 1000),
            retryMilliseconds=st.integers(10, 300),
            failureThreshold=st.integers(1, 100),
            successThreshold=st.integers(1, 100),
            onAllDown=st.one_of(
                st.sampled_from(["open", "closed"]),
                st.builds(lambda where, port: f"sorry: {where}:{port}", ADDRESSES, st.integers(1, 65535)).filter(
                    lambda said: "::ffff:" not in said
                ),
            ),
            onDown=st.sampled_from(["keep", "reset"]),
            minHealthyPercent=st.integers(0, 100),
        )
    )
    if kind == "httpGet":
        more = {"status": st.sampled_from([204, "200-299,404"]), "body": st.sampled_from(["ok", "é\0"])}
        if said[kind].get("scheme") == "HTTPS":
            more |= {"serverName": st.just("a.b")}
            more |= draw(st.sampled_from([{"caFile": st.just("/etc/ca")}, {"insecureSkipTLSVerify": st.booleans()}]))
        said |= draw(some(expect=some(**more)))
    return said


@given(sound())
def test_text_is_the_same_probe_again(said: dict[str, Any]) -> None:
    assert list(faults(said)) == []
    found = probe(said)
    assert probe(json.loads(text(found))) == found
    assert text(probe(json.loads(text(found)))) == text(found)
    again = probe(json.loads(found.question))
    assert again == found._replace(port=0, on_all_down="", on_down="keep", min_healthy_percent=0)


FIELDS = [*probes._KINDS, *probes._COMMON, *probes._EXPECT, *(n for each in probes._KINDS.values() for n in each)]


@given(st.dictionaries(st.sampled_from([*FIELDS, "expect", "nonsense"]), VALUES, max_size=4), sound())
def test_hostile_values_are_faults_or_fine_but_never_errors(hostile: dict[str, Any], good: dict[str, Any]) -> None:
    for said in (hostile, {**good, **hostile}, {"httpGet": hostile}, {"expect": hostile, "httpGet": {}}):
        wrong = list(faults(said))
        if not wrong:
            assert probe(json.loads(text(probe(said)))) == probe(said)
        assert all(isinstance(field, str) and message for field, message in wrong)


@given(st.text(), st.sampled_from("\0\r\n\x1b\x7f\u2028é"), st.text())
def test_nothing_gets_a_line_of_its_own(before: str, bad: str, after: str) -> None:
    said = f"{before}{bad}{after}"
    for hostile in (
        {"httpGet": {"path": f"/{said}"}},
        {"httpGet": {"host": said}},
        {"httpGet": {"httpHeaders": [{"name": said, "value": ""}]}},
        {"httpGet": {"httpHeaders": [{"name": "X", "value": said}]}},
        {"httpGet": {"scheme": "HTTPS"}, "expect": {"serverName": said}},
        {"grpc": {"service": said}},
        {"dns": {"name": said}},
    ):
        assert list(faults(hostile))
