"""Plans of IPVS mode, line by line."""

from __future__ import annotations

from sluice.backends.ipvs import ipset_text
from sluice.backends.ipvs import text as ipvs_text
from sluice.backends.ipvs.ipset_text import MAXELEM, IpSet, ip_set
from sluice.backends.ipvs.plan import Draining, Plan, Step, plan
from sluice.backends.ipvs.tables import Tables
from sluice.backends.ipvs.text import VirtualAddress
from sluice.node.result import lines

NOTHING = Tables({}, {}, ())
SETS = """\
create KUBE-CLUSTER-IP hash:ip,port family inet
add KUBE-CLUSTER-IP 10.96.0.1,tcp:80
add KUBE-CLUSTER-IP 10.96.0.2,udp:53
create KUBE-LOOP-BACK hash:ip,port,ip family inet
"""
SERVERS = """\
-A -t 10.96.0.1:80 -s rr
-a -t 10.96.0.1:80 -r 10.244.1.1:8080 -m -w 1
-a -t 10.96.0.1:80 -r 10.244.1.2:8080 -m -w 1
-A -u 10.96.0.2:53 -s rr
-a -u 10.96.0.2:53 -r 10.244.1.1:53 -m -w 1
-a -u 10.96.0.2:53 -r 10.244.1.2:53 -m -w 1
"""
ADDRESSES = "10.96.0.1/32\n10.96.0.2/32\n"
WEB, DNS = VirtualAddress("tcp", "10.96.0.1", 80), VirtualAddress("udp", "10.96.0.2", 53)


def tables(sets: str = SETS, servers: str = SERVERS, addresses: str = ADDRESSES) -> Tables:
    """Tables from their texts."""
    return Tables(ipset_text.parse(sets), ipvs_text.parse(servers), ipvs_text.parse_addresses(addresses))


def steps(found: Plan) -> tuple[list[str], list[str]]:
    """The lines before and after the rules change, with their tools."""
    both = ([f"{step.tool} {line}" for step in half for line in step.text.splitlines()] for half in found[:2])
    before, after = both
    return before, after


def without(text: str, *parts: str) -> str:
    """``text`` without the lines that hold one of ``parts``."""
    return "".join(line for line in text.splitlines(keepends=True) if not any(part in line for part in parts))


def test_nothing_to_do() -> None:
    found = plan(tables(), tables(), [WEB, DNS])
    assert found == Plan((), (), (), (), ())
    assert (found.before, found.after) == ((), ())


def test_everything_comes_before_the_rules() -> None:
    found = plan(NOTHING, tables(), ())
    assert found.before == (
        Step("ipset", SETS),
        Step("ipvsadm", SERVERS),
        Step("address", "add 10.96.0.1/32\nadd 10.96.0.2/32\n"),
    )
    assert found.after == ()
    assert [change.verb for change in found.changes] == ["add"] * 6


def test_everything_goes_after_the_rules() -> None:
    found = plan(tables(), NOTHING, [WEB, DNS])
    assert found.before == ()
    assert found.after == (
        Step("address", "del 10.96.0.1/32\ndel 10.96.0.2/32\n"),
        Step("ipvsadm", "-D -t 10.96.0.1:80\n-D -u 10.96.0.2:53\n"),
        Step("ipset", "destroy KUBE-CLUSTER-IP\ndestroy KUBE-LOOP-BACK\n"),
    )
    assert found.draining == ()


def test_an_endpoint_of_tcp_drains_and_one_of_udp_goes() -> None:
    found = plan(tables(), tables(servers=without(SERVERS, "-r 10.244.1.2:")), [WEB, DNS])
    assert steps(found) == (
        ["ipvsadm -e -t 10.96.0.1:80 -r 10.244.1.2:8080 -m -w 0", "ipvsadm -d -u 10.96.0.2:53 -r 10.244.1.2:53"],
        [],
    )
    assert found.draining == (Draining(WEB, "10.244.1.2:8080"),)
    assert found.draining[0].delete == "-d -t 10.96.0.1:80 -r 10.244.1.2:8080"
    assert list(lines(found.changes)) == [
        "change virtual server -t 10.96.0.1:80",
        "  - 10.244.1.2:8080 -m -w 1",
        "  + 10.244.1.2:8080 -m -w 0",
        "change virtual server -u 10.96.0.2:53",
        "  - 10.244.1.2:53 -m -w 1",
    ]


def test_what_drains_already_is_named_and_left_alone() -> None:
    drained = SERVERS.replace("-r 10.244.1.2:8080 -m -w 1", "-r 10.244.1.2:8080 -m -w 0")
    found = plan(tables(servers=drained), tables(servers=without(SERVERS, "-r 10.244.1.2:8080")), [WEB, DNS])
    assert (found.before, found.after, found.changes) == ((), (), ())
    assert found.draining == (Draining(WEB, "10.244.1.2:8080"),)


def test_who_comes_back_gets_its_weight() -> None:
    drained = SERVERS.replace("-r 10.244.1.2:8080 -m -w 1", "-r 10.244.1.2:8080 -m -w 0")
    found = plan(tables(servers=drained), tables(), [WEB, DNS])
    assert steps(found) == (["ipvsadm -e -t 10.96.0.1:80 -r 10.244.1.2:8080 -m -w 1"], [])
    assert found.draining == ()


