"""What rules of iptables tell of a Service, where recorded dumps do not show it."""

from __future__ import annotations

from fractions import Fraction

import support

from sluice.addresses import IPV6
from sluice.observe import services_iptables
from sluice.observe.iptables_rules import Tables
from sluice.observe.service_ports import Endpoint, ServicePort
from sluice.observe.services_iptables import chooses


def _ports(text: str) -> list[ServicePort]:
    return list(services_iptables.ports(Tables(text), ""))


def test_released_with_a_colon() -> None:
    """Up to 1.18 a port without a name leaves one at the end; rules may have lost their comments in large clusters."""
    (found,) = _ports(
        "*nat\n-A KUBE-NODEPORTS -p tcp -m comment --comment ns/web: -m tcp --dport 31714 -j KUBE-XLB-A\n"
        '-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "ns/web: cluster IP" -m tcp --dport 80 '
        "-j KUBE-SVC-A\n"
        "-A KUBE-XLB-A -j KUBE-SEP-A\n"
        "-A KUBE-SVC-A -m statistic --mode random --probability 0.33332999982 -j KUBE-SEP-A\n"
        "-A KUBE-SVC-A -j KUBE-SEP-B\n"
        "-A KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination 10.1.0.1:80\n"
        "-A KUBE-SEP-B -p tcp -m tcp -j DNAT --to-destination 10.1.0.2:80\n"
    )
    assert (found.name, found.node_port, found.external_policy) == ("ns/web", 31714, "Local")
    assert found.local_endpoints == (Endpoint("10.1.0.1:80", Fraction(1)),)
    assert sum(each.share for each in found.endpoints) == 1


def test_protocols_of_nodes_without_their_names() -> None:
    (found,) = _ports(
        '*filter\n-A KUBE-SERVICES -d 10.96.0.1/32 -p 132 -m comment --comment "ns/web has no endpoints" -m sctp '
        "--dport 80 -j REJECT --reject-with icmp-port-unreachable\n"
    )
    assert (found.protocol, found.inside, found.entries) == ("sctp", "has no endpoints", 1)


def test_ipv6() -> None:
    objects = [support.service(ip="fd00::1"), support.endpoint_slice("fd00:1::1", family=IPV6)]
    written = support.rendered(support.catalogue(*objects), support.node(ip_families=["IPv6"]))
    (found,) = _ports(written["ip6tables.rules"])
    assert (found.cluster_ip, found.endpoints) == ("fd00::1", (Endpoint("[fd00:1::1]:8080", Fraction(1)),))


def test_other_programs_rules_are_no_services() -> None:
    assert not _ports(
        "*nat\n-A KUBE-SERVICES -m comment --comment mine -j ACCEPT\n-A DOCKER -p tcp --dport 80 -j DNAT "
        "--to-destination 172.17.0.2:80\n"
    )


def test_a_tree_of_prefix_chains_has_what_the_list_has() -> None:
    objects = [support.service(f"w{each}", ip=f"10.96.{each}.1", externalIPs=[f"192.0.2.{each}"]) for each in range(40)]
    objects += [support.endpoint_slice("10.0.0.1", of=f"w{each}") for each in range(30)]
    linear, prefix = (
        support.rendered(support.catalogue(*objects), support.node(iptables_dispatch=dispatch))["iptables.rules"]
        for dispatch in ("linear", "prefix")
    )
    former = support.with_former_names(prefix)
    assert (":KUBE-SVC-PFX-" in prefix, ":KUBE-PFX-" in former, len(list(_ports(linear)))) == (True, True, 40)
    assert sorted(_ports(prefix)) == sorted(_ports(former)) == sorted(_ports(linear))


def test_chains_that_choose() -> None:
    assert all(map(chooses, ("KUBE-SVC-QCHM5UNDVP2L3REZ", "KUBE-SVL-A", "KUBE-XLB-A")))
    assert not any(map(chooses, ("KUBE-SVC-PFX-QCHM5UNDVP2L3RE", "KUBE-PFX-A", "KUBE-SEP-A", "KUBE-EXT-A")))


def _behind_a_firewall(*rules: str) -> ServicePort:
    about = '-m comment --comment "ns/web loadbalancer IP"'
    (found,) = _ports(
        f"*nat\n-A KUBE-SERVICES -d 192.0.2.9/32 -p tcp {about} -m tcp --dport 80 -j KUBE-FW-A\n"
        + "".join(f"-A KUBE-FW-A {rule.format(about)}\n" for rule in rules)
    )
    return found


def test_who_may_enter() -> None:
    """A rule without a source is for all, of which up to 1.23 there was one beside those of other networks."""
    one, everyone = "-s 10.0.0.0/8 {} -j KUBE-XLB-A", "{} -j KUBE-XLB-A"
    node, rest = "-s 192.0.2.9/32 {} -j KUBE-XLB-A", "{} -j KUBE-MARK-DROP"
    for rules, ranges, node_may_enter in (
        ([everyone, rest], (), False),
        ([one, rest], ("10.0.0.0/8",), False),
        ([one, node, rest], ("10.0.0.0/8",), True),
        ([one, everyone, node, rest], ("10.0.0.0/8", "0.0.0.0/0"), True),
        ([everyone, node, rest], ("0.0.0.0/0",), True),
    ):
        found = _behind_a_firewall(*rules)
        assert (found.source_ranges, found.node_may_enter) == (ranges, node_may_enter)


def test_a_policy_of_which_no_rule_was_given() -> None:
    assert _behind_a_firewall("-s 10.0.0.0/8 {} -j KUBE-EXT-A").external_policy == ""
    assert _behind_a_firewall("-s 10.0.0.0/8 {} -j KUBE-XLB-A").external_policy == "Local"


def test_whose_a_refused_address_is() -> None:
    (found,) = _ports(
        '*filter\n-A KUBE-EXTERNAL-SERVICES -d 192.0.2.9/32 -p tcp -m comment --comment "ns/web has no endpoints" '
        "-m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable\n"
    )
    assert found.external_ips == found.unsure_ips == ("192.0.2.9",)
