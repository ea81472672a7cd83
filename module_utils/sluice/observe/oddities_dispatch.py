"""Oddities of one Service in iptables' rules: an address that leads to others, or not by all of the rules it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .. import names
from .iptables_chains import EXTENSIONS, Jumps
from .iptables_rules import Tables, target_name
from .oddity import Oddity, few
from .services_iptables import OF_A_SERVICE, Dispatch, dispatch

ANEW = "have the proxy write all of its rules anew (sluice apply, or restart kube-proxy)"
_MASQUERADE = "KUBE-MARK-MASQ"
_NO_ANSWER = "what it sends on keeps its client's address: endpoints answer past this node, and clients take no answer"


class ServiceRules:
    """The rules that list one service port. ``digest``: what its chains' names end in, as far as rules tell."""

    def __init__(self, name: str, protocol: str) -> None:
        self.name = name
        self.protocol = protocol
        self.rules: list[tuple[str, str, Dispatch]] = []
        self.hashed = ""
        """The name as it goes into hashes; empty where its chains are not named after it."""
        self.digest = ""
        self.has_health_check = False

    def add(self, table: str, chain: str, rule: Dispatch) -> None:
        self.rules.append((table, chain, rule))
        part = OF_A_SERVICE.match(rule.target) if table == "nat" and not self.hashed else None
        if part:
            self.digest = self.digest or part[2]
            for name in (self.name, f"{self.name}:"):  # up to 1.18 a port without a name left its colon
                if names.is_hash_of(name + self.protocol, part[2]):
                    self.hashed, self.digest = name, part[2]

    @property
    def listed(self) -> Mapping[tuple[str, str, int], list[Dispatch]]:
        """The rules of nat by what they are for: ``cluster IP`` and the like (a node port's: empty), address, port."""
        found: dict[tuple[str, str, int], list[Dispatch]] = {}
        for table, _chain, rule in self.rules:
            if table == "nat":
                found.setdefault((rule.said, rule.address, rule.port), []).append(rule)
        return found


def listed(tables: Tables) -> tuple[list[ServiceRules], list[tuple[str, str, str]]]:
    """The Services that the shared chains list, and the rules there that are of none: table, chain and text."""
    found: dict[tuple[str, str], ServiceRules] = {}
    others: list[tuple[str, str, str]] = []
    checked: set[str] = set()
    for table, chain, rule in dispatch(tables):
        if not rule.is_of_a_service:
            others.append((table, chain, rule.text))
        elif table == "filter" and chain == "KUBE-NODEPORTS":
            checked.add(rule.name)
        else:
            key = rule.name, rule.protocol
            of = found.get(key)
            if of is None:
                of = found[key] = ServiceRules(*key)
            of.add(table, chain, rule)
    for of in found.values():
        of.has_health_check = of.name in checked
    return list(found.values()), others


def found(tables: Tables, jumps: Jumps, where: str, services: Sequence[ServiceRules]) -> Iterator[Oddity]:
    """Those of one ``iptables-save``."""
    yield from _misled(services, where)
    yield from _shared(services, where)
    chains = tables.rules.get("nat", {})
    lacking: dict[tuple[str, str], list[str]] = {}
    unchecked = []
    masquerades, tells = _evidence(services, chains)
    for service in services:
        for place, what, effect in _lacks(service, chains, jumps, masquerades=masquerades, tells=tells):
            lacking.setdefault((what, effect), []).append(f"{service.name}: {place}")
        if "filter" in tables.rules:
            if _lacks_check(service, tables, chains):
                unchecked.append(service.name)
            for place, what, effect in _unfenced(service, tables, chains):
                lacking.setdefault((what, effect), []).append(f"{service.name}: {place}")
    for (what, effect), places in lacking.items():
        yield Oddity(what, f"{where}: {few(places)}", effect, ANEW, True)
    if unchecked:
        effect = "a rule or a policy that drops in INPUT drops the health checks of load balancers"
        what = "policy Local without a rule for health checks"
        yield Oddity(what, f"{where} filter: KUBE-NODEPORTS: {few(unchecked)}", effect, ANEW, False)


