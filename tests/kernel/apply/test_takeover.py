"""What a kube-proxy has left, in whichever mode, family and variant of iptables, is seen whatever backend is wanted.

It is refused until a setting says that it may go, and goes once ours serve. Where one still runs, nothing is done.
"""

from __future__ import annotations

import json
from pathlib import Path

import cases
import hosts
import kube_proxy_tables
import load
import pytest

from sluice.addresses import IPV4, IPV6
from sluice.backends.iptables import text as ruleset
from sluice.backends.iptables.kernel import VARIANTS

GOLDEN = Path(__file__).parents[2] / "golden"
WEB = cases.Service(1)
BOTH = [IPV4, IPV6]
LEFT = (*VARIANTS, "nftables", "ipvs")
"""Where a kube-proxy has left Services: in a variant of iptables, its nftables table, kube-ipvs0 and sets."""

IPVS_CASE = GOLDEN / "1.36/ipvs/16-loadbalancer"


def leave(node: hosts.Node, where: str) -> None:
    """Have the kernel hold what a kube-proxy has left, in both families where its tables may have both."""
    if where == "nftables":
        node.run("nft", "-f", "-", text=kube_proxy_tables.IPV4 + kube_proxy_tables.IPV6)
    elif where == "ipvs":
        node.run("ipset", "restore", text=_created_first(IPVS_CASE.with_suffix(".ipset").read_text()))
        # A dummy device is more than every kernel has; what is looked for is its name.
        node.ip("link add kube-ipvs0 type bridge")
        node.ip(*(f"address add {each} dev kube-ipvs0" for each in _lines(IPVS_CASE.with_suffix(".addresses"))))
    else:
        for tool, ending in (("iptables", "rules"), ("ip6tables", "rules6")):
            text = (GOLDEN / f"1.36/iptables/37-dual-stack.{ending}").read_text()
            node.run(f"{tool}-{where}-restore", "--noflush", text=text)


def _created_first(text: str) -> str:
    lines = sorted(text.splitlines(), key=lambda line: line.startswith("add "))
    return "".join(f"{line}\n" for line in lines)


def _lines(path: Path) -> list[str]:
    return path.read_text().split()


def left(node: hosts.Node) -> list[str]:
    """What of a kube-proxy's is there: none of it has a name that ours have in these tests, or where ours are."""
    found = [line for line in node.run("nft", "list", "tables").stdout.splitlines() if "kube-proxy" in line]
    found += [line for line in node.run("ipset", "list", "-n").stdout.split() if line.startswith("KUBE-")]
    found += ["kube-ipvs0"] if "kube-ipvs0" in node.run("ip", "-brief", "link").stdout else []
    for variant in VARIANTS:
        for family in BOTH:
            rules = node.save(variant, family)
            found += [f"{variant} {family}"] if "KUBE-" in rules and "SLUICE-OWNER" not in rules else []
            found += [f"{variant} {family} {address}" for address in ("10.96.0.50", "fd00:96::") if address in rules]
    return found


def held(node: hosts.Node) -> list[str]:
    """What of a kube-proxy's is there, all of it, in an order that does not depend on how it came."""
    listed = json.loads(node.run("nft", "-j", "list", "ruleset").stdout)["nftables"]
    tables = [each for one in listed for each in one.values() if "kube-proxy" in (each.get("table"), each.get("name"))]
    for each in tables:
        each.pop("handle", None)
        each["elem"] = sorted(json.dumps(element, sort_keys=True) for element in each.get("elem", ()))
    rules = [
        f"{variant} {family} {table} {chain} {found}"
        for variant in VARIANTS
        for family in BOTH
        for table, chains in ruleset.parse(node.save(variant, family)).items()
        for chain, found in chains.items()
        if found or "KUBE-" in chain
    ]
    return sorted([*(json.dumps(each, sort_keys=True) for each in tables), *rules])


@pytest.mark.parametrize("where", LEFT)
@pytest.mark.parametrize("wanted", cases.PLANES)
def test_it_is_seen_refused_and_replaced(where: str, wanted: str, node: hosts.Node) -> None:
    leave(node, where)
    before = left(node)
    assert before
    files = {"ip_families": BOTH, **cases.settings_of(wanted)}
    node.write(cases.rendered([WEB], **files))
    for words in (["apply"], ["apply", "--check"], ["diff"]):
        refused = node.sluice(*words, check=False)
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
        assert "sluice_takeover: true" in refused.stderr
        assert {"nftables": "the table ip kube-proxy", "ipvs": "kube-ipvs0 with"}.get(where, where) in refused.stderr
    assert "sluice_takeover" in json.loads(node.sluice("status", "--json", check=False).stdout)["drift_unknown"]
    assert left(node) == before
    taken = cases.rendered([WEB], takeover=True, **files)
    assert node.apply(taken, check=True).changed
    assert left(node) == before
    assert node.apply(taken).changed
    assert left(node) == []
    assert not node.apply(taken).changed
    assert not node.apply(cases.rendered([WEB], **files)).changed, "nothing is left that would have to be refused"


