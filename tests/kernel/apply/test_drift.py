"""Whatever somebody does to the rules after an apply is seen, said and repaired; no record hides it."""

from __future__ import annotations

import cases
import hosts
import kills
import pytest

from sluice.backends.iptables import text as ruleset
from sluice.backends.iptables.kernel import LEGACY, NFT
from sluice.node import state
from sluice.system import tools

SERVICES = [cases.Service(number, node_port=30000 + number) for number in range(6)]

EDIT = r"""edit() { printf '*nat\n%s KUBE-SERVICES %s\nCOMMIT\n' "$1" "$jump" | $ipt-restore --noflush; }"""

DRIFT = {
    "a chain is deleted": "$ipt -t nat -F $svc; edit -D; "
    "$ipt -t nat -D KUBE-NODEPORTS -p tcp -m comment --comment shop/s3 -m tcp --dport 30003 -j $ext; "
    "$ipt -t nat -F $ext; $ipt -t nat -X $ext; $ipt -t nat -X $svc",
    "a chain is flushed": "$ipt -t nat -F $svc",
    "the dispatch is flushed": "$ipt -t nat -F KUBE-SERVICES",
    "a foreign rule in our chain": "$ipt -t nat -I $svc 1 -s 198.51.100.0/24 -j RETURN",
    "a foreign rule at the end of our chain": "$ipt -t filter -A KUBE-FORWARD -s 198.51.100.0/24 -j DROP",
    "a rule of ours twice": "edit -A",
    "a rule of ours is gone": "edit -D",
    "a rule of ours is replaced": "$ipt -t nat -R KUBE-SERVICES 2 -d 10.96.0.9/32 -p tcp -j $svc",
    "a jump is deleted": "$ipt -t nat -D PREROUTING 1",
    "all jumps are deleted": "for c in PREROUTING OUTPUT POSTROUTING; do $ipt -t nat -F $c; done; "
    "for c in INPUT FORWARD OUTPUT; do $ipt -t filter -F $c; done",
    "a jump is moved": "$ipt -t nat -D PREROUTING 1; $ipt -t nat -A PREROUTING -s 198.51.100.0/24 -j ACCEPT; "
    "$ipt -t nat -A PREROUTING -m comment --comment 'kubernetes service portals' -j KUBE-SERVICES",
    "a jump is there twice": "$ipt -t nat -A PREROUTING -m comment --comment 'kubernetes service portals' "
    "-j KUBE-SERVICES",
    "a foreign rule before our jump": "$ipt -t nat -I PREROUTING 1 -s 198.51.100.0/24 -j ACCEPT",
    "the owner's mark is gone": "$ipt -t nat -X SLUICE-OWNER; $ipt -t filter -X SLUICE-OWNER",
    "a strange chain with our name": "$ipt -t nat -N KUBE-SEP-STRANGE; $ipt -t nat -A KUBE-SEP-STRANGE -j ACCEPT",
    "everything is flushed": "for t in nat filter; do $ipt -t $t -F; $ipt -t $t -X; done",
}
REFUSED = ("the owner's mark is gone",)
"""Without the mark the chains could be a kube-proxy's: an apply says so instead of guessing."""


@pytest.fixture
def applied(node: hosts.Node, variant: str) -> hosts.Node:
    """With a record, also in iptables-legacy, where only a second apply makes one."""
    contents = cases.rendered(SERVICES, iptables_variant=variant)
    node.apply(contents)
    assert not node.apply(contents).changed
    assert node.call(lambda: state.last().records)
    return node


def drift(node: hosts.Node, variant: str, script: str) -> None:
    nat = ruleset.parse(node.save(variant))["nat"]
    jump = next(rule for rule in nat["KUBE-SERVICES"] if "shop/s3" in rule)
    svc = jump.split()[-1]
    ext = next(chain for chain in nat if chain == svc.replace("SVC", "EXT"))
    node.shell(f"ipt=iptables-{variant} svc={svc} ext={ext} jump='{jump}'\n{EDIT}\n{script}")


@pytest.mark.parametrize("what", DRIFT)
def test_rules_are_edited(applied: hosts.Node, variant: str, what: str) -> None:
    before = applied.save(variant)
    drift(applied, variant, DRIFT[what])
    drifted = applied.save(variant)
    assert drifted != before
    if what in REFUSED:
        refusal = applied.sluice("apply", check=False)
        assert (refusal.returncode, refusal.stdout) == (2, "")
        assert "sluice_takeover" in refusal.stderr
        assert applied.save(variant) == drifted
        applied.apply(cases.rendered(SERVICES, iptables_variant=variant, takeover=True))
        assert applied.save(variant) == before
        return
    seen = applied.sluice("diff", check=False)
    assert seen.returncode == 1
    repaired = applied.sluice("apply", "--diff").stdout
    assert repaired.splitlines()[:-1] == seen.stdout.splitlines()
    foreign = [line for line in drifted.splitlines() if "198.51.100.0/24 -j ACCEPT" in line]
    assert sorted(applied.save(variant).splitlines()) == sorted([*before.splitlines(), *foreign])
    assert applied.sluice("diff").stdout == ""
    assert applied.sluice("apply").stdout == "changed=0\n"


@pytest.mark.parametrize("what", [what for what in DRIFT if what not in REFUSED])
def test_rules_are_edited_and_the_catalogue_too(applied: hosts.Node, variant: str, what: str) -> None:
    """A change that is prepared while the kernel is still compared is not made of a kernel that was edited."""
    drift(applied, variant, DRIFT[what])
    assert applied.apply(cases.rendered(SERVICES[1:], iptables_variant=variant)).changed
    assert applied.differs() == ()