def _lacks_check(service: ServiceRules, tables: Tables, chains: Mapping[str, Sequence[str]]) -> bool:
    if tables.chain("filter", "KUBE-NODEPORTS") is None or service.has_health_check:
        return False
    has_address = any(rule.said == "loadbalancer IP" for _table, _chain, rule in service.rules)
    return has_address and _is_local(chains.get(f"KUBE-EXT-{service.digest}", ()))


def _is_local(rules: Sequence[str]) -> bool:
    """Whether a chain for clients outside is of policy Local."""
    return any("-m addrtype" in text or _is_for_pods(text) for text in rules)


def _misled(services: Sequence[ServiceRules], where: str) -> Iterator[Oddity]:
    """Chains are named after their Service. Where hardly any is, somebody has changed names before showing them."""
    right = Counter(bool(service.hashed) for service in services if service.digest)
    owners = {service.digest: service.name for service in services if service.hashed}
    led: list[str] = []
    for service in services:
        for table, chain, rule in service.rules:
            part = OF_A_SERVICE.match(rule.target) if table == "nat" else None
            if not part or part[2] == (service.digest if service.hashed else ""):
                continue
            if part[2] in owners or (service.hashed and part[2] != service.digest) or right[True] > right[False]:
                whose = owners.get(part[2], "nobody that is known")
                led.append(f"{chain}, {service.name} at {rule.address or 'node port'}:{rule.port} to {whose}")
    if led:
        effect = "its clients are sent to endpoints of another Service, or to none"
        yield Oddity("Service that leads to another one's chain", f"{where} nat: {few(led)}", effect, ANEW, True)


def _shared(services: Sequence[ServiceRules], where: str) -> Iterator[Oddity]:
    first: dict[tuple[str, str, int, str], str] = {}
    both: list[str] = []
    for service in services:
        for said, address, port in service.listed:
            key = address, "" if said else "node port", port, service.protocol
            other = first.setdefault(key, service.name)
            if other != service.name:
                both.append(f"{address or 'node port'}:{port}/{service.protocol} of {other} and {service.name}")
    if both:
        effect = "whose rule comes first gets all of the packets, the other one gets none"
        yield Oddity(
            "two Services at one address and port", f"{where}: {few(both)}", effect, "change one of them", True
        )


def _evidence(services: Iterable[ServiceRules], chains: Mapping[str, Sequence[str]]) -> tuple[bool, bool]:
    """Whether cluster IPs are masqueraded here, and whether the cluster's own network is known."""
    masquerades = tells = False
    for service in services:
        for (said, _address, _port), rules in service.listed.items():
            if said == "cluster IP":
                texts = [rule.text for rule in rules if rule.target == _MASQUERADE]
                texts += [text for rule in rules for text in _own(rule.target, chains)[:1] if _MASQUERADE in text]
                masquerades |= bool(texts)
                tells |= any("! -s " in text or "! -i " in text for text in texts)
        if masquerades and tells:
            break
    if not tells:
        tells = any(
            _is_for_pods(text)
            for name, rules in chains.items()
            if name.startswith(("KUBE-EXT-", "KUBE-XLB-"))
            for text in rules[:1]
        )
    return masquerades or tells, tells


def _first_choice(rules: Sequence[str]) -> int:
    """Where a Service's chain begins to choose an endpoint."""
    return next((at for at, text in enumerate(rules) if "KUBE-SEP-" in text), len(rules))


def _is_for(text: str, address: str, port: int) -> bool:
    """Whether a rule masquerades what is for an address and port; no address for a node port."""
    return text.endswith(_MASQUERADE) and f" --dport {port} " in text and (f"-d {address}/" in text or not address)


def _own(target: str, chains: Mapping[str, Sequence[str]]) -> Sequence[str]:
    return chains.get(target, ()) if target.startswith("KUBE-S") else ()


def _is_for_pods(text: str) -> bool:
    return '"pod traffic for ' in text or '"Redirect pods trying' in text