def test_an_endpoint_comes_before_another_goes() -> None:
    moved = SERVERS.replace("10.244.1.2", "10.244.1.9")
    before, _ = steps(plan(tables(), tables(servers=moved), [WEB, DNS]))
    assert before == [
        "ipvsadm -a -t 10.96.0.1:80 -r 10.244.1.9:8080 -m -w 1",
        "ipvsadm -e -t 10.96.0.1:80 -r 10.244.1.2:8080 -m -w 0",
        "ipvsadm -a -u 10.96.0.2:53 -r 10.244.1.9:53 -m -w 1",
        "ipvsadm -d -u 10.96.0.2:53 -r 10.244.1.2:53",
    ]


def test_options_of_a_server_are_edited_in_place() -> None:
    held = SERVERS.replace("10.96.0.1:80 -s rr", "10.96.0.1:80 -s wlc -p 300 -o")
    assert steps(plan(tables(servers=held), tables(), [WEB, DNS])) == (["ipvsadm -E -t 10.96.0.1:80 -s rr"], [])


def test_another_way_to_forward_is_drift() -> None:
    held = SERVERS.replace("-r 10.244.1.1:8080 -m", "-r 10.244.1.1:8080 -g")
    before, _ = steps(plan(tables(servers=held), tables(), [WEB, DNS]))
    assert before == ["ipvsadm -e -t 10.96.0.1:80 -r 10.244.1.1:8080 -m -w 1"]


def test_servers_of_others_are_left_alone() -> None:
    foreign = SERVERS + "-A -t 192.0.2.7:80 -s wlc\n-a -t 192.0.2.7:80 -r 10.0.0.1:80 -g -w 1\n"
    assert plan(tables(servers=foreign), tables(), [WEB, DNS]).changes == ()
    assert "192.0.2.7" not in str(plan(tables(servers=foreign), NOTHING, [WEB, DNS]))


def test_a_clash_is_named_and_nothing_is_done_to_it() -> None:
    found = plan(tables(servers=without(SERVERS, "10.244.1.2:8080")), tables(), [DNS])
    assert found.clashes == ("virtual server -t 10.96.0.1:80 is there and not of Sluice",)
    assert found.before == ()


def test_only_changed_members() -> None:
    held = SETS.replace("10.96.0.2,udp:53", "10.96.0.9,tcp:80") + "create office hash:net family inet\n"
    assert steps(plan(tables(sets=held), tables(), [WEB, DNS])) == (
        ["ipset add KUBE-CLUSTER-IP 10.96.0.2,udp:53"],
        ["ipset del KUBE-CLUSTER-IP 10.96.0.9,tcp:80"],
    )


def test_a_member_that_somebody_has_made_an_exception_is_one_no_more() -> None:
    kind = "create KUBE-LOAD-BALANCER-SOURCE-CIDR hash:ip,port,net family inet\n"
    member = "KUBE-LOAD-BALANCER-SOURCE-CIDR 203.0.113.1,tcp:80,10.0.0.0/8"
    found = plan(tables(sets=f"{kind}add {member} nomatch\n"), tables(sets=f"{kind}add {member}\n"), [WEB, DNS])
    assert steps(found) == ([f"ipset del {member}", f"ipset add {member}"], [])
    (change,) = found.changes
    assert change.removed == ("203.0.113.1,tcp:80,10.0.0.0/8 nomatch",)
    assert change.added == ("203.0.113.1,tcp:80,10.0.0.0/8",)


def test_sets_of_others_are_left_alone() -> None:
    others = SETS + "create office hash:net family inet\ncreate KUBE-DST-2FAIIK2E4RIPMTGF hash:ip family inet\n"
    assert plan(tables(sets=others), tables(), [WEB, DNS]).changes == ()
    _, after = steps(plan(tables(sets=others), NOTHING, [WEB, DNS]))
    assert after[-2:] == ["ipset destroy KUBE-CLUSTER-IP", "ipset destroy KUBE-LOOP-BACK"]


def test_a_set_of_another_type_is_a_clash() -> None:
    other = SETS.replace("KUBE-LOOP-BACK hash:ip,port,ip", "KUBE-LOOP-BACK hash:ip")
    found = plan(tables(sets=other), tables(), [WEB, DNS])
    assert found.clashes == ("set KUBE-LOOP-BACK is hash:ip family inet, not hash:ip,port,ip family inet",)


def test_a_set_that_is_too_small_is_swapped() -> None:
    header = "hash:ip family inet"
    small = {"KUBE-IPVS-IPS": IpSet(header, ("10.0.0.0", "10.0.0.1"), MAXELEM)}
    members = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(1, MAXELEM + 2)]
    found = plan(Tables(small, {}, ()), Tables({"KUBE-IPVS-IPS": ip_set(header, members)}, {}, ()), ())
    lines = found.before[0].text.splitlines()
    assert lines[:3] == [
        f"create KUBE-IPVS-new {header} maxelem {2 * MAXELEM}",
        "flush KUBE-IPVS-new",
        "add KUBE-IPVS-new 10.0.0.1",
    ]
    assert lines[-2:] == ["swap KUBE-IPVS-new KUBE-IPVS-IPS", "destroy KUBE-IPVS-new"]
    assert found.after == ()
    assert found.changes[0].removed == ("10.0.0.0",)


def test_addresses_that_the_kernel_makes_itself_stay() -> None:
    held = ADDRESSES + "fe80::1/64\n10.9.9.9/32\n"
    assert steps(plan(tables(addresses=held), tables(), [WEB, DNS])) == ([], ["address del 10.9.9.9/32"])
