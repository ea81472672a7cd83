"""The playbooks against one node: how many modules run, what is sent, and that check mode writes nothing."""

from __future__ import annotations

import base64
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sites import RECORDER, REMOTE_TMP, ROOT, Site

from sluice import render
from sluice.catalogue import sources
from sluice.node import origin
from sluice.settings import Settings

SERVICES = ("web", "api")
BOTH = ["catalogue.json", "ip6tables.rules", "iptables.rules", "settings.json"]


@pytest.fixture(scope="module")
def site(needs_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A node that programs SERVICES."""
    found = Site(tmp_path_factory.mktemp("site"))
    found.declare(*SERVICES)
    with found.up():
        first = found.play("site.yml")
        assert first.changed == 2  # the node was prepared, and has its rules
        assert first.sent == ["catalogue.json", "iptables.rules", "settings.json"]
        yield found


@pytest.fixture
def converged(site: Site) -> Site:
    """The same node, whatever the test before did."""
    if not site.as_declared or site.names != SERVICES:
        site.declare(*SERVICES)
        site.play("site.yml")
    return site


def test_nothing_to_change(converged: Site) -> None:
    ran = converged.play("site.yml")
    assert ran.changed == 0
    # Nothing runs twice, so files are compared and applied in one run; nothing is sent.
    assert ran.modules == ["node_facts", "prepare", "apply"]
    assert ran.sent == []
    # What the node alone can know is told nevertheless.
    assert ran.output.count(f"node: warning: node has no route to {len(SERVICES)} endpoints: 10.244.0.") == 1


def test_the_files_are_those_of_the_engine(converged: Site) -> None:
    settings = Settings(node_name="node", node_addresses=("127.0.0.1", "192.0.2.1"), node_ips=("192.0.2.1",))
    catalogue, text = sources.compiled_with_text(str(converged.folder / ".sluice/catalogue.json"))
    assert converged.files() == render.render(render.views(catalogue, settings), settings, text)


def test_check_mode_says_what_would_change_and_writes_nothing(converged: Site) -> None:
    converged.declare(*SERVICES, "new")
    before = converged.state()
    ran = converged.play("site.yml", "--check", "--diff")
    assert converged.state() == before
    assert ran.changed == 1
    shown = re.findall(r"^(?:add|change|remove) iptables-\w+ -t nat (\S+)", ran.output, re.MULTILINE)
    assert shown[0] == "KUBE-SERVICES"
    assert sorted(name[:8] for name in shown[1:]) == ["KUBE-SEP", "KUBE-SVC"]
    # The rules of the other Services are not among what is shown; Services come first, and no path of this run.
    assert ran.output.index("+ shop/new (ClusterIP 10.96.0.") < ran.output.index(f"{shown[0]}\n")
    assert "shop/web" not in re.sub(r"10\.244\.0\.\d+\s\(shop/\w+\)", "", ran.output)  # it has no route to them
    assert not re.search(r"^(---|\+\+\+) .*ansible-(local|tmp)", ran.output, re.MULTILINE)


def test_only_what_differs_is_sent(converged: Site) -> None:
    converged.declare(*SERVICES, "new")
    ran = converged.play("site.yml")
    assert re.search(r"\[WARNING\]: .*node has no route to", ran.output, re.DOTALL)
    assert ", 1 warning; node iptables" in ran.output
    sent = ["catalogue.json", "iptables.rules", "settings.json"]
    assert (ran.changed, ran.sent) == (1, sent), "its digest is in the settings"
    assert ran.modules.count("apply") == 2
    assert "shop/new" in converged.files()["iptables.rules"]
    assert converged.shell(f"ls {REMOTE_TMP}") == ""


def test_without_pipelining(converged: Site) -> None:
    converged.declare("web")
    ran = converged.play("site.yml", ANSIBLE_PIPELINING="0")
    assert (ran.changed, ran.sent) == (1, ["catalogue.json", "iptables.rules", "settings.json"])
    assert "shop/api" not in converged.files()["iptables.rules"]
    assert converged.shell(f"ls {REMOTE_TMP}") == ""


def test_files_of_another_family_come_and_go(converged: Site) -> None:
    both = "sluice_ip_families=IPv4,IPv6"
    ran = converged.play("site.yml", "-e", both)
    assert (ran.changed >= 1, ran.sent) == (True, ["ip6tables.rules", "settings.json"])
    assert sorted(converged.files()) == BOTH
    ran = converged.play("site.yml", "--check")
    assert ran.changed >= 1
    assert sorted(converged.files()) == BOTH
    converged.play("site.yml")
    assert sorted(converged.files()) == ["catalogue.json", "iptables.rules", "settings.json"]
    assert "KUBE" not in converged.shell("ip6tables-save")


def test_a_file_that_somebody_edited_is_put_right(converged: Site) -> None:
    right = converged.files()
    converged.meddle("echo '# mine' >> /etc/sluice/iptables.rules; rm /etc/sluice/settings.json")
    ran = converged.play("site.yml")
    assert (ran.changed, ran.sent) == (1, ["iptables.rules", "settings.json"])
    assert converged.files() == right


def test_drift_is_reported_and_repaired(converged: Site) -> None:
    assert converged.play("playbooks/check.yml").changed == 0
    converged.meddle("iptables -t nat -F KUBE-SERVICES")
    before = converged.state()
    ran = converged.play("playbooks/check.yml", fails=True)
    lines = ran.output.splitlines()
    first = lines.index("drift: the catalogue is the same, the kernel's rules are not: shop/api, shop/web")
    assert lines[first + 1] == "change iptables-nft -t nat KUBE-SERVICES"
    rules = [line for line in lines if line.startswith("  + ")]
    assert len(rules) == len(set(rules)) > 0, "each is told once"
    assert converged.state() == before
    assert converged.play("site.yml").changed == 1
    assert converged.play("playbooks/check.yml").changed == 0


def test_the_former_generation_is_put_back(converged: Site) -> None:
    before = converged.files()
    converged.declare("web")
    converged.play("site.yml")
    assert converged.files() != before
    after = converged.files()
    headline = f"back to generation {converged.status()['generation'] - 1} of "
    predicted = converged.play("playbooks/rollback.yml", "--check")
    assert (headline in predicted.output, converged.files()) == (True, after)
    assert headline in converged.play("playbooks/rollback.yml").output
    assert converged.files() == before
    now = converged.status()
    assert (now["by"]["by"], now["by"]["user"]) == ("rollback", origin.login())
    assert now["by"]["detail"] == "node", "by its name in the inventory"
    again = converged.play("playbooks/rollback.yml", "-e", f"sluice_generation={now['generation']}")
    assert again.changed == 0
    converged.play("playbooks/rollback.yml", "-e", f"sluice_generation={now['generation'] + 1}")
    assert converged.files() == after


def test_rendering_leaves_no_file_of_another_backend(converged: Site) -> None:
    rendered = converged.folder / "rendered/node"
    assert converged.play("playbooks/render.yml", "-e", "sluice_backend=ipvs").changed == 1
    assert {path.name for path in rendered.iterdir()} == {
        *("addresses", "catalogue.json", "ipset.conf", "iptables.rules", "ipvs.conf", "settings.json")
    }
    ran = converged.play("playbooks/render.yml", "--check")
    assert (ran.changed, len(list(rendered.iterdir()))) == (1, 6)
    ran = converged.play("playbooks/render.yml")
    assert (ran.changed, ran.modules) == (1, [])
    assert {path.name: path.read_text() for path in rendered.iterdir()} == converged.files()
    assert converged.play("playbooks/render.yml").changed == 0


def test_services_are_given_addresses_for_ever(converged: Site) -> None:
    """One change on the controller, beside the node's; shown in check mode and not written."""
    kept, services = converged.folder / "allocations.yml", converged.folder / "services/bare.yml"
    bare = "apiVersion: v1\nkind: Service\nmetadata: {name: NAME}\nspec: {type: NodePort, ports: [{port: 80}]}\n---\n"
    try:
        services.write_text(bare.replace("NAME", "bare"))
        ran = converged.play("site.yml", "--check", "--diff")
        assert "+default/bare: {clusterIPs: [10." in ran.output
        assert (ran.changed, kept.exists()) == (2, False)
        assert converged.play("playbooks/allocate.yml").changed == 1
        (line,) = [text for text in kept.read_text().splitlines() if not text.startswith("#")]
        assert converged.play("playbooks/allocate.yml").changed == 0
        assert converged.play("site.yml").changed == 1
        assert converged.play("site.yml").changed == 0
        address = line.partition("[")[2].partition("]")[0]
        listed = converged.shell("/usr/local/sbin/sluice get svc")
        assert listed.splitlines()[1].split()[:3] == ["bare", "NodePort", address]
        assert f"-d {address}/32" in converged.shell("iptables-save")
        services.write_text(bare.replace("NAME", "alike") + bare.replace("NAME", "bare"))
        ran = converged.play("site.yml")
        assert (ran.changed, line in kept.read_text()) == (2, True)
        services.write_text(bare.replace("NAME", "alike"))
        assert converged.play("site.yml").changed == 2
        assert line not in kept.read_text()
    finally:
        services.unlink()
        kept.unlink(missing_ok=True)
        converged.as_declared = False


# IPVS is programmed by a kernel that has it; its files are rendered by any.
@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("catalogue", ()),
        ("node", ()),
        ("iptables", ()),
        ("services", ()),
        ("ipvs", ("--syntax-check",)),
        ("nftables", ("-e", "sluice_backend=nftables")),
    ],
)
def test_the_example_of_a_role_runs_as_printed(role: str, words: tuple[str, ...], converged: Site) -> None:
    page = (ROOT / f"roles/{role}/README.md").read_text()
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    playbook = converged.folder / f"{role}.yml"
    playbook.write_text(example)
    shutil.copytree(converged.folder / "services", converged.folder / "catalogue", dirs_exist_ok=True)
    converged.declare("new")
    converged.play(str(playbook), *words)
    if role == "catalogue":
        assert '"api"' in (converged.folder / ".sluice/catalogue.json").read_text(), "of the folder that it names"
    elif role == "iptables":
        assert "shop/new" in (converged.folder / "files/node/iptables.rules").read_text()
    elif role == "nftables":
        assert "shop/new" in (converged.folder / "files/node/nftables.nft").read_text()
    elif role == "services":
        assert "shop/new" in converged.shell("iptables-save")