def _lacks(
    service: ServiceRules, chains: Mapping[str, Sequence[str]], jumps: Jumps, *, masquerades: bool, tells: bool
) -> Iterator[tuple[str, str, str]]:
    """What is missing of a service port: where, what, and what comes of it."""
    own = service.listed
    for (said, address, port), rules in own.items():
        targets = [rule.target for rule in rules]
        ends = [target[5:8] for target in targets if OF_A_SERVICE.match(target)]
        place = f"{said or 'node port'} {f'{address}:' if address else ''}{port}"
        if not ends:
            if any(target == _MASQUERADE for target in targets):
                yield place, "address of a Service that leads to no endpoint", "nobody answers there"
            continue
        marked = _MASQUERADE in targets
        led = [_own(target, chains) for target in targets]
        if (marked and targets.index(_MASQUERADE) > _first(targets, "KUBE-SV", "KUBE-XLB")) or any(
            _MASQUERADE in text for each in led for text in each[_first_choice(each) :]
        ):
            yield place, "address whose packets are masqueraded too late", _NO_ANSWER
        if said == "cluster IP":
            marked |= any(_MASQUERADE in text for rule in rules for text in _own(rule.target, chains)[:1])
            if masquerades and not marked:
                yield place, "cluster IP that is not masqueraded, as others are", _NO_ANSWER
        # In 1.22 and 1.23 the chain of the Service masquerades what comes by a node port or an address for the world.
        marked |= any(_is_for(text, address, port) for each in led for text in each[: _first_choice(each)])
        if said != "cluster IP" and ("SVC" in ends or not said) and not marked and "EXT" not in ends:
            yield place, "address whose packets are not masqueraded", _NO_ANSWER
        if not said and address and ("", "", port) not in own and address.startswith("127."):
            effect = "the node port answers on loopback alone"
            yield place, "node port without the rule for all addresses", effect
        if said == "external IP" and "EXT" not in ends and len(ends) == 1:
            effect = "of clients outside or of the node itself some are not served"
            yield place, "external IP with one rule instead of two", effect
    every = {*jumps.of("nat", f"KUBE-SVC-{service.digest}")}
    outside = [end for end in jumps.of("nat", f"KUBE-XLB-{service.digest}") if end.startswith("KUBE-SEP-")]
    if any(end not in every for end in outside):  # since 1.24 one that terminates may serve this node alone
        effect = "it gets connections from outside, and none that come by the cluster IP"
        yield f"KUBE-SVC-{service.digest}", "endpoint of this node that is not among all endpoints", effect
    for part in ("EXT", "XLB", "FW"):
        name = f"KUBE-{part}-{service.digest}"
        if chains.get(name) and service.hashed:
            for what, effect in _CHAINS[part](service, chains[name], jumps.of("nat", name), tells):
                yield name, what, effect


_Lack = tuple[str, str]


def _ext(service: ServiceRules, rules: Sequence[str], targets: Sequence[str], tells: bool) -> Iterator[_Lack]:
    plain = [target for text, target in zip(rules, targets) if text.startswith("-j ")]
    refuses = any(rule.said.startswith("has no") for table, _chain, rule in service.rules if table == "filter")
    if not plain and not refuses:
        yield "chain for clients outside that leads to no endpoint", "nobody answers them"
    if not _is_local(rules):
        if _MASQUERADE not in targets or targets.index(_MASQUERADE) > _first(targets, "KUBE-SV"):
            yield "clients outside are not masqueraded", _NO_ANSWER
        return
    yield from _locally(rules, targets, tells)


def _xlb(_service: ServiceRules, rules: Sequence[str], targets: Sequence[str], tells: bool) -> Iterator[_Lack]:
    yield from _locally(rules, targets, tells)
    balanced = [text for text in rules if '"Balancing rule ' in text]
    if not balanced and "KUBE-MARK-DROP" not in targets:
        yield "chain for clients outside that leads to no endpoint", "nobody answers them"
    if any(f'"Balancing rule {number} for' not in text for number, text in enumerate(balanced)):
        effect = "an endpoint of this node gets no connections from outside, or not its share"
        yield "endpoints of this node of which one is left out, or out of order", effect


