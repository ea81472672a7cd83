"""The tables that kube-proxy's nftables mode makes of a view, written after its source (pkg/proxy/nftables).

Two layouts: EARLY has a chain of its own for each endpoint and masquerades in the chains of Services (1.29 and a few
later releases), LATE maps to endpoints at once and masquerades by the set of cluster IPs (1.36).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sluice import addresses, names
from sluice.backends import shared
from sluice.settings import Settings
from sluice.view import PortView, Target, View

EARLY, LATE = "early", "late"
LAYOUTS = (EARLY, LATE)

_JUMPS = (
    ("filter-prerouting-pre-dnat", "filter hook prerouting priority -110", ("ct state new jump firewall-check",)),
    ("filter-output-pre-dnat", "filter hook output priority -110", ("ct state new jump firewall-check",)),
    (
        "filter-input",
        "filter hook input priority 0",
        ("ct state new jump nodeport-endpoints-check", "ct state new jump service-endpoints-check"),
    ),
    (
        "filter-forward",
        "filter hook forward priority 0",
        ("ct state new jump service-endpoints-check", "ct state new jump cluster-ips-check"),
    ),
    (
        "filter-output",
        "filter hook output priority 0",
        ("ct state new jump service-endpoints-check", "ct state new jump cluster-ips-check"),
    ),
    ("nat-prerouting", "nat hook prerouting priority -100", ("jump services",)),
    ("nat-output", "nat hook output priority -100", ("jump services",)),
    ("nat-postrouting", "nat hook postrouting priority 100", ("jump masquerading",)),
)


def table(view: View, settings: Settings, layout: str) -> str:
    """The table of one family, as a file for nft -f."""
    return "\n".join(_Table(view, settings, layout).lines()) + "\n"


class _Table:
    """Collects chains and elements."""

    def __init__(self, view: View, settings: Settings, layout: str) -> None:
        self.settings = settings
        self.family = view.family
        self.ip = "ip" if view.family == addresses.IPV4 else "ip6"
        self.early = layout == EARLY
        self.mark = f"{1 << settings.masquerade_bit:#x}"
        self.chains: dict[str, list[str]] = {}
        self.elements: dict[str, list[str]] = {}
        self.affinity: dict[str, int] = {}
        self.own = view.own
        for port in view.ports:
            _Service(self, port).add()

    def put(self, name: str, element: str) -> None:
        self.elements.setdefault(name, []).append(element)

    @property
    def to_mark(self) -> str:
        return "jump mark-for-masquerade" if self.early else f"mark set mark or {self.mark}"

    def lines(self) -> Iterator[str]:
        address, front = f"ipv{self.family[-1]}_addr", f"ipv{self.family[-1]}_addr . inet_proto . inet_service"
        yield f"table {self.ip} kube-proxy {{"
        yield '\tcomment "rules for kube-proxy"'
        networks = self.settings.nodeport_networks(self.family)
        everywhere = addresses.ANY[self.family] in networks
        if not everywhere:
            own = [
                each
                for each in self.settings.node_addresses
                if any(addresses.contains(net, each) for net in networks) and not addresses.is_loopback(each)
            ]
            self.elements["nodeport-ips"] = own
            yield from self._set("nodeport-ips", [f"type {address}"])
        yield from self._set("cluster-ips", [f"type {address}", 'comment "Active ClusterIPs"'])
        if not self.early:
            yield from self._set("hairpin-connections", [f"type {address} . {address} . inet_proto . inet_service"])
        for name, seconds in self.affinity.items():
            yield from self._set(name, [f"type {address}", "flags dynamic,timeout", f"timeout {seconds}s"])
        for name in ("no-endpoint-services", "firewall-ips", "service-ips"):
            yield from self._set(name, [f"type {front} : verdict"], "map")
        for name in ("no-endpoint-nodeports", "service-nodeports"):
            yield from self._set(name, ["type inet_proto . inet_service : verdict"], "map")
        for name, rules in (*self._frame(everywhere), *self.chains.items()):
            yield from self._chain(name, rules)
        for name, hook, rules in _JUMPS:
            yield from self._chain(name, (f"type {hook}; policy accept;", *rules))
        yield "}"

    def _set(self, name: str, lines: Iterable[str], kind: str = "set") -> Iterator[str]:
        yield f"\t{kind} {name} {{"
        yield from (f"\t\t{line}" for line in lines)
        if self.elements.get(name):
            yield f"\t\telements = {{ {', '.join(self.elements[name])} }}"
        yield "\t}"

    @staticmethod
    def _chain(name: str, rules: Iterable[str]) -> Iterator[str]:
        yield f"\tchain {name} {{"
        yield from (f"\t\t{rule}" for rule in rules)
        yield "\t}"

    def _frame(self, everywhere: bool) -> Iterator[tuple[str, list[str]]]:
        ip, key = self.ip, "meta l4proto . th dport"
        localhost = {addresses.IPV4: "127.0.0.0/8", addresses.IPV6: "::1"}[self.family]
        at_nodes = f"fib daddr type local {ip} daddr != {localhost}" if everywhere else f"{ip} daddr @nodeport-ips"
        cidr = self.settings.cluster_cidr(self.family)
        source = "" if self.settings.masquerade_all else f"{ip} saddr != {cidr} "
        masquerading = [f"{ip} daddr @cluster-ips {source}{self.to_mark}"]
        if self.early or not (cidr or self.settings.masquerade_all):
            masquerading = []
        yield "reject-chain", ["reject"]
        if self.early:
            yield "mark-for-masquerade", [f"mark set mark or {self.mark}"]
        yield (
            "services",
            [
                *masquerading,
                f"{ip} daddr . {key} vmap @service-ips",
                f"{at_nodes} {key} vmap @service-nodeports",
            ],
        )
        if self.early:
            masked = [f"mark and {self.mark} == 0 return", f"mark set mark xor {self.mark}", "masquerade fully-random"]
        else:
            masked = [
                f"mark and {self.mark} != 0 mark set mark xor {self.mark} masquerade fully-random",
                f"{ip} saddr . {ip} daddr . {key} @hairpin-connections masquerade fully-random",
            ]
        yield "masquerading", masked
        cidrs = [each for each in self.settings.service_cidrs if addresses.family_of(each) == self.family]
        yield (
            "cluster-ips-check",
            [
                f'{ip} daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"',
                *(f'{ip} daddr {{ {each} }} drop comment "Drop traffic to unallocated ClusterIPs"' for each in cidrs),
            ],
        )
        yield "firewall-check", [f"{ip} daddr . {key} vmap @firewall-ips"]
        yield "service-endpoints-check", [f"{ip} daddr . {key} vmap @no-endpoint-services"]
        yield "nodeport-endpoints-check", [f"{at_nodes} {key} vmap @no-endpoint-nodeports"]


class _Service:
    """One service port."""

    def __init__(self, of: _Table, port: PortView) -> None:
        self.of = of
        self.port = port
        whole, _colon, name = port.display_name.partition(":")
        self.base = f"{whole}/{port.protocol}/{name}"
        self.tail = f"{names.hashed(self.base, 8)}-{self.base}"

    def add(self) -> None:
        of, port, ip = self.of, self.port, self.of.ip
        about = f'comment "{port.display_name}"'
        inside = port.local if port.internal_local else port.cluster
        outside = port.local if port.external_local else port.cluster
        refusal = "drop" if port.has_endpoints else "goto reject-chain"
        end = f"{port.protocol} . {port.port}"
        of.put("cluster-ips", port.cluster_ip) if port.cluster_ip not in of.elements.get("cluster-ips", ()) else None
        for target in port.targets:
            if target.endpoint.node in of.own and not of.early:
                of.put("hairpin-connections", f"{target.address} . {target.address} . {port.protocol} . {target.port}")
        own = "local" if port.internal_local else "service"
        if inside:
            of.put("service-ips", f"{port.cluster_ip} . {end} : goto {own}-{self.tail}")
        else:
            of.put("no-endpoint-services", f"{port.cluster_ip} . {end} {about} : {refusal}")
        fenced = bool(port.load_balancer_ips and port.source_ranges)
        for vip in (*port.external_ips, *port.load_balancer_ips):
            if port.has_endpoints:
                of.put("service-ips", f"{vip} . {end} : goto external-{self.tail}")
            if not outside:
                of.put("no-endpoint-services", f"{vip} . {end} {about} : {refusal}")
            if fenced and vip in port.load_balancer_ips:
                of.put("firewall-ips", f"{vip} . {end} {about} : goto firewall-{self.tail}")
        if port.node_port:
            if port.has_endpoints:
                of.put("service-nodeports", f"{port.protocol} . {port.node_port} : goto external-{self.tail}")
            if not outside:
                of.put("no-endpoint-nodeports", f"{port.protocol} . {port.node_port} {about} : {refusal}")
        masquerading = []
        cidr = of.settings.cluster_cidr(of.family)
        if of.early and (cidr or of.settings.masquerade_all):
            source = "" if of.settings.masquerade_all else f"{ip} saddr != {cidr} "
            to_cluster_ip = f"{ip} daddr {port.cluster_ip} {port.protocol} dport {port.port}"
            masquerading = [f"{to_cluster_ip} {source}jump mark-for-masquerade"]
        for kind, targets in (("service", port.cluster), ("local", port.local)):
            if targets:
                of.chains[f"{kind}-{self.tail}"] = [
                    *(masquerading if kind == own else []),
                    *self._balanced(targets),
                ]
        if port.external and port.has_endpoints:
            of.chains[f"external-{self.tail}"] = list(self._external(bool(outside)))
        if fenced:
            sources = list(port.source_ranges)
            if shared.node_may_enter(port, of.settings, of.family):
                sources += port.load_balancer_ips
            of.chains[f"firewall-{self.tail}"] = [f"{ip} saddr != {{ {', '.join(sources)} }} drop"]

    def _external(self, reached: bool) -> Iterator[str]:
        port, ip, cidr = self.port, self.of.ip, self.of.settings.cluster_cidr(self.of.family)
        if not port.external_local:
            yield f'{self.of.to_mark} comment "masquerade"'
        else:
            if cidr:
                yield f'{ip} saddr {cidr} goto service-{self.tail} comment "short-circuit pod traffic"'
            yield f'fib saddr type local {self.of.to_mark} comment "masquerade local traffic"'
            yield f'fib saddr type local goto service-{self.tail} comment "short-circuit local traffic"'
        if reached:
            yield f"goto {'local' if port.external_local else 'service'}-{self.tail}"

    def _balanced(self, targets: Iterable[Target]) -> Iterator[str]:
        of, port, found = self.of, self.port, list(targets)
        if not of.early and not port.affinity_seconds:
            slots = ", ".join(f"{at} : {each.address} . {each.port}" for at, each in enumerate(found))
            to = f"meta l4proto {port.protocol} dnat {of.ip} to"
            yield f"{to} numgen random mod {len(found)} map {{ {slots} }}"
            return
        ends = [self._end(each) for each in found]
        if port.affinity_seconds:
            yield from (f"{of.ip} saddr @affinity-{end} goto endpoint-{end}" for end in ends)
        slots = ", ".join(f"{at} : goto endpoint-{end}" for at, end in enumerate(ends))
        yield f"numgen random mod {len(found)} vmap {{ {slots} }}"

    def _end(self, target: Target) -> str:
        """What the chain of an endpoint and its set are called behind their prefix."""
        of, port = self.of, self.port
        base = f"{self.base}__{target.address.replace(':', '.')}/{target.port}"
        end = f"{names.hashed(base, 8)}-{base}"
        rules = [f"{of.ip} saddr {target.address} jump mark-for-masquerade"] if of.early else []
        if port.affinity_seconds:
            of.affinity[f"affinity-{end}"] = port.affinity_seconds
            rules.append(f"update @affinity-{end} {{ {of.ip} saddr }}")
        of.chains[f"endpoint-{end}"] = [*rules, f"meta l4proto {port.protocol} dnat to {target.text}"]
        return end