@pytest.mark.parametrize("where", [each for each in LEFT if each != "ipvs"])
def test_services_of_a_family_that_nobody_spoke_of_stay(where: str, node: hosts.Node) -> None:
    leave(node, where)
    before = left(node)
    alone = {"ip_families": [IPV4], "takeover": True, "iptables_variant": "nft"}
    node.write(cases.rendered([WEB], **alone))
    refused = node.sluice("apply", check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "sluice_ip_families leaves IPv6 out" in refused.stderr
    assert "fd00:96::" in refused.stderr
    assert left(node) == before
    assert node.apply(cases.rendered([WEB], takeover_families=[IPV6], **alone)).changed
    assert left(node) == []


def test_sets_alone_are_seen_as_well(node: hosts.Node, plane: str) -> None:
    """Somebody has removed kube-ipvs0, and rules that named them."""
    node.run("ipset", "restore", text=_created_first(IPVS_CASE.with_suffix(".ipset").read_text()))
    node.write(cases.rendered([WEB], **cases.settings_of(plane)))
    assert "has left sets such as KUBE-" in node.sluice("apply", check=False).stderr
    assert node.apply(cases.rendered([WEB], takeover=True, **cases.settings_of(plane))).changed
    assert left(node) == []


def test_a_family_without_services_goes_with_the_other(node: hosts.Node) -> None:
    """A kube-proxy makes its chains in both families, whether or not there are Services."""
    chains = ":KUBE-SERVICES - [0:0]\n:KUBE-NODEPORTS - [0:0]\n:KUBE-PROXY-CANARY - [0:0]\n"
    jump = "-A PREROUTING -j KUBE-SERVICES\n-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n"
    node.run("ip6tables-nft-restore", "--noflush", text=f"*nat\n{chains}{jump}COMMIT\n")
    assert node.apply(cases.rendered([WEB], takeover=True)).changed
    assert "KUBE-" not in node.save("nft", IPV6)


@pytest.mark.parametrize("takeover", [False, True])
def test_one_that_runs_is_stopped_first(node: hosts.Node, *, takeover: bool) -> None:
    leave(node, "nft")
    before = left(node)
    node.shell("cp /bin/sleep /run/kube-proxy")
    proxy = node.start(lambda: hosts.os.execv("/run/kube-proxy", ["kube-proxy", "600"]))
    hosts.wait_for(lambda: "kube-proxy" in node.shell("cat /proc/[0-9]*/comm"), "it does not start")
    node.write(cases.rendered([WEB], takeover=takeover, ip_families=BOTH, iptables_variant="nft"))
    refused = node.sluice("apply", check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert f"kube-proxy (pid {_pid(node)}) programs Services on this node" in refused.stderr
    assert "stop it first (" in refused.stderr
    assert left(node) == before
    proxy.kill()
    assert node.sluice("apply", check=False).returncode == (0 if takeover else 2)


def _pid(node: hosts.Node) -> int:
    return int(node.shell("grep -lx kube-proxy /proc/[0-9]*/comm").split("/")[2])


def test_what_was_left_when_sluice_went_is_seen_again(node: hosts.Node, variant: str) -> None:
    """Nothing is remembered of a kernel that has what is another proxy's."""
    node.apply(cases.rendered([WEB], iptables_variant=variant))
    leave(node, VARIANTS[VARIANTS[0] == variant])
    before = left(node)
    removed = node.call(lambda: hosts.apply.remove())
    assert [line for line in removed.warnings if "left by another Service proxy, and stays: " in line]
    node.write(cases.rendered([WEB], iptables_variant=variant))
    for _turn in range(2):
        assert "sluice_takeover: true" in node.sluice("apply", check=False).stderr
        assert left(node) == before


@pytest.mark.parametrize("where", [each for each in LEFT if each != "ipvs"])
def test_what_was_there_comes_back_unless_the_takeover_is_confirmed(where: str, node: hosts.Node) -> None:
    """From then on it is refused as before."""
    leave(node, where)

    before = held(node)
    for _turn in range(2):
        node.write(cases.rendered([WEB], ip_families=BOTH, takeover=True, iptables_variant="nft"))
        node.sluice("apply", "--confirm", "60")
        assert left(node) == []
        node.sluice("rollback", "--unconfirmed")
        assert held(node) == before
    node.write(cases.rendered([WEB], ip_families=BOTH, iptables_variant="nft"))
    assert "sluice_takeover: true" in node.sluice("apply", check=False).stderr


def test_a_node_is_given_back(node: hosts.Node, plane: str) -> None:
    """Without a word of who comes then; its own timer repairs nothing."""
    node.apply(cases.rendered([WEB], ip_families=BOTH, **cases.settings_of(plane)))
    said = node.sluice("remove", "--check")
    assert said.stdout.startswith("changed=")
    assert node.differs() == ()
    node.sluice("remove")
    node.sluice("apply", "--repair", check=False)
    for variant in VARIANTS:
        assert not any(name in node.save(variant, family) for family in BOTH for name in ("KUBE-", "SLUICE-"))
    assert "sluice" not in node.run("nft", "list", "tables").stdout
    assert node.shell("ls /etc/sluice") == ""
    assert node.sluice("remove").stdout.startswith("changed=0")


def test_one_that_comes_later_is_told(node: hosts.Node) -> None:
    """It undoes what was done here; nobody fights with it."""
    files = cases.rendered([WEB], iptables_variant="nft")
    node.apply(files)
    node.shell("cp /bin/sleep /run/kube-proxy; iptables-nft -t nat -F KUBE-SERVICES")
    node.start(lambda: hosts.os.execv("/run/kube-proxy", ["kube-proxy", "600"]))
    hosts.wait_for(lambda: "kube-proxy" in node.shell("cat /proc/[0-9]*/comm"), "it does not start")
    before = node.save("nft")
    told = node.sluice("apply", "--repair", check=False)
    assert told.returncode == 2
    with pytest.raises(hosts.NodeError, match=r"kube-proxy \(pid \d+\) programs Services on this node"):
        node.call(lambda: hosts.apply.remove())
    assert node.save("nft") == before, "what has our names is its now"
    assert "kube-proxy (pid" in told.stderr
    assert "kube-proxy (pid" in node.sluice("status", check=False).stdout


OLD = """
table ip kube-proxy {{
  map service-ips {{
    type ipv4_addr . inet_proto . inet_service : verdict
    elements = {{ {address} . tcp . 80 comment "default/s1" : goto service-X }}
  }}
  chain nat-prerouting {{ type nat hook prerouting priority -100; jump services; }}
  chain nat-output {{ type nat hook output priority -100; jump services; }}
  chain services {{ ip daddr . meta l4proto . th dport vmap @service-ips; }}
  chain service-X {{ numgen random mod {number} vmap {{ {choices} }}; }}
  {endpoints}
}}
"""


def table(service: cases.Service, endpoints: tuple[str, ...]) -> str:
    """kube-proxy's table of one Service with these endpoints."""
    chains = "".join(
        f"  chain endpoint-{number} {{ meta l4proto tcp dnat to {address}:{service.target_port}; }}\n"
        for number, address in enumerate(endpoints)
    )
    return OLD.format(
        address=service.address,
        number=len(endpoints),
        choices=", ".join(f"{number} : goto endpoint-{number}" for number in range(len(endpoints))),
        endpoints=chains,
    )


@pytest.mark.parametrize("wanted", cases.PLANES)
@pytest.mark.parametrize("first", ["Docker", "kube-proxy"])
def test_stale_endpoints_of_its_table_get_nothing(wanted: str, first: str, network: load.Network) -> None:
    """Of nat chains with one priority that comes first which was there first."""
    node = network.node
    network.serve([WEB])
    docker = "iptables-nft -t nat -N DOCKER; iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER"
    if first == "Docker":
        node.shell(docker)
    node.run("nft", "-f", "-", text=table(WEB, (load.NOBODY,)))
    if first != "Docker":
        node.shell(docker)
    node.apply(cases.rendered([WEB], takeover=True, **cases.settings_of(wanted)))
    ends = {network.ask(WEB.address, 80) for _turn in range(40)}
    assert ends == {f"{pod} {WEB.target_port}" for pod in WEB.endpoints}


@pytest.mark.parametrize("wanted", cases.PLANES)
def test_no_connection_fails_when_its_table_is_replaced(wanted: str, network: load.Network) -> None:
    node = network.node
    network.serve([WEB])
    node.run("nft", "-f", "-", text=table(WEB, WEB.endpoints))
    asking = network.client.start(lambda: load.request([(WEB.address, WEB.target_port)], rate=200, held=20))
    hosts.wait_for(lambda: "dport=80" in node.run("conntrack", "-L", check=False).stdout, "nobody asks")
    node.apply(cases.rendered([WEB], takeover=True, **cases.settings_of(wanted)))
    node.shell("sleep 1")
    outcome = asking.stop()
    print(outcome)
    assert outcome.faults == {}
    assert outcome.fine > 100
