"""Rules of one Service that are gone, in the wrong order, or lead to another Service: each is told, and it hurts."""

from __future__ import annotations

import pytest
from planted import CASES, moved, odd, recorded, replaced, said, spoilt, without

OLD, NEW = "1.20", "1.36"
PLANTED = [
    (OLD, "12-nodeport", r"-A KUBE-NODEPORTS .*-j KUBE-MARK-MASQ", "address whose packets are not masqueraded"),
    (OLD, "12-nodeport", r"-A KUBE-NODEPORTS .*-j KUBE-SVC-", "address of a Service that leads to no endpoint"),
    (OLD, "12-nodeport", r"-A KUBE-SERVICES -d .*cluster IP.*-j KUBE-SVC-", "address of a Service that leads to no"),
    (OLD, "24-externalips", r"external IP.*-j KUBE-MARK-MASQ", "address whose packets are not masqueraded"),
    (OLD, "24-externalips", r"--dst-type LOCAL -j KUBE-SVC-", "external IP with one rule instead of two"),
    (OLD, "16-loadbalancer", r"-A KUBE-FW-.*-j KUBE-MARK-MASQ", "address whose packets are not masqueraded"),
    (OLD, "16-loadbalancer", r"-A KUBE-FW-.*-j KUBE-SVC", "chain of a load balancer's address that leads to no"),
    (OLD, "18-loadbalancer-sourceranges", r"-j KUBE-MARK-DROP", "fence without a rule that drops the others"),
    (OLD, "20-loadbalancer-local", r"Redirect pods", "no rule by which Pods reach all endpoints"),
    (OLD, "20-loadbalancer-local", r"masquerade LOCAL", "what the node itself sends there is not masqueraded"),
    (OLD, "20-loadbalancer-local", r"route LOCAL", "no rule by which the node itself reaches all endpoints"),
    (OLD, "20-loadbalancer-local", r"Balancing rule 0", "endpoints of this node of which one is left out"),
    (
        OLD,
        "14-nodeport-local-with-local-ep",
        r"KUBE-XLB.*Balancing rule 0",
        "chain for clients outside that leads to no",
    ),
    (OLD, "20-loadbalancer-local", r"KUBE-SVC.*0.25", "endpoint of this node that is not among all endpoints"),
    (NEW, "24-externalips", r"masquerade traffic for", "clients outside are not masqueraded"),
    (NEW, "24-externalips", r"-A KUBE-EXT-\S+ -j KUBE-SVC-", "chain for clients outside that leads to no endpoint"),
    (NEW, "18-loadbalancer-sourceranges", r"traffic not accepted by", "fence without a rule that drops the others"),
    (NEW, "18-loadbalancer-sourceranges", r"loadbalancer IP.*-j KUBE-FW", "load balancer's address that drops all"),
    (NEW, "20-loadbalancer-local", r'"pod traffic for', "no rule by which Pods reach all endpoints"),
    (NEW, "20-loadbalancer-local", r'"masquerade LOCAL', "what the node itself sends there is not masqueraded"),
    (NEW, "20-loadbalancer-local", r'"route LOCAL', "no rule by which the node itself reaches all endpoints"),
    (NEW, "20-loadbalancer-local", r"cluster IP.*-j KUBE-MARK-MASQ", "cluster IP that is not masqueraded"),
    (NEW, "08-multi-port-named", r"cluster IP.*-j KUBE-MARK-MASQ", "cluster IP that is not masqueraded"),
    (OLD, "08-multi-port-named", r"cluster IP.*-j KUBE-MARK-MASQ", "cluster IP that is not masqueraded"),
]


@pytest.mark.parametrize(("version", "case", "pattern", "what"), PLANTED)
def test_rule_that_is_gone(version: str, case: str, pattern: str, what: str) -> None:
    found = odd(spoilt(recorded(case, version=version)[".rules"], pattern, ""))
    assert any(each.hurts and each.what.startswith(what) and "default/" in each.where for each in found), found


