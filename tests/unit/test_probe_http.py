"""What a request may say and what its answer must be: what can do no harm in a line of HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from sluice import probe_http as http
from sluice.probe_values import Reader, WrongError


@pytest.mark.parametrize(
    ("read", "value", "found"),
    [
        (http.path, "/a%20b?c=d", "/a%20b?c=d"),
        (http.host, "shop.example:8080", "shop.example:8080"),
        (http.host, "[2001:db8::1]", "[2001:db8::1]"),
        (http.host, "[2001:db8::1]:80", "[2001:db8::1]:80"),
        (http.status, 204, "204"),
        (http.status, "404, 200-299,300-302,250", "200-302,404"),
        (http.headers, [], ()),
        (http.headers, [{"name": "Host", "value": "a:80"}], (("Host", "a:80"),)),
    ],
)
def test_what_is_taken(read: Reader, value: Any, found: Any) -> None:
    assert read(value) == found


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (http.path, "healthz", "must begin with /"),
        (http.path, "/ä", "must begin with / and hold visible ASCII"),
        (http.path, "/" + "a" * 2048, "is longer than 2048"),
        (http.host, "a:b:c", "must be the name of a host"),
        (http.host, "2001:db8::1", "must be the name of a host"),
        (http.host, "[192.0.2.1]", "must be the name of a host"),
        (http.status, "", "must be codes"),
        (http.status, "299-200", "must be codes"),
        (http.status, "99", "must be codes"),
        (http.status, "\uff1200", "must be codes"),
        (http.status, True, "must be a text"),
        (http.body, "hex:00", "is a text"),
        (http.headers, {}, "must be a list"),
        (http.headers, [{"name": "X"}], "must be a mapping with name and value"),
        (http.headers, [{"name": "Content-Length", "value": "5"}], "belongs to the connection"),
        (http.headers, [{"name": "Host", "value": "a b"}], "must be the name of a host"),
        (http.headers, [{"name": "Host", "value": "a"}, {"name": "HOST", "value": "a"}], "more than one header Host"),
        (http.headers, [{"name": "X", "value": " a"}], "must hold visible ASCII"),
    ],
)
def test_what_is_not(read: Reader, value: Any, message: str) -> None:
    with pytest.raises(WrongError, match=message):
        read(value)


def test_statuses() -> None:
    assert http.statuses("200-299,404") == ((200, 299), (404, 404))
