"""Services and settings that rules of kube-proxy's iptables mode come from, by the comments of the rules. Pure.

What each release writes is in ``backends/iptables/layout_ext.py`` and ``layout_xlb.py``: this is the way back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from .. import addresses, names
from .recover_ports import NAME, NOWHERE
from .recover_rules import Rule, Rules, masquerade_bit
from .recovered import Port, RecoverError

_ABOUT = re.compile(
    r"(?P<port>\S+) (?:cluster IP|external IP|loadbalancer IP|has no endpoints|has no local endpoints"
    r"|health check node port)"
)
_NODE_PORTS = "kubernetes service nodeports"


def ports(rules: Rules) -> list[Port]:
    """The service ports. Raises RecoverError."""
    found: dict[tuple[str, str], list[Rule]] = {}
    for table, chain in (
        *(("nat", "KUBE-SERVICES"), ("nat", "KUBE-NODEPORTS"), ("filter", "KUBE-SERVICES")),
        *(("filter", "KUBE-EXTERNAL-SERVICES"), ("filter", "KUBE-NODEPORTS")),
    ):
        for rule in rules.of(table, chain):
            about = _ABOUT.fullmatch(rule.comment)
            name = about["port"] if about else rule.comment if chain == "KUBE-NODEPORTS" else ""
            if name and NAME.fullmatch(name) and rule.word("-p"):
                found.setdefault((name, rule.word("-p")), []).append(rule)
    inner = {id(rule) for rule in rules.of("filter", "KUBE-SERVICES")}
    health = {name: rule.number for (name, _protocol), some in found.items() for rule in some if _is_health(rule)}
    return [
        _port(rules, name, protocol, some, inner)._replace(health_check_node_port=health.get(name, 0))
        for (name, protocol), some in found.items()
        if any(not _is_health(rule) for rule in some)
    ]


def _is_health(rule: Rule) -> bool:
    return rule.comment.endswith(" health check node port")


def _port(rules: Rules, name: str, protocol: str, all_of_it: Sequence[Rule], inner: Collection[int]) -> Port:
    """``inner``: the rules that are about cluster IPs, by their id."""
    some = [rule for rule in all_of_it if not _is_health(rule)]
    parts = NAME.fullmatch(name)
    inside = [rule for rule in some if rule.comment.endswith(" cluster IP")]
    none = [rule for rule in some if rule.comment.endswith((" has no endpoints", " has no local endpoints"))]
    cluster = inside or [rule for rule in none if id(rule) in inner]
    if parts is None or not cluster:
        raise RecoverError(f"{name}: no rule has its cluster IP")
    external, ingress = (_destinations(some, f" {kind} IP") for kind in ("external", "loadbalancer"))
    outside = [rule for rule in none if id(rule) not in inner]
    refused = [ip for ip in _destinations(outside, "") if ip not in (*external, *ingress)]
    node_ports = [rule.number for rule in some if not rule.destination and rule.number]
    chains = {prefix: names.chain_name(f"KUBE-{prefix}-", name, protocol) for prefix in _PREFIXES}
    balanced = [*rules.of("nat", chains["SVC"]), *rules.of("nat", chains["SVL"]), *rules.of("nat", chains["XLB"])]
    dropped = [rule for rule in none if rule.target.name == "DROP"]
    everywhere, local = _targets(rules, chains["SVC"]), _targets(rules, chains["SVL"], chains["XLB"])
    left_out = frozenset(local).difference(everywhere) if everywhere else frozenset()
    return Port(
        parts["namespace"],
        parts["service"],
        parts["name"] or "",
        protocol,
        cluster[0].number,
        addresses.address(cluster[0].destination),
        node_port=node_ports[0] if node_ports else 0,
        external_ips=tuple(external),
        ingress=tuple(ingress),
        refused=tuple(refused),
        source_ranges=_source_ranges(rules, chains["FW"], ingress),
        node_may_enter=bool(ingress) and _may_enter(rules, chains["FW"], ingress),
        affinity_seconds=max((int(rule.word("--seconds") or 0) for rule in balanced), default=0),
        external_local=_is_external_local(rules, chains, outside),
        internal_local=any(rule.target.name == chains["SVL"] for rule in inside)
        or any(id(rule) in inner for rule in dropped),
        targets=tuple(dict.fromkeys((*everywhere, *local))),
        local=frozenset(local),
        # Where none of the node's is ready, those that terminate are used, while others have ready ones (KEP-1669).
        ending=left_out if left_out.issuperset(local) else frozenset(),
        passed_over=frozenset() if left_out.issuperset(local) else left_out,
        elsewhere=bool(dropped) and not (everywhere or local),
    )


_PREFIXES = ("SVC", "SVL", "XLB", "EXT", "FW")


def _is_external_local(rules: Rules, chains: dict[str, str], outside: Sequence[Rule]) -> bool:
    routed = any(rule.comment.startswith("route LOCAL traffic for ") for rule in rules.of("nat", chains["EXT"]))
    return routed or rules.has("nat", chains["XLB"]) or any(rule.target.name == "DROP" for rule in outside)


def _destinations(some: Sequence[Rule], ending: str) -> list[str]:
    found = (addresses.address(rule.destination) for rule in some if rule.comment.endswith(ending))
    return list(dict.fromkeys(filter(None, found)))


def _targets(rules: Rules, *chains: str) -> tuple[tuple[str, int], ...]:
    """The endpoints to which chains balance."""
    found = {}
    for chain in chains:
        for rule in rules.of("nat", chain):
            if rule.target.name.startswith("KUBE-SEP-"):
                for rewrite in rules.of("nat", rule.target.name):
                    if rewrite.target.name == "DNAT":
                        found[addresses.split_port(rewrite.target.options["--to-destination"][0])] = True
    return tuple(found)


def _source_ranges(rules: Rules, firewall: str, ingress: Sequence[str]) -> tuple[str, ...]:
    """The networks of a firewall chain. What is from the load balancer's own address a node has that may enter."""
    sources = dict.fromkeys(
        rule.word("-s") for rule in rules.of("nat", firewall) if rule.target.name.startswith(_INWARD)
    )
    own = {addresses.host_network(ip) for ip in ingress}
    found = tuple(source or addresses.ANY[rules.family] for source in sources if source not in own)
    return () if list(sources) == [""] else found


