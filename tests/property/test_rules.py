"""What holds for every catalogue: fair shares, names apart, text that reads back, and nothing in a file but rules."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
import strategies
import support
from hypothesis import given
from hypothesis import strategies as st
from support import NODE, catalogue, endpoint, endpoint_slice, service

from sluice import names, render, settings
from sluice.addresses import IPV4, IPV6
from sluice.backends.iptables import text as ruleset
from sluice.backends.registry import BACKENDS
from sluice.catalogue import compiled, sources
from sluice.catalogue import model as catalogues
from sluice.faults import InputError
from sluice.node import files

# --- the grammar of all lines that a file may have

_NET = r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}/[0-9]{1,2}|[0-9a-f:]*:[0-9a-f:.]*/[0-9]{1,3})"
_CHAIN = r"(?:KUBE|SLUICE)(?:-[A-Z0-9]+)+"
_HEX = r"0x[0-9a-f]+"
_RECENT = "(?:--rcheck --seconds [0-9]{1,5} --reap|--set)"
MATCHES = (
    rf"(?:! )?-[sd] {_NET}",
    r"-p (?:tcp|udp|sctp)",
    r'-m comment --comment "[A-Za-z0-9 ;:,./_>\[\]-]+"',
    r"-m (?:tcp|udp|sctp)(?: --dport [0-9]{1,5})?",
    rf"-m mark (?:! )?--mark {_HEX}/{_HEX}",
    r"-m conntrack (?:! )?--ctstate [A-Z]+(?:,[A-Z]+)*",
    r"-m addrtype (?:! )?--(?:src|dst)-type LOCAL",
    r"-m physdev ! --physdev-is-in",
    r"-m statistic --mode random --probability [01]\.[0-9]{11}",
    # of health checks
    r"-m tcp --[ds]port 61440:61695(?: ! --tcp-flags FIN,SYN,RST,ACK SYN -m socket)?",
    rf"-m recent {_RECENT} --name KUBE-SEP-[A-Z2-7]{{16}} --mask [0-9a-f:.]+ --rsource",
    # of IPVS mode
    r"-m comment --comment \"Kubernetes [A-Za-z0-9 :,+=\\'-]+\"",
    r"-m set --match-set KUBE-[A-Z0-9-]+ (?:src|dst)(?:,(?:src|dst))*",
    r"-m ipvs --vproto [0-9]+ --vaddr [0-9a-f:.]+ --vport [0-9]{1,5}",
)
TARGETS = (
    _CHAIN,
    "ACCEPT",
    "DROP",
    "RETURN",
    "REJECT --reject-with icmp6?-port-unreachable",
    rf"MARK --set-xmark {_HEX}/{_HEX}",
    "MASQUERADE(?: --random-fully)?",
    "CT --notrack",
    r"DNAT --to-destination [0-9a-f.:\[\]]+:[0-9]{1,5}",
)
RULE = rf"-A (?:{_CHAIN}|[A-Z]+)(?: (?:{'|'.join(MATCHES)}))*(?: -j (?:{'|'.join(TARGETS)}))?"
_IP = r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-f:]*:[0-9a-f:.]*)"
_SERVED = rf"(?:-t|-u|--sctp-service) (?:{_IP}|\[{_IP}\]):[0-9]{{1,5}}"
_MEMBER = rf"(?:{_IP}(?:,(?:tcp|udp|sctp):[0-9]{{1,5}}(?:,{_IP}(?:/[0-9]{{1,3}})?)?)?|[0-9]{{1,5}})"
OTHER_LINES = {
    "ipset.conf": re.compile(rf"create KUBE-[A-Z0-9-]+ [a-z:,]+(?: [a-z]+ [a-z0-9-]+)*|add KUBE-[A-Z0-9-]+ {_MEMBER}"),
    "ipvs.conf": re.compile(
        rf"-A {_SERVED} -s [a-z]+(?: -p [0-9]+)?(?: -b [a-z,-]+)?"
        rf"|-a {_SERVED} -r (?:{_IP}|\[{_IP}\]):[0-9]{{1,5}} -m -w [0-9]{{1,5}}"
    ),
    "addresses": re.compile(_NET),
}
"""What the lines of the other files are."""

LINE = re.compile(rf"#[ \w:,.]*|\*(?:filter|nat|mangle|raw)|:{_CHAIN} - \[0:0\]|COMMIT|{RULE}")


def node(variables: dict[str, Any]) -> settings.Settings:
    return settings.from_variables(variables, backends=BACKENDS)[0]


def check_files(found: catalogues.Catalogue, own: settings.Settings) -> None:
    """Every line of the node's files is one of the grammar, and they hold the rule set that the engine built."""
    rendered = support.rendered(found, own)
    for family in own.ip_families:
        text = rendered[ruleset.FILES[family]]
        strange = [line for line in text.splitlines() if not LINE.fullmatch(line)]
        assert not strange
        assert text.isascii()
        assert text.count("\n") == len(text.splitlines())
        assert ruleset.parse(text) == support.rule_set(found, own, family)
    for name, line in OTHER_LINES.items():
        assert not [each for each in rendered.get(name, "").splitlines() if not line.fullmatch(each)]
    # The settings are no rules, and whatever they hold, a node makes the same of them.
    assert support.rendered(found, files.settings_of(rendered)) == rendered