def test_a_backend_that_nobody_knows_is_refused(site: Site) -> None:
    ran = site.play("site.yml", "-e", "sluice_backend=haproxy", fails=True)
    assert "sluice_backend: must be one of iptables, ipvs, nftables, is 'haproxy'" in ran.output
    assert ran.modules == [], "no node is asked"


@pytest.mark.parametrize(
    "words", [(), ("-e", "sluice_takeover=true"), ("--check",)], ids=["plain", "takeover", "check"]
)
def test_a_node_on_which_a_kube_proxy_runs_is_refused(words: tuple[str, ...], converged: Site) -> None:
    """With a takeover as well: it would put its rules back."""
    converged.declare(*SERVICES, "new")
    converged.meddle("cp /bin/sleep /run/kube-proxy; setsid /run/kube-proxy 600 </dev/null >/dev/null 2>&1 &")
    before = converged.state()
    try:
        ran = converged.play("site.yml", *words, fails=True)
    finally:
        converged.shell("kill $(pidof kube-proxy)")
    assert re.search(r"kube-proxy \(pid \d+\) programs Services on this node, .* stop it first \(", ran.output)
    assert ran.modules == ["node_facts"]
    assert converged.state() == before


SECRET = "hunter2-of-a-secret"


def secret(key: str) -> dict[str, Any]:
    """An object whose values nobody but its readers may see."""
    encoded = base64.b64encode(SECRET.encode()).decode()
    metadata = {"name": "s", "namespace": "shop", "annotations": {"sluice.io/x": SECRET}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "data": {key: encoded},
        "stringData": {key: SECRET},
    }


