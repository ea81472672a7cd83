"""The UDP front ends of a table, and the endpoints behind each."""

from __future__ import annotations

from support import catalogue, endpoint_slice, node, service

from sluice import render
from sluice.addresses import IPV4
from sluice.backends.interface import Frontend, Memo
from sluice.backends.nftables import frontends, text
from sluice.backends.nftables.backend import BACKEND
from sluice.backends.nftables.netlink import Change

PORTS = [{"port": 53, "targetPort": 5353, "protocol": "UDP", "nodePort": 30053}]
BEHIND = [{"name": "", "port": 5353, "protocol": "UDP"}]


def test_every_way_in() -> None:
    for sticky in ({}, {"sessionAffinity": "ClientIP"}):
        dns = service("dns", type="NodePort", ports=PORTS, externalIPs=["198.51.100.1"], **sticky)
        web = service("web", ip="10.96.0.2")
        objects = (dns, web, endpoint_slice("10.1.0.11", of="dns", ports=BEHIND), endpoint_slice("10.1.0.12"))
        own = node()
        written = BACKEND.render(render.views(catalogue(*objects), own), own, Memo())[text.FILE]
        endpoints = {("10.1.0.11", 5353)}
        assert frontends.frontends(text.tables(written)[IPV4]) == {
            Frontend("10.96.0.1", 53): endpoints,
            Frontend("198.51.100.1", 53): endpoints,
            Frontend("", 30053): endpoints,
        }


def test_which_changes_are_about_udp() -> None:
    assert frontends.touch_udp([Change("slots-udp", {}, {})])
    assert not frontends.touch_udp([Change("slots-tcp", {}, {}), Change("hairpin", {}, {})])
