"""A page is one file that asks nobody for anything, whatever its data says. tests/page has it in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib

import pages
import pytest

from sluice.fleet.page import Parts, page


def test_data_is_no_markup() -> None:
    data = {"nodes": ["</script><script>alert(1)</script>\u2028<!--"]}
    made = page(data, pages.PARTS)
    found = re.search(r'<script id="data" type="application/octet-stream">([A-Za-z0-9+/=]+)</script>', made)
    assert found
    assert json.loads(zlib.decompress(base64.b64decode(found[1]))) == data
    assert "alert(1)" not in made


def test_nothing_is_let_out_or_in() -> None:
    made = page({}, pages.PARTS)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', made)
    assert policy
    assert policy[1].startswith("default-src 'none'; ")
    assert "unsafe" not in policy[1]
    for name, text in (("script", pages.PARTS.script), ("style", pages.PARTS.style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy[1]
    # Of what a browser would fetch, only the names of namespaces are addresses.
    assert set(re.findall(r"\w+://[^\s\"']+", "".join(pages.PARTS))) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(?:src|href|srcset|action)=\"[^#]|url\(|@import|innerHTML|insertAdjacent|eval\(", made)


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        (pages.PARTS._replace(script="'</script>'"), "end tag"),
        (pages.PARTS._replace(skeleton="<!--data-->"), "the skeleton has <!--policy--> 0 times"),
        (pages.PARTS._replace(skeleton=pages.PARTS.skeleton + "<!--data-->"), "2 times"),
    ],
)
def test_parts_that_do_not_fit(parts: Parts, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        page({}, parts)
