"""Names and probabilities are those that kube-proxy's published output has."""

from __future__ import annotations

import pytest

from sluice import names


def test_display_name() -> None:
    assert names.display_name("shop", "web") == "shop/web"
    assert names.display_name("shop", "web", "http") == "shop/web:http"
    assert names.display_name("shop", "web", trailing_colon=True) == "shop/web:"


def test_chain_of_the_published_walkthrough() -> None:
    port = names.display_name("kube-system", "kubernetes-lb", trailing_colon=True)
    assert names.chain_name("KUBE-SVC-", port, "TCP") == "KUBE-SVC-EFPSQH5654KMWHJ5"


def test_each_part_of_a_name_counts() -> None:
    parts = [
        ("KUBE-SVC-", "shop/web", "tcp"),
        ("KUBE-SVC-", "shop/web:http", "tcp"),
        ("KUBE-SVC-", "shop/web", "udp"),
        ("KUBE-SEP-", "shop/web", "tcp", "10.0.0.1:80"),
        ("KUBE-SEP-", "shop/web", "tcp", "10.0.0.1:81"),
    ]
    found = [names.chain_name(*each) for each in parts]
    assert len({name[-names.HASH_LENGTH :] for name in found}) == len(parts)
    assert all(len(name) <= 28 for name in found), "as long as iptables takes"
    assert names.chain_name("KUBE-SVC-", "shop/web", "TCP") == found[0]


def test_host_port_chain_counts_protocol_and_pod() -> None:
    one = names.host_port_chain_name("uid-1", 80, "TCP")
    assert one == names.host_port_chain_name("uid-1", 80, "tcp")
    assert one.startswith("KUBE-HP-")
    others = [("uid-2", 80, "TCP"), ("uid-1", 81, "TCP"), ("uid-1", 80, "UDP")]
    assert len({one, *(names.host_port_chain_name(*each) for each in others)}) == 4


# As iptables-save prints what kube-proxy sets.
@pytest.mark.parametrize(
    ("left", "text"),
    [(1, "1.00000000000"), (2, "0.50000000000"), (3, "0.33333333349"), (4, "0.25000000000"), (6, "0.16666666651")],
)
def test_probability(left: int, text: str) -> None:
    assert names.probability(left) == text


def test_hash_is_known_by_its_name() -> None:
    for text in ("", "default/web:httptcp", "shop/ü"):
        name = names.hashed(text)
        assert names.is_hash_of(text, name)
        assert not names.is_hash_of(f"{text}x", name)
    # Digits of no base32, or digits that int() would take.
    assert not any(
        names.is_hash_of("", other) for other in ("", "0" * 16, name.lower(), f" {name[1:]}", f"{name[:-2]}_A")
    )
