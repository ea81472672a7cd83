"""What comes back to the client: how the answer to a packet finds its way, or what the client gets in its place."""

from __future__ import annotations

import re

from .. import addresses
from .outcomes import DROP, PASS, REJECT, Outcome
from .packets import THE_NODE, Node, Packet

_PAST = {"-g": "direct routing", "-i": "tunnelling"}
"""How IPVS sends on without rewriting (ipvsadm(8)); what it rewrites has -m."""

_SENT_PAST = re.compile(r"-a -\S \S+ -r \S+ (-[gi]) ")
"""Such a real server, as a trace tells it."""

_UNASKED = {"tcp": "resets the connection", "sctp": "aborts it"}
"""What a client does with an answer of an address that it has not asked; of UDP it takes no notice."""


def answer(packet: Packet, outcome: Outcome, node: Node) -> str:
    """The way back of the answer to ``packet``, which has had this outcome. It names no endpoint: all of a kind have
    the same."""
    if outcome.verdict == DROP:
        return f"none: {_client(packet)} hears nothing, and waits until its timeout"
    if outcome.verdict == REJECT:
        return f"{refusal(packet, outcome)} goes back to {_client(packet)}, which fails at once"
    if outcome.verdict == PASS:
        if node.has(packet.destination):
            return "what listens there on the node answers; if nothing does, the node refuses"
        return f"of whoever has {packet.destination}, by any way: nothing is rewritten"
    return _of_endpoint(packet, outcome, node)


def refusal(packet: Packet, outcome: Outcome) -> str:
    """What a rule that refuses sends: RST, or an ICMP error."""
    rule = outcome.path[-1].rule if outcome.path else ""
    if re.search(r"(?:--reject-with |reject with )tcp[- ]reset", rule):
        return "RST"
    said = re.search(r"--reject-with (?:icmp6?-)?([a-z-]+)|reject with icmp\w* (?:type )?([a-z-]+)", rule)
    kind = (said[1] or said[2] if said else "port-unreachable").replace("adm-", "admin-").replace("-", " ")
    return f"{'ICMPv6' if packet.family == addresses.IPV6 else 'ICMP'} {kind}"


def _of_endpoint(packet: Packet, outcome: Outcome, node: Node) -> str:
    asked = addresses.host_port(packet.destination, packet.port)
    host = addresses.split_port(outcome.endpoint)[0]
    past = [_PAST[found[1]] for found in map(_SENT_PAST.match, (step.rule for step in outcome.path)) if found]
    restored = f"which puts {asked} back as the sender"
    if past:
        return f"the endpoint has {asked} itself ({past[0]}), and answers past this node"
    if host == THE_NODE or node.has(host):
        return f"the endpoint is on this node, {restored}"
    if outcome.masquerade:
        return f"the endpoint answers the node, {restored} and sends it on to {_client(packet)}"
    if packet.source == host:
        return "none: the endpoint sees its own address as the sender, and drops the packet or answers itself"
    if packet.source and addresses.is_loopback(packet.source):
        return f"none: no other host can answer {packet.source}"
    if node.has(packet.source):
        return f"the endpoint answers the node, {restored}"
    does = _UNASKED.get(packet.protocol, "takes no notice")
    return (
        f"the endpoint answers {_client(packet)}: its route there has to lead through this node, {restored}; by "
        f"another way the endpoint is the sender, and {_client(packet)} {does}"
    )


def _client(packet: Packet) -> str:
    return packet.source or "the client"
