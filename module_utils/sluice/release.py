"""What each kube-proxy release knows of Services, whatever the backend. Data, not code."""

from __future__ import annotations

from typing import NamedTuple


class Release(NamedTuple):
    """One kube-proxy release whose behaviour is reproduced: a value of ``sluice_compat``."""

    trailing_colon: bool
    """A port without a name still leaves its colon in ``ns/name:`` (until kubernetes commit 341022f8d136)."""
    counts_unready: bool
    """Endpoints that are not ready are kept: they count for the threshold of the large cluster, too."""
    external_ip_policy: bool
    """externalTrafficPolicy counts for a ClusterIP Service with external IPs as well."""
    ip_mode: bool
    """An ingress with ipMode Proxy is left alone (KEP-1860)."""
    open_range: bool
    """A source range of all addresses is the same as no ranges (kubernetes#132722)."""
    internal_policy: bool
    """internalTrafficPolicy counts (KEP-2086)."""
    terminating_fallback: bool
    """Where no endpoint is ready, those that serve while they terminate are used (KEP-1669)."""
    hints: bool
    """Topology hints narrow traffic policy Cluster (KEP-2433, KEP-3015)."""
    local_always: bool
    """externalTrafficPolicy Local selects endpoints even where nothing from outside leads to the port."""
    drop_mark: bool
    """What is to be dropped is marked first, with a bit of its own (KUBE-MARK-DROP, until 1.23)."""
    localhost_setting: bool
    """Whether node ports answer on 127.0.0.1 is a setting (``sluice_localhost_nodeports``), else they always do."""
    health_weight: bool
    """Health check node ports tell the number of endpoints in a header (kubernetes#118999), and the proxy's own health
    (kubernetes#111661)."""
    livez: bool
    """There is /livez beside /healthz (KEP-3836); both tell the health of each address family (kubernetes#129271)."""


_1_20 = Release(
    trailing_colon=False,
    counts_unready=False,
    external_ip_policy=False,
    ip_mode=False,
    open_range=False,
    internal_policy=False,
    terminating_fallback=False,
    hints=False,
    local_always=True,
    drop_mark=True,
    localhost_setting=False,
    health_weight=False,
    livez=False,
)

RELEASES = {
    "1.18": _1_20._replace(trailing_colon=True),
    "1.20": _1_20,
    "1.36": Release(
        trailing_colon=False,
        counts_unready=True,
        external_ip_policy=True,
        ip_mode=True,
        open_range=True,
        internal_policy=True,
        terminating_fallback=True,
        hints=True,
        local_always=False,
        drop_mark=False,
        localhost_setting=True,
        health_weight=True,
        livez=True,
    ),
}