@given(objects=strategies.catalogues(), variables=strategies.variables())
def test_render_reads_back(objects: list[dict[str, Any]], variables: dict[str, Any]) -> None:
    found, own = catalogue(*objects), node(variables)
    check_files(found, own)
    for family in own.ip_families:
        rules = support.rule_set(found, own, family)
        assert ruleset.parse(ruleset.text(rules)) == rules


@given(objects=strategies.catalogues(), variables=strategies.variables())
def test_every_way_leads_somewhere(objects: list[dict[str, Any]], variables: dict[str, Any]) -> None:
    """No jump to a chain that is not there, no chain of a service port that nothing leads to, the node ports last."""
    found, own = catalogue(*objects), node(variables)
    for family in own.ip_families:
        for table, chains in support.rule_set(found, own, family).items():
            led = {
                match[1] for lines in chains.values() for rule in lines if (match := re.search(r"-j (KUBE-\S+)$", rule))
            }
            assert led <= set(chains), table
            idle = {chain for chain in chains if re.match("KUBE-(SVC|SVL|EXT|FW|SEP|HP)-", chain)} - led
            # Until 1.23 a port's chains were made whether anything led to them or not.
            assert not idle or own.compat != "1.36", table
            assert all(len(chain) <= 28 for chain in chains)
            assert all(
                len(text) <= 255 for lines in chains.values() for rule in lines for text in re.findall(r'"(.*)"', rule)
            )
            if table == "nat" and own.nodeport_addresses in ((), ("primary",)):
                assert "must be the last rule" in chains["KUBE-SERVICES"][-1]


# --- shares


@given(count=st.integers(1, 400))
def test_shares_are_equal(count: int) -> None:
    """The chance of each endpoint: that its rule matches, times that none before it did."""
    ends = [f"10.244.{n // 250}.{n % 250 + 1}" for n in range(count)]
    own = node({**NODE, "sluice_endpoint_comments": "never"})
    rules = support.rule_set(catalogue(service(), endpoint_slice(*ends)), own, IPV4)["nat"]
    chain = rules[names.chain_name("KUBE-SVC-", "shop/web", "tcp")]
    left, shares = Fraction(1), []
    for rule in chain:
        chance = re.search(r"--probability (\S+)", rule)
        steps = round(float(chance[1]) * 0x80000000) if chance else 0x80000000
        shares.append(left * Fraction(steps, 0x80000000))
        left -= shares[-1]
    assert len(shares) == count
    assert left == 0
    # The kernel's fixed point is off by at most half a step a rule, and kube-proxy's ten digits by half of the last.
    error = (Fraction(1, 0x80000000) + Fraction(1, 10**10)) / 2
    assert all(abs(share - Fraction(1, count)) <= error * count for share in shares)


# --- names


class Name(NamedTuple):
    prefix: str
    service_port: str
    protocol: str
    endpoint: str


LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,6}[a-z0-9])?", fullmatch=True) | st.sampled_from(
    ["a", "atcp", "tcp", "udp"]
)
NAMES = st.builds(
    Name,
    prefix=st.sampled_from(["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-XLB-", "KUBE-SEP-"]),
    service_port=st.builds(names.display_name, LABELS, LABELS, LABELS | st.just("")),
    protocol=st.sampled_from(["tcp", "udp", "sctp"]),
    endpoint=st.just("") | st.from_regex(r"10\.0\.0\.[1-9]:[1-9]{1,3}|\[fd00::[1-9a-f]\]:[1-9]", fullmatch=True),
)


@given(wanted=st.lists(NAMES, min_size=2, max_size=40, unique=True))
def test_chain_names_never_collide(wanted: list[Name]) -> None:
    assert len({names.chain_name(*name) for name in wanted}) == len(wanted)
    assert all(re.fullmatch(r"KUBE-[A-Z]{2,3}-[A-Z2-7]{16}", names.chain_name(*name)) for name in wanted)


