"""The benchmarks' tables, page and plots, on figures that nobody measured."""

from __future__ import annotations

import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[3] / "bench"))
import catalogues
import page
import planes
import plot
import results
import support
import tables
from process import Run, median

from sluice import render
from sluice.catalogue import sources

SVG = "{http://www.w3.org/2000/svg}"


def cell(services: int, plane: str, dispatch: str = "linear") -> results.Apply:
    names = ("first", "again", "steady", "endpoint", "added", "removed", "restore", "save")
    runs = {name: Run(services / 1000 * number, 0.5, 42.4, 9) for number, name in enumerate(names, 1)}
    latency = {
        name: [results.Latency(number + turn + services / 100, 90.0) for turn in (5, 0, 1)]
        for number, name in enumerate(("around", "endpoint", "first", "last"), 40)
    }
    return results.Apply(services, plane, dispatch, 17 * services, runs, latency)


def ipvs_runs() -> dict[str, Run]:
    names = ("first", "again", "endpoint", "added", "removed", "python", *tables.IPVS_FLOOR, *tables.IPVS_READERS)
    return {name: Run(number, number / 2, 40.0 + number, 2) for number, name in enumerate(names, 1)}


@pytest.fixture
def measured() -> results.Results:
    cells = [cell(services, plane.name, plane.dispatch) for services in (100, 20000) for plane in planes.PLANES]
    rendered = results.Render(5000, "YAML", "iptables", Run(2.5, 2.4, 115.2), Run(2.0, 2.0, 80.0))
    return {
        "render": results.Part("today", 0.5, [rendered]),
        "apply": results.Part("today", 0.5, [*cells]),
        "flows": results.Part("today", 0.5, [results.Flows(60000, 9, Run(1.5, 1.0, 90.0), Run(0.5, 0.4, 20.0))]),
        "checks": results.Part(
            "today", 0.5, [results.Checks("tcpSocket", 25000, 5, 4, 5000.4, 0.13, 14.2, 0.71, 9.96, 0)]
        ),
        "ipvs": results.Part("today", 0.5, [results.Ipvs(5000, "qemu", ipvs_runs())]),
        "ansible": results.Part("today", 0.5, [results.Site(10, Run(6.1, 5.0, 60.0), Run(1.2, 1.0, 50.0))]),
    }


def test_text_aligns_columns() -> None:
    table = tables.Table("Title", ("name", "s"), [("a", "10.0"), ("longer", "2.00")])
    assert tables.text(table) == "Title\n  name       s\n  a       10.0\n  longer  2.00\n"


def test_markdown_says_what_is_flush_right() -> None:
    table = tables.Table("Title", ("name", "s"), [("a", "10.0")])
    assert tables.markdown(table) == "| name |    s |\n|------|-----:|\n| a    | 10.0 |\n"


def test_every_part_has_its_tables(measured: results.Results) -> None:
    found = {table.title: table for table in tables.tables(measured)}
    assert list(found) == list(page.NOTES)
    assert list(found["sluice render"].rows[0]) == [
        *("5,000", "YAML", "iptables", "2.50", "2.40", "115", "2.00", "1.25")
    ]
    assert list(found["TCP connect, p50 / p99 in µs"].rows[0]) == [
        *("100", "iptables-nft", "linear", "41.0 / 90", "42.0 / 90", "43.0 / 90", "44.0 / 90", "1.0", "3.0")
    ]
    assert list(found["Health checks"].rows[0]) == [
        *("tcpSocket", "25,000", "5", "4", "5,000", "13.0", "26", "14", "0.7", "10.0", "0")
    ]
    assert list(found["IPVS: first apply"].rows[0])[-1] == f"{1 / (7 + 8 + 9 + 10):.2f}"
    assert list(found["IPVS: changes"].rows[0])[-2:] == [f"{3 / (11 + 12):.2f}", f"{3 / 6:.0f}"]
    assert all(len(row) == len(table.head) for table in found.values() for row in table.rows)


def test_page_has_every_table_and_the_machine(measured: results.Results) -> None:
    text = page.text(measured, "* a machine\n")
    assert "* a machine\n" in text
    assert all(f"## {title}\n" in text for title in page.NOTES)
    assert max(map(len, page.HEAD.splitlines())) <= 120


def test_page_keeps_what_was_not_measured_again(measured: results.Results) -> None:
    text = page.text(measured, "* a machine\n")
    assert page.text({}, "* a machine\n", text) == text
    part = results.Part("tomorrow", 1.5, [results.Ipvs(7, "kvm", ipvs_runs())])
    again = page.text({"ipvs": part}, "* a machine\n", text)
    changed = [line for line in again.splitlines() if line not in text.splitlines()]
    assert [line for line in changed if "|" not in line] == [
        "* `bench/bench.py --only ipvs`: tomorrow, load average 1.5 as it began"
    ]
    assert page.text(measured, "* a machine\n", again) == text
    other = page.text({"ipvs": part}, "* another\n", text)
    assert "* a machine\n" in other
    assert "as it began (another)\n" in other


