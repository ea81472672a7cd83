"""Dumps in files and folders."""

from __future__ import annotations

from pathlib import Path

import pytest
import support

from sluice.addresses import IPV4, IPV6
from sluice.faults import InputError
from sluice.node import files
from sluice.observe import dumps
from sluice.observe.explain import explain
from sluice.observe.services import services
from sluice.observe.snapshot import DumpError, snapshot
from sluice.observe.trace import traced


def _faults(read: object) -> list[str]:
    assert isinstance(read, InputError)
    return [str(fault) for fault in read.faults]


def test_each_file_that_is_no_dump_is_told(tmp_path: Path) -> None:
    for name, content in (("a.txt", b"hello"), ("b.txt", b"\xff\xfe"), ("c.txt", b"*nat\nCOMMIT\n"), ("d", b"{}")):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as raised:
        dumps.of_files([str(tmp_path / name) for name in ("a.txt", "b.txt", "c.txt", "d")])
    found = _faults(raised.value)
    assert [line.partition(":")[0].rpartition("/")[2] for line in found] == ["b.txt", "a.txt", "d"]


@pytest.mark.parametrize("backend", ["iptables", "ipvs"])
@pytest.mark.parametrize("compat", ["1.20", "1.36"])
def test_folder_of_rendered_files(tmp_path: Path, backend: str, compat: str) -> None:
    objects = [support.service(ip="10.96.0.1"), support.endpoint_slice("10.1.0.1")]
    own = support.node(backend=backend, compat=compat, ip_families=["IPv4", "IPv6"])
    for name, text in support.rendered(support.catalogue(*objects), own).items():
        (tmp_path / name).write_text(text)
    held = dumps.of_folder(str(tmp_path))
    assert [each.cluster_ip for each in services(held)] == ["10.96.0.1"]
    assert {variant.family for variant in held.iptables} == {IPV4, IPV6}


def test_folder_of_nftables(tmp_path: Path) -> None:
    """With the addresses of the node, which its settings have."""
    objects = [support.service(ip="10.96.0.1"), support.endpoint_slice("10.1.0.1")]
    own = support.node(backend="nftables", node_addresses=["10.0.0.10", "127.0.0.1"])
    rendered = files.sealed(support.rendered(support.catalogue(*objects), own))
    for name, text in rendered.items():
        (tmp_path / name).write_text(text)
    held = dumps.of_folder(str(tmp_path), ["10.0.0.11"])
    assert [each.cluster_ip for each in services(held)] == ["10.96.0.1"]
    assert held.addresses == {"10.0.0.10", "10.0.0.11", "127.0.0.1"}


def test_settings_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "iptables.rules").write_text("*nat\nCOMMIT\n")
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(InputError, match=r"settings\.json: is no JSON"):
        dumps.of_folder(str(tmp_path))


def test_folder_without_dumps(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        dumps.of_folder(str(tmp_path))
    assert "has none of iptables.rules" in _faults(raised.value)[0]


PIECE = (Path(__file__).parents[2] / "golden/1.18/iptables/00-published-walkthrough.nat").read_text()


def test_piece_of_nat_as_people_paste_it() -> None:
    """What it does not have may be there, and no packet is sent where no rule sends it."""
    held = snapshot([("pasted", PIECE)])
    (service,) = services(held)
    assert (service.name, service.cluster_ip, len(service.all_endpoints)) == (
        *("kube-system/kubernetes-lb", "192.168.11.23"),
        3,
    )
    (found,) = traced(held, "192.168.11.23:6443")
    assert [each.verdict for each in found.outcomes] == ["pass"]
    explained = explain(held)
    assert not explained.oddities
    assert [line.partition(": ")[2].partition(",")[0] for line in explained.untold] == ["this is a piece of nat"]
    (found,) = traced(snapshot([("pasted", f"-A PREROUTING -j KUBE-SERVICES\n{PIECE}")]), "192.168.11.23:6443")
    assert [str(each.probability) for each in found.outcomes] == ["1/3"] * 3


@pytest.mark.parametrize("chain", ["KUBE-SVC-PFX-QCHM5UNDVP2L3RE", "KUBE-PFX-QCHM5UNDVP2L3REZ"])
def test_piece_with_a_prefix_chain(chain: str) -> None:
    text = PIECE.replace("-A KUBE-SERVICES -d 192.168.11.23/32", f"-A {chain} -d 192.168.11.23/32")
    assert text != PIECE
    (service,) = services(snapshot([("pasted", f"{text}-A KUBE-SERVICES -d 192.168.0.0/16 -j {chain}\n")]))
    assert (service.cluster_ip, len(service.all_endpoints)) == ("192.168.11.23", 3)


@pytest.mark.parametrize("line", ["-A KUBE-FORWARD -j ACCEPT", ":FORWARD DROP [0:0]", "-A DOCKER -j RETURN"])
def test_piece_that_may_be_of_another_table(line: str) -> None:
    with pytest.raises(DumpError, match="pasted: none of"):
        snapshot([("pasted", f"{PIECE}{line}\n")])