@given(objects=strategies.catalogues(8))
def test_chains_of_a_catalogue_never_collide(objects: list[dict[str, Any]]) -> None:
    """Every endpoint chain rewrites to one destination: two ports that shared one would have two."""
    for chain, rules in support.rule_set(catalogue(*objects), node(NODE), IPV4)["nat"].items():
        if chain.startswith(("KUBE-SEP-", "KUBE-HP-")):
            assert sum("DNAT" in rule for rule in rules) == 1


# --- what hostile text can do

SEED = [
    service(
        ip=["10.96.0.1", "fd00:96::1"],
        type="LoadBalancer",
        externalTrafficPolicy="Local",
        externalIPs=["198.51.100.1"],
        ingress=["192.0.2.1", "2001:db8::1"],
        loadBalancerSourceRanges=["203.0.113.0/24", "2001:db8:1::/64"],
        sessionAffinity="ClientIP",
        sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}},
        selector={"app": "web"},
        healthCheckNodePort=32000,
        labels={"a": "b"},
        annotations={"sluice.io/weight": "3"},
        ports=[{"name": "http", "port": 80, "targetPort": "http", "nodePort": 30080, "protocol": "TCP"}],
    ),
    endpoint_slice(
        endpoint("10.244.0.1", "node1", ready=True, zones=["a"], nodes=["node1"]),
        ports=[{"name": "http", "port": 8080, "protocol": "TCP"}],
    ),
    endpoint_slice(
        endpoint("fd00:244::1", "node1"), family=IPV6, ports=[{"name": "http", "port": 8080, "protocol": "TCP"}]
    ),
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent", "namespace": "shop", "uid": "6b3a"},
        "spec": {
            "nodeName": "node1",
            "containers": [
                {"ports": [{"containerPort": 91, "hostPort": 92, "hostIP": "10.0.0.10", "protocol": "TCP"}]}
            ],
        },
        "status": {"podIP": "10.244.0.9"},
    },
    {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "node1", "labels": {"topology.kubernetes.io/zone": "a"}},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.10"}]},
    },
]
HOST = {
    "name": "h",
    "labels": {"app": "web"},
    "endpoint_ip": "10.0.0.7",
    "ports": {"http": 80},
    "node": "n",
    "weight": 1,
}


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each value within ``value``."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(path for key, entry in entries for path in paths(entry, (*here, key)))]


SOUND = catalogue(*SEED)
BOTH_FAMILIES = {**NODE, "sluice_ip_families": [IPV4, IPV6]}
PATHS = paths(SEED)[1:]


@st.composite
def spoilt(draw: st.DrawFn) -> list[dict[str, Any]]:
    """SEED with one to three values that are something else, or a key that is."""
    objects: Any = json.loads(json.dumps(SEED))
    for path in draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=3)):
        holder = objects
        try:
            for step in path[:-1]:
                holder = holder[step]
            old = holder[path[-1]]
            text = str(old) if not isinstance(old, (dict, list)) else ""
            bad = draw(strategies.HOSTILE)
            new = draw(strategies.VALUES | st.sampled_from([text + bad, bad + text]))
            if isinstance(holder, dict) and draw(st.integers(0, 5)) == 0:
                holder[draw(strategies.HOSTILE)] = holder.pop(path[-1])
            else:
                holder[path[-1]] = new
        except (KeyError, IndexError, TypeError):
            continue  # what stood there was replaced before
    return list(objects)


def built(objects: list[Any], hosts: Any = ()) -> catalogues.Catalogue | None:
    """The catalogue, or None where the objects are refused, with one printable line a fault."""
    try:
        return sources.catalogue_of(sources.read([], objects), hosts, render.checks_for([node(NODE)]))[0]
    except InputError as error:
        assert error.faults
        assert all(str(fault).isprintable() for fault in error.faults)
        return None


def check_setting(name: str, value: Any) -> None:
    try:
        own = node({**BOTH_FAMILIES, name: value})
    except InputError as error:
        assert all(str(fault).isprintable() for fault in error.faults)
        return
    check_files(SOUND, own)


def check_refused_or_harmless(objects: list[Any], compat: str = "1.36") -> None:
    found = built(objects)
    if found is None:
        return
    own = node({**BOTH_FAMILIES, "sluice_compat": compat, "sluice_cluster_cidrs": ["10.0.0.0/8"]})
    check_files(found, own)
    assert compiled.load(compiled.text(found)) == found