def test_results_are_the_same_after_they_were_kept(measured: results.Results, tmp_path: Path) -> None:
    path = tmp_path / "cache" / "bench.json"
    assert results.load(path) == {}
    results.save(path, measured)
    assert results.load(path) == measured
    older = path.read_text(encoding="utf-8").replace('"plane":', '"variant":')
    path.write_text(older, encoding="utf-8")
    assert results.load(path) == {name: part for name, part in measured.items() if name != "apply"}


def test_median_is_one_run() -> None:
    runs = [Run(3.0, 1.0, 1.0), Run(1.0, 9.0, 9.0), Run(2.0, 5.0, 5.0)]
    assert median(runs) == Run(2.0, 5.0, 5.0)
    assert median(runs[:2]) == Run(1.0, 9.0, 9.0)


def test_plots_lie_within_their_axes(measured: results.Results) -> None:
    rows = [row for row in measured["apply"].rows if isinstance(row, results.Apply)]
    for panels in (page.apply_panels(rows), [page.latency_panel(rows)]):
        picture = xml.etree.ElementTree.fromstring(plot.svg(panels))
        lines = list(picture.iter(f"{SVG}polyline"))
        assert len(lines) == sum(len(panel.series) for panel in panels)
        for line in lines:
            points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
            assert len(points) == 2
            assert all(plot.LEFT <= x <= plot.WIDTH - plot.RIGHT for x, _ in points)
            assert all(plot.TOP <= y <= plot.HEIGHT - plot.BOTTOM for _, y in points)


def test_plot_of_one_size() -> None:
    xml.etree.ElementTree.fromstring(plot.svg([page.latency_panel([cell(100, "nftables", "flat")])]))


def test_plot_of_a_size_that_only_one_plane_has(measured: results.Results) -> None:
    rows = [row for row in measured["apply"].rows if isinstance(row, results.Apply)]
    panel = page.latency_panel([*rows, cell(50000, "nftables", "flat")])
    assert {series.name: len(series.points) for series in panel.series} == {
        "iptables-nft, linear": 2,
        "iptables-legacy, linear": 2,
        "iptables-nft, prefix": 2,
        "iptables-legacy, prefix": 2,
        "nftables, flat": 3,
        "no rules": 3,
    }
    assert len({series.colour for series in panel.series}) == len(panel.series) <= len(plot.PALETTE)


def test_plot_escapes_names() -> None:
    panel = plot.Panel("<a>", "x", "y", [plot.Series("&", [(1, 1), (2, 2)], 0)])
    assert "&lt;a&gt;" in plot.svg([panel])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.1, 20, [0.1, 1, 10, 20]), (0.013, 0.9, [0.01, 0.1, 1]), (3, 3, [2, 5])],
)
def test_ticks(low: float, high: float, expected: list[float]) -> None:
    assert plot.ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(("high", "last", "count"), [(370, 400, 9), (38, 40, 9), (1, 1, 6)])
def test_steps(high: float, last: float, count: int) -> None:
    assert plot.steps(high)[-1] == pytest.approx(last)
    assert len(plot.steps(high)) == count


def test_labels_keep_apart_and_their_order() -> None:
    assert plot.spread([10, 50], 14) == [10, 50]
    assert plot.spread([100, 101, 50], 14) == [93.5, 107.5, 50]
    moved = plot.spread([3, 1, 2, 2], 10)
    assert sorted(moved) == [-13, -3, 7, 17]
    assert moved.index(min(moved)) == 1


def test_rules_are_counted_as_tools_print_them() -> None:
    assert planes.appended(["*nat\n", ":PREROUTING ACCEPT [0:0]\n", "-A PREROUTING -j KUBE-SERVICES\n"]) == 1
    listing = """\
table ip sluice {
\tmap lists {
\t\ttype classid : classid
\t\telements = { 8000:1000 : 8000:1001,
\t\t\t     8000:2000 : 8000:2001 }
\t}

\tchain nat-output {
\t\ttype nat hook output priority -101; policy accept;
\t\tjump services
\t}

\tchain services {
\t\tmeta priority & 0:7ff vmap @ways
\t\taccept
\t}
}
"""
    assert planes.in_chains(listing.splitlines(keepends=True)) == 3


@pytest.mark.parametrize("services", [1, 10, 30, 100])
def test_the_ends_of_a_linear_dispatch(services: int, tmp_path: Path) -> None:
    base = tmp_path / "services.yml"
    catalogues.write(base, catalogues.manifests(services))
    found = sources.catalogue_of(sources.read([str(base)]), (), render.checks_for([]))[0]
    text = support.rendered(found, support.node(cluster_cidrs=["10.128.0.0/9"]))[planes.IPTABLES.file]
    asked = [line.split()[3] for line in text.splitlines() if line.startswith("-A KUBE-SERVICES -d ")]
    assert tuple(f"{address}/32" for address in catalogues.ends(services)) == (asked[0], asked[-1])


def test_catalogue_has_an_address_for_everyone() -> None:
    services = max(plane.most for plane in planes.PLANES) + 1
    assert len({catalogues.service_address(index) for index in range(services)}) == services
    endpoints = {catalogues.endpoint_address(index) for index in range(services * catalogues.ENDPOINTS)}
    assert len(endpoints) == services * catalogues.ENDPOINTS