LATE = [
    (OLD, "12-nodeport", r"-A KUBE-NODEPORTS .*MASQ", "-A KUBE-NODEPORTS", "masqueraded too late"),
    (OLD, "12-nodeport", r"-A KUBE-SERVICES .*cluster IP.*MASQ", "cluster IP", "masqueraded too late"),
    (NEW, "12-nodeport", r"-A KUBE-SVC-.*MASQ", "-A KUBE-SVC-", "masqueraded too late"),
    (NEW, "12-nodeport", r"-A KUBE-EXT-.*MASQ", "-A KUBE-EXT-", "clients outside are not masqueraded"),
    (NEW, "20-loadbalancer-local", r"-A KUBE-EXT-.*route LOCAL", "-A KUBE-EXT-", "behind those for all"),
    (OLD, "20-loadbalancer-local", r"-A KUBE-XLB-.*Redirect", "-A KUBE-XLB-", "behind those for all"),
    (OLD, "20-loadbalancer-local", r"-A KUBE-XLB-.*masquerade LOCAL", "route LOCAL", "masqueraded too late"),
    (OLD, "18-loadbalancer-sourceranges", r"-A KUBE-FW-.* -s ", "-A KUBE-FW-", ""),
    (OLD, "18-loadbalancer-sourceranges", r"-A KUBE-FW-.*MASQ", "-A KUBE-FW-", "not masqueraded"),
]


@pytest.mark.parametrize(("version", "case", "pattern", "behind", "what"), LATE)
def test_rule_that_comes_too_late(version: str, case: str, pattern: str, behind: str, what: str) -> None:
    if not what:
        pattern, what = r"-A KUBE-FW-.*MARK-DROP", "fence that drops before it lets in"
        text = moved(recorded(case, version=version)[".rules"], r"-A KUBE-FW-.*203.0.113.0", behind)
        text = moved(text, r"-A KUBE-FW-.*192.0.2.1", behind)
    else:
        text = moved(recorded(case, version=version)[".rules"], pattern, behind)
    found = odd(text)
    assert any(each.hurts and what in each.what for each in found), found


@pytest.mark.parametrize("version", [OLD, NEW])
def test_service_that_leads_to_another_ones_chain(version: str) -> None:
    text = recorded("08-multi-port-named", version=version)[".rules"]
    led = sorted({line.rpartition(" ")[2] for line in text.splitlines() if " -j KUBE-SVC-" in line})
    found = odd(replaced(text, f"-j {led[0]}\n", f"-j {led[1]}\n"))
    misled = [each for each in found if each.what == "Service that leads to another one's chain"]
    assert [each.hurts for each in misled] == [True]
    assert misled[0].where.count("default/") == 2, "it names both"


@pytest.mark.parametrize("version", [OLD, NEW])
def test_two_services_at_one_address(version: str) -> None:
    text = recorded("12-nodeport", version=version)[".rules"]
    line = next(line for line in text.splitlines() if "-A KUBE-SERVICES" in line and "-j KUBE-SVC-" in line)
    found = said(replaced(text, line, f"{line}\n{line.replace('default/web', 'default/other')}"))
    assert "! two Services at one address and port" in found
    assert "10.96.0.50:80/tcp of default/web and default/other" in found


@pytest.mark.parametrize("rule", ["-d 10.96.0.0/12 -j ACCEPT", "-d 10.96.0.50/32 -p tcp -m tcp --dport 80 -j DROP"])
@pytest.mark.parametrize(("table", "chain"), [("nat", "KUBE-SERVICES"), ("filter", "KUBE-SERVICES")])
def test_rule_of_somebody_else_in_our_chain(table: str, chain: str, rule: str) -> None:
    text = replaced(recorded("12-nodeport")[".rules"], f"*{table}\n", f"*{table}\n-A {chain} {rule}\n")
    assert f"! a rule in {chain} that is of no Service" in said(text)


def test_health_check_that_no_rule_lets_in() -> None:
    text = without(recorded("20-loadbalancer-local")[".rules"], "health check node port")
    assert "- policy Local without a rule for health checks" in said(text)


def test_node_port_for_loopback_alone() -> None:
    """A proxy that counts what comes by loopback has a rule for that, before the one for all."""
    text = recorded("12-nodeport")[".rules"]
    line = next(line for line in text.splitlines() if "-A KUBE-NODEPORTS" in line)
    counting = line.replace(" -p tcp", " -d 127.0.0.0/8 -p tcp").replace(" -j", " -m nfacct --nfacct-name n -j")
    assert "node port without the rule" not in said(replaced(text, line, f"{counting}\n{line}"))
    assert "! node port without the rule for all addresses" in said(replaced(text, line, counting))


def test_names_that_somebody_has_changed_are_no_fault() -> None:
    texts = [recorded(case, version=version)[".rules"] for case, mode, version in CASES if mode == "iptables"]
    assert texts
    assert not [found for text in texts for found in odd(text.replace("default/", "hidden/"))]