@pytest.mark.parametrize("nasty", strategies.NASTY)
def test_no_nasty_text_in_any_field_becomes_a_rule(nasty: str) -> None:
    """Every field of every kind of object in turn, instead of what stands there, before it and behind it."""
    for path in PATHS:
        objects: Any = json.loads(json.dumps(SEED))
        holder = objects
        for step in path[:-1]:
            holder = holder[step]
        old = holder[path[-1]]
        for new in [nasty] if isinstance(old, (dict, list)) else [nasty, f"{nasty}{old}", f"{old}{nasty}"]:
            holder[path[-1]] = new
            check_refused_or_harmless(objects)


@pytest.mark.parametrize("nasty", strategies.NASTY)
def test_no_nasty_text_in_any_setting_becomes_a_rule(nasty: str) -> None:
    for name in settings.to_variables(settings.Settings()):
        for value in (nasty, [nasty], {nasty: nasty}):
            check_setting(name, value)


@given(objects=spoilt(), compat=st.sampled_from(["1.20", "1.36"]))
def test_no_text_of_a_manifest_becomes_a_rule(objects: list[Any], compat: str) -> None:
    check_refused_or_harmless(objects, compat)


@given(key=st.sampled_from(sorted(HOST)), value=strategies.VALUES)
def test_no_text_of_an_inventory_host_becomes_a_rule(key: str, value: Any) -> None:
    found = built([SEED[0]], [{**HOST, key: value}])
    if found is not None:
        check_files(found, node(NODE))


@given(
    name=st.sampled_from(sorted(settings.to_variables(settings.Settings()))),
    value=strategies.VALUES | st.lists(strategies.HOSTILE, max_size=2),
)
def test_no_text_of_a_setting_becomes_a_rule(name: str, value: Any) -> None:
    check_setting(name, value)


# --- what is kept and read again


@given(variables=strategies.variables())
def test_settings_come_back(variables: dict[str, Any]) -> None:
    own = node(variables)
    assert node(settings.to_variables(own)) == own
    assert node(json.loads(json.dumps(settings.to_variables(own)))) == own


def json_paths(value: Any, here: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    """The way to each value within lists."""
    entries = enumerate(value) if isinstance(value, list) else ()
    return [here, *(path for key, entry in entries for path in json_paths(entry, (*here, key)))]


COMPILED = json.loads(json.dumps(SOUND))
COMPILED_PATHS = json_paths(COMPILED)[1:]


@st.composite
def spoilt_compiled(draw: st.DrawFn) -> str:
    """The compiled SOUND with one to three values that are something else, and a digest that is right."""
    value = json.loads(json.dumps(COMPILED))
    for path in draw(st.lists(st.sampled_from(COMPILED_PATHS), min_size=1, max_size=3)):
        holder = value
        try:
            for step in path[:-1]:
                holder = holder[step]
            old, bad = holder[path[-1]], draw(strategies.HOSTILE)
            text = old if isinstance(old, str) else ""
            holder[path[-1]] = draw(strategies.VALUES | st.sampled_from([text + bad, bad + text]) | OTHERS)
            if draw(st.integers(0, 9)) == 0:
                holder.append(holder[path[-1]])
        except (IndexError, TypeError, KeyError, AttributeError):
            continue  # what stood there was replaced before
    body = json.dumps(value, separators=(",", ":")) + "}\n"
    return compiled.FORMAT % compiled.digest(body) + body


OTHERS = st.sampled_from(
    ["10.0.0.9", "fd00::9", "10.0.0.0/8", "a", "UDP", "sh", "sh-port", 1, 0, True, None, [], [["a", "b"]]]
)
"""Values that are sound somewhere."""


@pytest.mark.parametrize("backend", BACKENDS)
@given(text=spoilt_compiled(), compat=st.sampled_from(["1.18", "1.20", "1.36"]))
def test_a_compiled_catalogue_brings_nothing_but_rules(backend: str, text: str, compat: str) -> None:
    """Whoever wrote it, and with whatever digest: it is refused in a line, or each line of the files is of its form."""
    try:
        found = compiled.load(text)
    except ValueError as error:
        assert str(error).isprintable()
        return
    try:
        check_files(found, node({**BOTH_FAMILIES, "sluice_compat": compat, "sluice_backend": backend}))
    except InputError as error:
        assert all(str(fault).isprintable() for fault in error.faults)


@given(objects=strategies.catalogues(8))
def test_compiled_catalogue_comes_back(objects: list[dict[str, Any]]) -> None:
    found = catalogue(*objects)
    assert compiled.load(compiled.text(found)) == found
