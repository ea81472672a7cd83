"""Rules that are not ours stay as they are and in their order, and rules of a kube-proxy only go when asked."""

from __future__ import annotations

from typing import Any

import cases
import hosts
import pytest

from sluice.backends.iptables import text as ruleset
from sluice.backends.iptables.kernel import HINT_CHAIN, VARIANTS
from sluice.backends.iptables.ownership import is_ours, target_of
from sluice.node import state
from sluice.system import linux

SERVICES = [cases.Service(number, node_port=30000 + number) for number in range(6)]
TABLES = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
TOOLS = ("iptables", "ip6tables")


def foreign_rules(node: hosts.Node, variant: str) -> dict[str, ruleset.RuleSet]:
    """All rules that are not ours, in their order."""
    found = {}
    for family in ("IPv4", "IPv6"):
        rules = ruleset.parse(node.save(variant, family))
        found[family] = {
            table: {
                chain: [rule for rule in held if not is_ours(target_of(rule))]
                for chain, held in chains.items()
                if not is_ours(chain)
            }
            for table, chains in rules.items()
        }
        # Tables that only ours made, or that hold nothing, are no difference.
        found[family] = {
            table: chains for table, chains in found[family].items() if any(chains.values()) or len(chains) > 5
        }
    return found


def add_foreign(node: hosts.Node, variant: str, *, number: int, place: str) -> None:
    """A rule in every built-in chain of every table and a chain with a jump to it, ``place`` -I or -A."""
    lines = []
    for tool in TOOLS:
        for table, chains in TABLES.items():
            batch = [
                f"*{table}",
                f":SOMEBODY-{number} - [0:0]",
                f"-A SOMEBODY-{number} -p tcp --dport {number} -j RETURN",
            ]
            for chain in chains:
                batch.append(f'{place} {chain} -p tcp --dport {number} -m comment --comment "mine, {number}" -j RETURN')
                batch.append(f"{place} {chain} -p udp --dport {number} -j SOMEBODY-{number}")
            lines.append((tool, "\n".join([*batch, "COMMIT", ""])))
    for tool, text in lines:
        node.run(f"{tool}-{variant}-restore", "--noflush", text=text)


def test_foreign_rules_stay(node: hosts.Node) -> None:
    """In every table and both variants: before, between and after ours; through all that Sluice does."""
    settings = {"ip_families": ["IPv4", "IPv6"]}
    for variant in VARIANTS:
        add_foreign(node, variant, number=1001, place="-A")
    known = {variant: foreign_rules(node, variant) for variant in VARIANTS}

    def unchanged(step: str) -> None:
        for variant in VARIANTS:
            assert foreign_rules(node, variant) == known[variant], f"{step}: {variant}"

    def change(variant: str, services: list[cases.Service]) -> None:
        node.apply(cases.rendered(services, iptables_variant=variant, **settings))
        assert node.differs() == ()

    change("nft", SERVICES)
    unchanged("apply")
    for variant in VARIANTS:
        add_foreign(node, variant, number=1002, place="-A")
        add_foreign(node, variant, number=1003, place="-I")  # before our jumps
        known[variant] = foreign_rules(node, variant)
    assert len(known["nft"]["IPv4"]) == len(TABLES)
    change("nft", SERVICES)
    unchanged("jumps put back")
    change("nft", SERVICES[:3])
    unchanged("change")
    node.sluice("rollback")
    unchanged("rollback")
    change("legacy", SERVICES)
    unchanged("change of variant")
    for tool in TOOLS:  # between two of our jumps
        node.run(f"{tool}-legacy", "-t", "filter", "-I", "FORWARD", "2", "-p", "tcp", "--dport", "1004", "-j", "RETURN")
    known["legacy"] = foreign_rules(node, "legacy")
    change("legacy", SERVICES[1:])
    unchanged("a rule between ours")
    change("nft", SERVICES)
    unchanged("change of variant back")
    node.write(cases.rendered(SERVICES[:2], iptables_variant="nft", **settings))
    node.sluice("apply", "--confirm", "60")
    unchanged("unconfirmed")
    node.sluice("rollback", "--unconfirmed")
    unchanged("taken back")
    assert node.call(lambda: hosts.apply.remove()).changed
    unchanged("remove")
    for variant in VARIANTS:
        for family in ("IPv4", "IPv6"):
            assert not any(prefix in node.save(variant, family) for prefix in ("KUBE-", "SLUICE-"))


def test_foreign_rule_that_jumps_to_our_chain(node: hosts.Node, variant: str) -> None:
    """A chain of somebody else may use one of ours (portmap, host ports): that rule is not ours to take away."""
    node.apply(cases.rendered(SERVICES, iptables_variant=variant))
    node.shell(f"iptables-{variant} -t nat -N SOMEBODY; iptables-{variant} -t nat -A SOMEBODY -j KUBE-MARK-MASQ")
    node.apply(cases.rendered(SERVICES[1:], iptables_variant=variant))
    assert "-A SOMEBODY -j KUBE-MARK-MASQ" in node.save(variant)
    assert node.differs() == ()
    assert node.call(lambda: hosts.apply.remove()).changed  # the chain cannot go without that rule
    assert "KUBE-" not in node.save(variant)
    assert ":SOMEBODY " in node.save(variant)


KUBE_PROXY = """\
*mangle
:KUBE-IPTABLES-HINT - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-PROXY-CANARY - [0:0]
COMMIT
*nat
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]
:KUBE-SEP-BBBBBBBBBBBBBBBB - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-SERVICES -d 10.96.7.7/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-AAAAAAAAAAAAAAAA
-A KUBE-SVC-AAAAAAAAAAAAAAAA -j KUBE-SEP-BBBBBBBBBBBBBBBB
-A KUBE-SEP-BBBBBBBBBBBBBBBB -p tcp -m tcp -j DNAT --to-destination 10.1.0.11:8080
COMMIT
*filter
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
-A FORWARD -j KUBE-FORWARD
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
COMMIT
"""


