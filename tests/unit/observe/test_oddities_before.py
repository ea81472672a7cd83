"""Rules of others before ours: what they do to a Service's packets, and which leave them alone."""

from __future__ import annotations

import pytest
from planted import odd, recorded, replaced

RULES = recorded("16-loadbalancer")[".rules"]


def _with(table: str, rules: str) -> str:
    if table == "raw":
        return f"{RULES}*raw\n{rules}\nCOMMIT\n"
    return replaced(RULES, f"*{table}\n", f"*{table}\n{rules}\n")


HURT = {
    "DNAT of a ClusterIP": (
        "nat",
        "-A PREROUTING -d 10.96.0.50/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.0.2.9:80",
    ),
    "DNAT of a load balancer's address": ("nat", "-A OUTPUT -d 198.51.100.9/32 -j DNAT --to-destination 192.0.2.9"),
    "redirected node port": ("nat", "-A PREROUTING -p tcp -m tcp --dport 30080 -j REDIRECT --to-ports 8080"),
    "accepted": ("nat", "-A PREROUTING -d 10.96.0.0/12 -j ACCEPT"),
    "returned": ("nat", "-A PREROUTING -d 10.96.0.0/12 -j RETURN"),
    "all dropped in FORWARD": ("filter", "-A FORWARD -j DROP"),
    "endpoints dropped": ("filter", "-A FORWARD -d 10.244.0.0/16 -p tcp -m tcp --dport 8080 -j DROP"),
    "refused in OUTPUT": ("filter", "-A OUTPUT -d 10.244.0.0/16 -j REJECT --reject-with icmp-port-unreachable"),
    "in a chain of its own": (
        "nat",
        "-A PREROUTING -j MINE\n-A MINE -d 10.96.0.50/32 -p tcp -j DNAT --to-destination 192.0.2.9",
    ),
    "new ones": ("filter", "-A FORWARD -m conntrack --ctstate NEW -j DROP"),
}
MAY_HURT = {
    "one client": ("filter", "-A FORWARD -s 192.0.2.77/32 -j DROP"),
    "one interface": ("filter", "-A FORWARD -i eth7 -j DROP"),
}
ALONE = {
    "another address": (
        "nat",
        "-A PREROUTING -d 192.0.2.80/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.0.2.9:80",
    ),
    "another port": (
        "nat",
        "-A PREROUTING -d 10.96.0.50/32 -p tcp -m tcp --dport 81 -j DNAT --to-destination 192.0.2.9:80",
    ),
    "another protocol": ("nat", "-A PREROUTING -d 10.96.0.50/32 -p udp -j DNAT --to-destination 192.0.2.9"),
    "all but ours": ("filter", "-A FORWARD ! -d 10.0.0.0/8 -j DROP"),
    "accepted sooner": ("filter", "-A FORWARD -j ACCEPT"),
    "accepted by state": ("filter", "-A FORWARD -m conntrack --ctstate DNAT,ESTABLISHED -j ACCEPT\n-A FORWARD -j DROP"),
    "accepted by address": (
        "filter",
        "-A FORWARD -m state --state ESTABLISHED -j ACCEPT\n-A FORWARD -d 10.0.0.0/8 -j ACCEPT\n-A FORWARD -j DROP",
    ),
    "all but DNAT": ("filter", "-A FORWARD -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"),
    "broadcasts": ("filter", "-A FORWARD -m addrtype --dst-type BROADCAST -j DROP"),
    "a Service's answers": ("raw", "-A OUTPUT -s 10.96.0.50/32 -p tcp -m tcp --sport 80 -j CT --notrack"),
    "a workload's interface": ("filter", "-A FORWARD -i cali+ -j DROP"),
}


@pytest.mark.parametrize("planted", HURT.values(), ids=HURT)
def test_what_hurts(planted: tuple[str, str]) -> None:
    (found,) = odd(_with(*planted))
    assert found.hurts
    assert found.what.startswith("a rule of somebody else before ours: ")
    assert planted[1].rpartition("\n")[2].split(" ", 2)[2] in found.where, "it says which rule"


@pytest.mark.parametrize("planted", MAY_HURT.values(), ids=MAY_HURT)
def test_what_is_for_some_clients_may_be_meant(planted: tuple[str, str]) -> None:
    (found,) = odd(_with(*planted))
    assert not found.hurts


@pytest.mark.parametrize("planted", ALONE.values(), ids=ALONE)
def test_what_leaves_services_alone(planted: tuple[str, str]) -> None:
    assert not odd(_with(*planted))


def test_a_rule_behind_ours_is_none_before() -> None:
    (found,) = odd(RULES.replace("COMMIT\n", "-A FORWARD -j DROP\nCOMMIT\n", 1))
    assert found.what == "a rule that drops in FORWARD, and no rule lets Pods pass"
    assert not found.hurts


def test_clients_that_are_kept_out_one_by_one_are_told_of_once() -> None:
    banned = "\n".join(f"-A BANNED -s 203.0.113.{number}/32 -j REJECT" for number in range(50))
    (found,) = odd(_with("filter", f"-A FORWARD -j BANNED\n{banned}\n-A BANNED -j RETURN"))
    assert not found.hurts
    assert found.where.endswith("-s 203.0.113.0/32 -j REJECT and 49 more of the chain")


@pytest.mark.parametrize(
    "rule", ["-A PREROUTING -d 10.96.0.50/32 -j DROP", "-A PREROUTING -d 10.96.0.50/32 -j CT --notrack"]
)
def test_tables_that_come_earlier(rule: str) -> None:
    (found,) = odd(f"{RULES}*raw\n{rule}\nCOMMIT\n")
    assert found.hurts
    assert "default/web" in found.effect


def test_a_program_on_the_node_that_has_the_address_itself() -> None:
    untracked = "*raw\n-A PREROUTING -d 10.96.0.50/32 -p tcp -m tcp --dport 80 -j CT --notrack\nCOMMIT\n"
    assert odd(RULES + untracked)
    assert not odd(RULES + untracked, "2: nodelocaldns: <UP>\n    inet 10.96.0.50/32 scope global nodelocaldns\n")


def test_ipvs_takes_packets_in_input() -> None:
    held = recorded("16-loadbalancer", "ipvs")
    held[".rules"] = replaced(held[".rules"], "*filter\n", "*filter\n-A INPUT -d 10.96.0.50/32 -j DROP\n")
    (found,) = odd(*held.values())
    assert found.hurts