def _may_enter(rules: Rules, firewall: str, ingress: Sequence[str]) -> bool:
    sources = {rule.word("-s") for rule in rules.of("nat", firewall)}
    return any(addresses.host_network(ip) in sources for ip in ingress)


_INWARD = ("KUBE-SVC-", "KUBE-XLB-", "KUBE-EXT-")


def _display_name(rules: Rules, port: Port) -> str:
    return names.display_name(port.namespace, port.service, port.name, trailing_colon=rules.trailing_colon)


def variables(rules: Rules, found: Sequence[Port]) -> dict[str, Any]:
    """The settings of the node that are not as they are where nobody says so, by their names without the prefix."""
    said: dict[str, Any] = {}
    ext = rules.is_layout_ext()
    said["compat"] = "1.36" if ext else "1.18" if rules.trailing_colon else "1.20"
    said.update(masquerade_bit(rules))
    cidrs = dict.fromkeys(_cluster_cidrs(rules, found))
    if "" in cidrs:
        said["masquerade_all"] = True
    said["cluster_cidrs"] = [each for each in cidrs if each]
    invalid = any(rule.word("--ctstate") == "INVALID" for rule in rules.of("filter", "KUBE-FORWARD"))
    if ext and not invalid:
        said["conntrack_tcp_be_liberal"] = True
    last = [rule for rule in rules.of("nat", "KUBE-SERVICES") if rule.comment.startswith(_NODE_PORTS)]
    named = [rule.word("-d") for rule in last if rule.word("-d")]
    if named:
        said["nodeport_addresses"] = [
            addresses.host_network(addresses.address(each.partition("/")[0])) for each in named
        ]
    elif not last:
        said["nodeport_addresses"] = [NOWHERE[rules.family]]
    elif ext and rules.family == addresses.IPV4 and any("-d" in rule.matches for rule in last):
        said["localhost_nodeports"] = False
    return said


def _cluster_cidrs(rules: Rules, found: Sequence[Port]) -> Iterator[str]:
    """The sources that are not masqueraded; ``""`` where all are."""
    for rule in _about_sources(rules, found):
        if rule.target.name != "KUBE-MARK-MASQ":
            yield rule.word("-s")
        elif "-i" not in rule.matches:
            yield rule.outside


def by_interface(rules: Rules, found: Sequence[Port]) -> bool:
    """Whether interfaces tell what is of the cluster, which no setting of ours says."""
    return any("-i" in rule.matches for rule in _about_sources(rules, found))


def _about_sources(rules: Rules, found: Sequence[Port]) -> Iterator[Rule]:
    """The rules that tell Pods from others: by what masquerades on the way to cluster IPs, and by short cuts."""
    for port in found:
        name = _display_name(rules, port)
        for prefix in _PREFIXES:
            for rule in rules.of("nat", names.chain_name(f"KUBE-{prefix}-", name, port.protocol)):
                is_short_cut = rule.comment.startswith(("Redirect pods trying to reach", "pod traffic for "))
                if (is_short_cut and rule.word("-s")) or _is_masquerading(rule, f"{name} cluster IP"):
                    yield rule
    yield from (rule for rule in rules.of("nat", "KUBE-SERVICES") if _is_masquerading(rule, rule.comment))


def _is_masquerading(rule: Rule, about: str) -> bool:
    return rule.comment == about and about.endswith(" cluster IP") and rule.target.name == "KUBE-MARK-MASQ"


def comments_endpoints(rules: Rules, found: Sequence[Port]) -> bool:
    """Whether the rules of endpoints have comments, which those of large clusters have not."""
    for port in found:
        for address, number in port.targets:
            target = addresses.host_port(address, number)
            chain = names.chain_name("KUBE-SEP-", _display_name(rules, port), port.protocol, target)
            return any(rule.comment for rule in rules.of("nat", chain))
    return True
