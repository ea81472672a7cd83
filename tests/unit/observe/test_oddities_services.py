"""Services of which something is missing."""

from __future__ import annotations

from planted import odd, recorded, replaced, said, without

RULES = recorded("18-loadbalancer-sourceranges")[".rules"]


def test_cluster_ip_that_no_rule_leads_to() -> None:
    text = without(RULES, "-A KUBE-SERVICES -d 10.96.0.50/32")
    assert "! Service whose cluster IP is in no rule: default/web" in said(text)


def test_rule_that_is_missing() -> None:
    found = said(without(RULES, "masquerade traffic for default/web external destinations"))
    assert "- Service that has not what the law of its rules says: iptables: default/web: " in found


def test_real_server_that_is_missing() -> None:
    held = recorded("18-loadbalancer-sourceranges", "ipvs")
    held[".ipvs"] = without(held[".ipvs"], "-a -t 198.51.100.9:80 -r 10.244.2.10:8080")
    assert "ipvs: 10.96.0.50: 11 instead of 12" in said(*held.values())


def test_a_node_that_may_enter_has_a_rule_for_it() -> None:
    line = "-A KUBE-FW-LOLE4ISW44XBNF3G -s 203.0.113.0/24"
    rule = next(each for each in RULES.splitlines() if each.startswith(line))
    own = rule.replace("203.0.113.0/24", "198.51.100.9/32")
    assert not odd(replaced(RULES, rule, f"{rule}\n{own}"))


def test_laws_of_another_release_are_no_oddity() -> None:
    """Where none of many Services keeps the law, it is the law that is wrong."""
    chains = [
        "*nat",
        "-A PREROUTING -j KUBE-SERVICES",
        "-A OUTPUT -j KUBE-SERVICES",
        "-A POSTROUTING -j KUBE-POSTROUTING",
    ]
    chains += ["-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000"]
    chains += ["-A KUBE-POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE"]
    for number in range(1, 6):
        about = f'-m comment --comment "shop/s{number} cluster IP"'
        chains += [
            f"-A KUBE-SERVICES -d 10.96.0.{number}/32 -p tcp {about} -m tcp --dport 80 -j KUBE-SVC-{number}",
            f"-A KUBE-SVC-{number} -j KUBE-SEP-{number}",
            f"-A KUBE-SEP-{number} -m comment --comment more",
            f"-A KUBE-SEP-{number} -s 10.1.0.1/32 -j KUBE-MARK-MASQ",
            f"-A KUBE-SEP-{number} -p tcp -m tcp -j DNAT --to-destination 10.1.0.1:80",
        ]
    assert not odd("\n".join([*chains, "COMMIT", ""]))
