"""Dumps that people hand over: what is said of them, and in which form."""

from __future__ import annotations

import json
from pathlib import Path

from command_runs import ROOT, Ran

RECORDED = ROOT / "tests" / "golden" / "1.36" / "iptables" / "16-loadbalancer.rules"


def test_explain_says_what_is_in_a_dump() -> None:
    ran = Ran("explain", "--dump", RECORDED)
    assert (ran.code, ran.errors) == (0, [])
    assert ran.output.splitlines()[1].startswith("default/web   LoadBalancer   10.96.0.50")
    found = json.loads(Ran("explain", "--json", "--dump", RECORDED).output)
    assert [each["name"] for each in found["services"]] == ["default/web"]


def test_explain_says_no_where_something_hurts(tmp_path: Path) -> None:
    odd = tmp_path / "odd.rules"
    odd.write_text(
        "".join(
            line for line in RECORDED.read_text().splitlines(keepends=True) if not line.startswith("-A POSTROUTING")
        )
    )
    ran = Ran("explain", "--dump", odd)
    assert ran.code == 1
    assert "! POSTROUTING does not jump to KUBE-POSTROUTING" in ran.output


def test_explain_of_what_is_no_dump(tmp_path: Path, good: Path) -> None:
    ran = Ran("explain", "--dump", good, RECORDED)
    assert ran.code == 2
    assert len(ran.errors) == 1
    assert ran.errors[0].startswith(f"{good}: none of iptables-save")
    assert Ran("explain", "--dump", tmp_path / "none").code == 2
    assert Ran("explain", "--dir", tmp_path).code == 2


def test_explain_of_rendered_files(tmp_path: Path, good: Path, node: Path) -> None:
    assert Ran("render", "--settings", node, "--out", tmp_path / "lb1", good).code == 0
    ran = Ran("explain", "--dir", tmp_path / "lb1")
    assert ran.code == 0
    assert "shop/web" in ran.output


def test_a_trace_is_drawn_as_asked(good: Path, node: Path, tmp_path: Path) -> None:
    assert Ran("render", "--settings", node, "--out", tmp_path / "node", good).code == 0
    asked = ("trace", "--to", "10.96.0.1:80", "--dir", tmp_path / "node")
    drawn = {form: Ran(*asked, f"--{form}") for form in ("json", "mermaid", "svg")}
    assert {ran.code for ran in drawn.values()} == {1}, "it has no endpoints, however that is told"
    assert json.loads(drawn["json"].output)["outcomes"][0]["verdict"] == "reject"
    assert "\nflowchart TB\n" in drawn["mermaid"].output
    assert drawn["svg"].output.startswith("<svg ")
    assert Ran(*asked, "--svg", "--mermaid").code == 2


def test_a_dump_answers_no_connection() -> None:
    ran = Ran("trace", "--to", "default/web", "--ask", "--dump", RECORDED)
    message = "sluice: trace --ask: asks from this node, and does not go with --dump or --dir"
    assert (ran.code, ran.output, ran.errors) == (2, "", [message])


def test_import_writes_what_gives_the_same_rules(tmp_path: Path) -> None:
    ran = Ran("import", "--dump", RECORDED, "--out", tmp_path / "out", "--node-name", "node1")
    assert (ran.code, ran.output) == (0, "")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"services.yml", "settings.yml"}
    assert Ran("validate", "--settings", tmp_path / "out/settings.yml", tmp_path / "out/services.yml").code == 0