def test_no_content_and_no_secret_in_any_log(converged: Site, tmp_path: Path) -> None:
    """Modules write their arguments to syslog. What Ansible prints, logs and keeps as facts is looked at as well."""
    converged.declare(*("a" * (number + 1) for number in range(30)))
    (converged.folder / "services/secret.yml").write_text(yaml.safe_dump(secret("file")))
    more = tmp_path / "more.yml"
    facts, log, controller = tmp_path / "facts", tmp_path / "log", tmp_path / "syslog"
    environment = {
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(facts),
        "ANSIBLE_DISPLAY_ARGS_TO_STDOUT": "1",
        "ANSIBLE_DISPLAY_OK_HOSTS": "1",
        "ANSIBLE_LOG_PATH": str(log),
    }
    control = "import syslog; syslog.syslog('to see that it is recorded')"
    try:
        with converged.recording() as recorded:
            for objects, words, code in (
                ([secret("variable")], ("--check", "--diff"), 0),
                ([secret("variable")], (), 0),
                ([secret("variable"), {"apiVersion": "v1", "kind": "Service"}, {"stringData": SECRET}], (), 2),
            ):
                more.write_text(yaml.safe_dump({"sluice_manifests": objects}))
                ansible = f"{Path(sys.executable).with_name('ansible-playbook')} -vvvvv -i {converged.inventory}"
                script = f'{sys.executable} -c "{control}"; {ansible} site.yml -e @{more} {" ".join(words)}'
                ran = converged.run(
                    *(sys.executable, RECORDER, controller, "/bin/sh", "-c", script), environment=environment
                )
                assert ran.code == code, ran.output
                assert "v1 Secret is not a kind that Sluice knows" in ran.output
                assert SECRET not in ran.output
            messages = recorded()
            assert {word for text in messages for word in re.findall(r"sluice\.lb\.(\w+)", text)} >= {
                "prepare",
                "apply",
            }
            assert max(map(len, messages)) < 1000
            assert len([text for text in controller.read_text().split("\n\n") if "it is recorded" in text]) == 3
            assert max(map(len, controller.read_text().split("\n\n"))) < 1000
            node = converged.shell("cat /tmp/syslog /etc/sluice/* $(find /var/lib/sluice -type f)")
        kept = [*(converged.folder / ".sluice").iterdir(), *facts.rglob("*"), log, controller]
        for text in (node, *(path.read_text() for path in kept if path.is_file())):
            assert SECRET not in text
            assert base64.b64encode(SECRET.encode()).decode() not in text
    finally:
        (converged.folder / "services/secret.yml").unlink()


