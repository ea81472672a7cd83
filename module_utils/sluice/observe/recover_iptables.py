"""Services and settings that rules of kube-proxy's iptables mode come from, by the comments of the rules. Pure.

What each release writes is in ``backends/iptables/layout_ext.py`` and ``layout_xlb.py``: this is the way back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import addresses, names
from ..backends.iptables.dispatch import DISPATCH_CHAINS, MANY_ADDRESSES
from ..backends.iptables.text import PREFIX_CHAINS
from ..view import LARGE_CLUSTER
from . import recover_host_ports, services_iptables
from .iptables_rules import comment
from .recover_ports import BY_INTERFACE, NAME, NOWHERE, Found, port_of
from .recover_rules import Rule, Rules, masquerade_bit, rule_of
from .recovered import Port

_NODE_PORTS = "kubernetes service nodeports"


def found(rules: Rules) -> Found:
    """What the rules tell. Raises RecoverError."""
    own = ports(rules)
    said = variables(rules)
    commented = comments_endpoints(rules)
    if commented != (sum(len(port.targets) for port in own) <= LARGE_CLUSTER):
        said["endpoint_comments"] = "always" if commented else "never"
    warnings = [f"{rules.family}: {BY_INTERFACE}"] if by_interface(rules) else []
    return Found(own, said, warnings, list(recover_host_ports.of_rules(rules)))


def ports(rules: Rules) -> list[Port]:
    """The service ports. Raises RecoverError."""
    listed = services_iptables.ports(rules.tables, "")
    # A rule of somebody else may have any comment.
    return [_port(rules, port_of(each)) for each in listed if NAME.fullmatch(each.name)]


def _port(rules: Rules, port: Port) -> Port:
    """What kube-proxy's iptables mode has besides: it shares evenly, whatever its probabilities are rounded to.

    Up to 1.23 the chain of policy Local is there without endpoints as well, where no rule leads to it.
    """
    port = port._replace(weights={})
    if port.targets or port.external_local:
        return port
    name = names.display_name(port.namespace, port.service, port.name, trailing_colon=rules.trailing_colon)
    return port._replace(external_local=rules.has("nat", names.chain_name("KUBE-XLB-", name, port.protocol)))


def _dispatch(rules: Rules) -> dict[str, str]:
    """How addresses are found, unless it is as ``auto`` has it in each table."""
    is_tree, as_auto = [], []
    for table, dispatch in DISPATCH_CHAINS:
        tree = [chain for chain in rules.tables.rules.get(table, ()) if chain.startswith(PREFIX_CHAINS)]
        asked = (rule for chain in (dispatch, *tree) for rule in rules.of(table, chain) if rule.word("--dport"))
        is_tree.append(bool(tree))
        as_auto.append(bool(tree) == (len({rule.word("-d") for rule in asked} - {""}) > MANY_ADDRESSES))
    return {} if all(as_auto) else {"iptables_dispatch": "prefix" if any(is_tree) else "linear"}


def variables(rules: Rules) -> dict[str, Any]:
    """The settings of the node that are not as they are where nobody says so, by their names without the prefix."""
    said: dict[str, Any] = {}
    ext = rules.is_layout_ext()
    said["compat"] = "1.36" if ext else "1.18" if rules.trailing_colon else "1.20"
    said.update(masquerade_bit(rules))
    said.update(_dispatch(rules))
    cidrs = dict.fromkeys(_cluster_cidrs(rules))
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


def _cluster_cidrs(rules: Rules) -> Iterator[str]:
    """The sources that are not masqueraded; ``""`` where all are."""
    for rule in _about_sources(rules):
        if rule.target.name != "KUBE-MARK-MASQ":
            yield rule.word("-s")
        elif "-i" not in rule.matches:
            yield rule.outside


def by_interface(rules: Rules) -> bool:
    """Whether interfaces tell what is of the cluster, which no setting of ours says."""
    return any("-i" in rule.matches for rule in _about_sources(rules))


_SHORT_CUTS = ("Redirect pods trying to reach", "pod traffic for ")


def _about_sources(rules: Rules) -> Iterator[Rule]:
    """The rules that tell Pods from others: by what masquerades on the way to cluster IPs, and by short cuts."""
    for chain, texts in rules.tables.rules.get("nat", {}).items():
        if not chain.startswith(_ENDPOINT) and chain.startswith("KUBE-"):
            for text in texts:
                about = comment(text)
                masquerades = about.endswith(" cluster IP") and "-j KUBE-MARK-MASQ" in text
                if masquerades or (about.startswith(_SHORT_CUTS) and text.startswith("-s ")):
                    yield rule_of(text)


_ENDPOINT = "KUBE-SEP-"


def comments_endpoints(rules: Rules) -> bool:
    """Whether the rules of endpoints have comments, which those of large clusters have not."""
    chains = rules.tables.rules.get("nat", {})
    of_one = next((texts for chain, texts in chains.items() if texts and chain.startswith(_ENDPOINT)), None)
    return of_one is None or any(map(comment, of_one))