def kubernetes(node: hosts.Node, variant: str, text: str = KUBE_PROXY) -> str:
    node.run(f"iptables-{variant}-restore", "--noflush", text=text)
    return node.save(variant)


def test_kube_proxy_is_refused(node: hosts.Node, variant: str) -> None:
    before = kubernetes(node, variant)
    for words in (["apply"], ["apply", "--check"], ["diff"]):
        node.write(cases.rendered(SERVICES))
        refused = node.sluice(*words, check=False)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "sluice_takeover" in refused.stderr
        assert node.save(variant) == before
    assert node.call(lambda: hosts.apply.remove()).changed is False
    assert node.save(variant) == before


@pytest.mark.parametrize("table", ["mangle", "nat", "filter"])
def test_kubelet_alone_is_refused(node: hosts.Node, variant: str, table: str) -> None:
    kubernetes(node, variant, f"*{table}\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n")
    node.write(cases.rendered(SERVICES, iptables_variant=variant))
    assert node.sluice("apply", check=False).returncode == 2


def test_takeover(node: hosts.Node, variant: str) -> None:
    kubernetes(node, variant)
    taken = cases.rendered(SERVICES, takeover=True)
    assert node.apply(taken).details["variant"] == variant  # the hint says so
    after = node.save(variant)
    assert "10.96.7.7" not in after
    assert "KUBE-PROXY-CANARY" not in after
    assert after.count(":KUBE-KUBELET-CANARY ") == 3
    assert after.count(f":{HINT_CHAIN} ") == 1
    assert not node.apply(taken).changed
    assert node.call(lambda: hosts.apply.remove()).changed
    left = node.save(variant)
    assert left.count("KUBE-") == 4, left


def take_over_unconfirmed(node: hosts.Node, **settings: Any) -> None:
    node.write(cases.rendered(SERVICES, takeover=True, **settings))
    node.sluice("apply", "--confirm", "60")


def test_takeover_that_nobody_confirms(node: hosts.Node, variant: str) -> None:
    """The kube-proxy's rules come back, and are nobody's but its own."""
    before = kubernetes(node, variant)
    take_over_unconfirmed(node)
    back = node.sluice("rollback", "--unconfirmed", check=False)
    assert back.returncode == 0, back.stderr
    assert ruleset.parse(node.save(variant)) == ruleset.parse(before)
    assert node.shell("ls /etc/sluice") == ""  # no unit applies them as ours
    assert node.call(state.active) == 0
    node.write(cases.rendered(SERVICES))
    refused = node.sluice("apply", check=False)
    assert refused.returncode == 2
    assert "sluice_takeover" in refused.stderr


def test_takeover_beside_ours_that_nobody_confirms(node: hosts.Node, variant: str) -> None:
    """A kube-proxy came after us: its rules come back in the kernel, ours in the files."""
    ours = cases.rendered(SERVICES[:2], iptables_variant=variant)
    node.apply(ours)
    node.run(f"iptables-{variant}", "-t", "mangle", "-N", "KUBE-PROXY-CANARY")
    before = node.save(variant)
    take_over_unconfirmed(node, iptables_variant=variant)
    node.sluice("rollback", "--unconfirmed")
    assert ruleset.parse(node.save(variant)) == ruleset.parse(before)
    assert node.call(lambda: dict(hosts.files.load(hosts.files.DIRECTORY).contents)) == ours
    assert "sluice_takeover" in node.sluice("apply", check=False).stderr


def test_unconfirmed_takeover_at_boot(node: hosts.Node, variant: str) -> None:
    """The kube-proxy's rules went with the kernel that held them."""
    kubernetes(node, variant)
    take_over_unconfirmed(node)

    def boot() -> int:
        linux.place = lambda: "after a reboot"
        return hosts.command.main(["apply", "--boot"])

    assert node.call(boot) == 0
    assert "10.96.7.7" not in node.save(variant)
    assert node.shell("ls /etc/sluice") == ""


def test_auto_follows_the_hint(node: hosts.Node, variant: str) -> None:
    other = VARIANTS[VARIANTS[0] == variant]
    add_foreign(node, other, number=1001, place="-A")  # more rules, but the kubelet knows
    kubernetes(node, variant, f"*mangle\n:{HINT_CHAIN} - [0:0]\nCOMMIT\n")
    assert node.apply(cases.rendered(SERVICES, takeover=True)).details["variant"] == variant


DOCKER = """\
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE
-A DOCKER -j RETURN
COMMIT
*filter
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -j RETURN
COMMIT
"""


def test_auto_follows_other_rules(node: hosts.Node, variant: str) -> None:
    """Ours were in the other variant: they go there, with a word, and nothing of them is left."""
    other = VARIANTS[VARIANTS[0] == variant]
    auto = cases.rendered(SERVICES)
    assert node.apply(cases.rendered(SERVICES, iptables_variant=other)).details["variant"] == other
    assert node.apply(auto).details["variant"] == other  # nobody else is there
    node.run(f"iptables-{variant}-restore", "--noflush", text=DOCKER)
    node.write(auto)
    said = node.sluice("apply")
    assert f"iptables-{other}" in said.stderr
    assert said.stderr.startswith("warning: ")
    assert "KUBE-" not in node.save(other)
    assert "SLUICE-" not in node.save(other)
    assert "KUBE-SERVICES" in node.save(variant)
    assert foreign_rules(node, variant)["IPv4"]["nat"]["DOCKER"] == ["-j RETURN"]
    again = node.sluice("apply")
    assert (again.stdout, again.stderr) == ("changed=0\n", "")