def test_a_node_is_drained_and_serves_again(converged: Site) -> None:
    """Routers are told; no rule changes, and nobody drains all load balancers by a slip."""
    node = ("-e", "sluice_drain_node=true")
    before = converged.shell("iptables-save | grep -v '^#'")

    def play(*words: str) -> tuple[int, bool]:
        changed = converged.play("playbooks/drain.yml", *node, *words).changed
        return changed, converged.status()["drained_node"]

    ran = converged.play("playbooks/drain.yml", *node, fails=True)
    assert "routers would leave all load balancers: --limit HOST" in ran.output
    assert play("--limit", "node", "--check") == (1, False)
    assert play("--limit", "node") == (1, True)
    assert play("--limit", "node") == (0, True)
    assert converged.shell("iptables-save | grep -v '^#'") == before
    assert play("-e", "sluice_drain_state=serving") == (1, False)
    ran = converged.play("playbooks/drain.yml", *node, "-e", "sluice_drain=192.0.2.1", "--limit", "node", fails=True)
    assert "either addresses of endpoints or node: true is needed" in ran.output


def test_all_of_it_can_be_removed(converged: Site) -> None:
    converged.play("playbooks/remove.yml")
    assert "KUBE" not in converged.shell("iptables-save")
    left = "/etc/sluice /var/lib/sluice /usr/local/lib/sluice /usr/local/sbin/sluice /etc/sysctl.d/90-sluice.conf"
    left += " /etc/modprobe.d/sluice.conf"
    assert converged.shell(f"ls -d {left} 2>/dev/null || true") == ""
    assert converged.play("playbooks/remove.yml").changed == 0