def _locally(rules: Sequence[str], targets: Sequence[str], tells: bool) -> Iterator[_Lack]:
    """What policy Local takes for clients that it does not bind: Pods, and the node itself."""
    if tells and not any(map(_is_for_pods, rules)):
        effect = "Pods that call the address are served by this node's endpoints alone, or by nobody"
        yield "no rule by which Pods reach all endpoints", effect
    own = [target for text, target in zip(rules, targets) if "--src-type LOCAL" in text]
    if _MASQUERADE not in own:
        yield "what the node itself sends there is not masqueraded", _NO_ANSWER
    if not any(target.startswith("KUBE-SVC-") for target in own):
        effect = "the node itself is served by its own endpoints alone, or by nobody"
        yield "no rule by which the node itself reaches all endpoints", effect
    plain = _first(
        [each if not _is_for_some(text) else "" for text, each in zip(rules, targets)], "KUBE-S", "KUBE-MARK-DROP"
    )
    if any(_is_for_some(text) for text in rules[plain:]):
        effect = "Pods or the node itself are served by this node's endpoints alone, or by nobody"
        yield "rules for Pods and the node itself behind those for all", effect
    if own and own[0] != _MASQUERADE:
        yield "what the node itself sends there is masqueraded too late", _NO_ANSWER


def _is_for_some(text: str) -> bool:
    return "--src-type LOCAL" in text or _is_for_pods(text)


def _firewall(_service: ServiceRules, rules: Sequence[str], targets: Sequence[str], _tells: bool) -> Iterator[_Lack]:
    if not any(OF_A_SERVICE.match(target) for target in targets):
        yield "chain of a load balancer's address that leads to no endpoint", "nobody answers there"
        return
    drops = [at for at, target in enumerate(targets) if target == "KUBE-MARK-DROP"]
    told = any("will be dropped by" in text for text in rules)
    fenced = any(text.startswith("-s ") for text in rules)
    if not drops and not told and fenced:
        yield "fence without a rule that drops the others", "loadBalancerSourceRanges keep nobody out"
    last = max(at for at, target in enumerate(targets) if OF_A_SERVICE.match(target))
    if drops and drops[-1] < last and drops[0] < _first(targets, "KUBE-SVC", "KUBE-XLB", "KUBE-EXT"):
        yield "fence that drops before it lets in", "clients that may enter are dropped"
    first = _first(targets, "KUBE-SVC")
    if first < len(targets) and _MASQUERADE not in targets[:first]:
        yield "address whose packets are not masqueraded", _NO_ANSWER


_CHAINS = {"EXT": _ext, "XLB": _xlb, "FW": _firewall}


def _first(targets: Sequence[str], *starts: str) -> int:
    return next((at for at, target in enumerate(targets) if target.startswith(starts)), len(targets))


def _unfenced(
    service: ServiceRules, tables: Tables, chains: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, str, str]]:
    """A fence since 1.26 is a chain of nat that lets in, and a rule of filter that drops what that did not take."""
    if tables.chain("filter", "KUBE-PROXY-FIREWALL") is None or "nat" not in tables.rules:
        return
    dropped = {(rule.address, rule.port) for _t, chain, rule in service.rules if chain == "KUBE-PROXY-FIREWALL"}
    fenced = {
        (rule.address, rule.port)
        for table, _chain, rule in service.rules
        if table == "nat" and rule.target.startswith("KUBE-FW-")
        if any("will be dropped by" in text for text in chains.get(rule.target, ()))
    }
    for address, port in sorted(fenced - dropped):
        effect = "loadBalancerSourceRanges keep nobody out"
        yield f"{address}:{port}", "fence without a rule that drops the others", effect
    led = {(rule.address, rule.port) for table, _chain, rule in service.rules if table == "nat"}
    for address, port in sorted(dropped - led):
        yield f"{address}:{port}", "load balancer's address that drops all clients", "no rule lets any of them in"


def in_ours(others: Iterable[tuple[str, str, str]], where: str) -> Iterator[Oddity]:
    """Rules in the chains that list Services that are of none of them, and end a packet's way."""
    for table, chain, text in others:
        target = target_name(text)
        if target in EXTENSIONS and target not in ("LOG", "NFLOG", "TRACE") and "--match-set" not in text:
            if target == "RETURN" and text.startswith("-s "):
                continue
            yield Oddity(
                f"a rule in {chain} that is of no Service: {target}",
                f"{where} {table}: {chain}: {text}",
                "packets of Services whose rules come behind it may not reach them",
                f"see who has put it there, and {ANEW}",
                True,
            )