def test_two_rules_change_places(applied: hosts.Node, variant: str) -> None:
    before = applied.save(variant)
    nat = ruleset.parse(before)["nat"]
    chain = next(chain for chain, rules in nat.items() if chain.startswith("KUBE-SVC-") and len(rules) > 1)
    first = nat[chain][0]
    applied.run(
        f"iptables-{variant}-restore", "--noflush", text=f"*nat\n-D {chain} {first}\n-A {chain} {first}\nCOMMIT\n"
    )
    assert applied.sluice("diff", check=False).returncode == 1
    assert applied.sluice("apply").stdout.startswith("changed=1 ")
    assert applied.save(variant) == before


def test_same_count_of_transactions(applied: hosts.Node) -> None:
    """Somebody else's transactions between two applies are seen also where they end in as many as ours would."""
    generation = applied.generation()
    applied.shell("iptables-nft -t mangle -N SOMEBODY")
    assert applied.generation() > generation
    assert applied.sluice("apply").stdout == "changed=0\n"


STATE = {
    "a generation is edited": "sed -i 's/10.96.0.4/10.96.9.9/' /var/lib/sluice/generations/*/iptables.rules",
    "a generation's file is gone": "rm -f /var/lib/sluice/generations/*/iptables.rules",
    "the generations are gone": "rm -rf /var/lib/sluice/generations",
    "the record is gone": "rm -f /var/lib/sluice/record.json",
    "the record is no record": "echo '{\"place\": 1}' >/var/lib/sluice/record.json",
    "the record is empty": ": >/var/lib/sluice/record.json",
    "the active generation is nonsense": "echo seven >/var/lib/sluice/active",
    "all state is gone": "rm -rf /var/lib/sluice",
    "the generation's description is empty": "for f in /var/lib/sluice/generations/*/generation.json; do : >$f; done",
    "what was kept of the tables is gone": "rm -rf /run/sluice",
    "what was kept of the tables is empty": 'for f in /run/sluice/*/*; do if [ -e "$f" ]; then : >"$f"; fi; done',
    "what was kept of the tables has another name": "for d in /run/sluice/*; do "
    "if [ -e $d ]; then mv $d $d-1; fi; done",
    "the record names no tables": "if [ -e /var/lib/sluice/record.json ]; then "
    'sed -i \'s/"legacy": "[^"]*"/"legacy": 5/\' /var/lib/sluice/record.json; fi',
    "a strange file beside the generations": "touch /var/lib/sluice/generations/README /var/lib/sluice/generations/7",
}


@pytest.mark.parametrize("what", STATE)
def test_state_is_edited(node: hosts.Node, variant: str, what: str) -> None:
    """Without its state an apply is slower, not wrong; with a wrong one as well."""
    node.apply(cases.rendered(SERVICES, iptables_variant=variant))
    node.sluice("apply")
    before = node.save(variant)
    node.shell(STATE[what])
    assert node.sluice("apply").stdout == "changed=0\n"
    assert node.save(variant) == before
    node.shell(STATE[what])
    one = [SERVICES[0]._replace(endpoints=cases.PODS[3:5]), *SERVICES[1:]]
    result = node.apply(cases.rendered(one, iptables_variant=variant))
    assert result.changed
    assert node.differs() == ()
    assert "10.96.9.9" not in node.save(variant)
    node.shell(STATE[what])
    back = node.sluice("rollback", check=False)
    assert back.returncode == 0 or (back.returncode == 2 and back.stderr.count("\n") == 1), back.stderr
    assert "10.96.9.9" not in node.save(variant)


@pytest.mark.parametrize("missing", ["-save", "-restore"])
def test_one_tool_of_two_is_missing(
    node: hosts.Node, variant: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be read, or not be changed, is not taken for empty, whichever variant is wanted."""
    other = LEGACY if variant == NFT else NFT
    node.apply(cases.rendered(SERVICES, iptables_variant=variant))
    before = node.save(variant)
    node.shell("mkdir /run/tools; ln -s /usr/bin/* /bin/* /usr/sbin/* /sbin/* /run/tools 2>/dev/null || true")
    node.run("rm", f"/run/tools/iptables-{variant}{missing}")
    monkeypatch.setattr(tools, "PATH", "/run/tools")
    node.write(cases.rendered(SERVICES, iptables_variant=other))
    for word in ("diff", "apply"):
        refused = node.sluice(word, check=False)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.count("\n") == 1
        assert f"iptables-{variant}{missing} is not installed" in refused.stderr
    monkeypatch.undo()
    assert node.save(variant) == before
    assert "KUBE" not in node.save(other)


def test_chains_without_a_mark_in_a_variant_that_is_not_used(node: hosts.Node, variant: str) -> None:
    """They could be a kube-proxy's, and come first: nothing is done beside them until somebody says so."""
    other = LEGACY if variant == NFT else NFT
    node.apply(cases.rendered(SERVICES, iptables_variant=variant))
    drift(node, variant, DRIFT[REFUSED[0]])
    held = node.save(variant)
    node.write(cases.rendered(SERVICES, iptables_variant=other))
    refused = node.sluice("apply", check=False)
    assert refused.returncode == 2
    assert f"chains of iptables-{variant} here" in refused.stderr
    assert (node.save(variant), "KUBE-" in node.save(other)) == (held, False)
    taken = cases.rendered(SERVICES, iptables_variant=other, takeover=True)
    assert node.apply(taken, check=True).changed, "no record hides them"
    assert node.apply(taken).changed
    assert not node.apply(taken).changed
    assert kills.not_wanted(node, taken) == []
