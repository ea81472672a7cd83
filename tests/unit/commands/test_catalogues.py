"""What is said of manifests that are wrong, what is written of those that are not, and what is given and kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_runs import GOOD, LISTED, ROOT, SERVICE, Ran

from sluice import render
from sluice.backends.iptables import text as ruleset
from sluice.catalogue import compiled
from sluice.catalogue.model import Catalogue, Service, ServicePort
from sluice.node import files


def test_validate_is_quiet_about_what_is_good(good: Path, node: Path) -> None:
    ran = Ran("validate", "--settings", node, good)
    assert (ran.code, ran.output, ran.errors) == (0, "", [])


def test_validate_says_every_fault(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text(GOOD.replace("80", "0") + "---\n" + SERVICE.format(name="Web", ip="nowhere"))
    node = tmp_path / "node.yml"
    node.write_text("sluice_masquerade_bit: 32\nsluice_compat: 1.20\nsluice_backnd: ipvs\n")
    ran = Ran("validate", "--settings", node, bad, tmp_path / "missing.yml")
    assert ran.code == 1
    assert sorted(ran.errors) == sorted(
        [
            f"{node}: sluice_backnd: warning: no such setting, did you mean sluice_backend?",
            f'{node}: sluice_compat: must be one of 1.18, 1.20, 1.36, in quotes: "1.20", is 1.2',
            f"{node}: sluice_masquerade_bit: must be a whole number from 0 to 31, is 32",
            f"{tmp_path}/missing.yml: no such file or folder",
            f"{bad}:4: Service shop/web: spec.ports[0].port: 0 is not in 1-65535",
            f"{bad}:8: Service shop/Web: metadata.name: 'Web' is not a DNS label",
            f"{bad}:9: Service shop/Web: spec.clusterIP: 'nowhere' is not an IP address",
        ]
    )


def test_nothing_to_program_is_strictly_a_fault(tmp_path: Path) -> None:
    empty = tmp_path / "empty.yml"
    empty.write_text("---\n")
    said = f"no Services in {empty}: there is nothing to program"
    for words, code, line in (
        ((), 0, f"catalogue: warning: {said}"),
        (("--strict",), 1, f"catalogue: {said}"),
    ):
        ran = Ran("validate", *words, empty)
        assert (ran.code, ran.errors) == (code, [line])


def test_an_inventory_is_not_taken_for_manifests(tmp_path: Path, good: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {}\n")
    ran = Ran("validate", good, tmp_path)
    assert (ran.code, ran.errors) == (
        2,
        [f"sluice: {tmp_path}: is an inventory, not a folder of manifests: -i {tmp_path}"],
    )


def test_warnings_do_not_fail(tmp_path: Path, good: Path) -> None:
    other = tmp_path / "other.yml"
    other.write_text("apiVersion: v1\nkind: ConfigMap\n")
    ran = Ran("validate", good, other)
    assert ran.code == 0
    (line,) = ran.errors
    assert line.startswith(f"{other}:2: kind: warning: v1 ConfigMap is not a kind")


def test_render_writes_the_files_of_the_node(tmp_path: Path, good: Path, node: Path) -> None:
    ran = Ran("render", "--settings", node, "--out", tmp_path / "out", good)
    assert (ran.code, ran.output, ran.errors) == (0, "", [])
    written = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert set(written) == {files.SETTINGS_FILE, files.CATALOGUE_FILE, *ruleset.FILES.values()}
    assert json.loads(written[files.SETTINGS_FILE])["backend"] == "iptables"
    assert 'shop/web has no endpoints"' in written["iptables.rules"]


def test_render_of_a_compiled_catalogue_is_the_same(tmp_path: Path, good: Path, node: Path) -> None:
    from sluice.catalogue import sources

    found, _ = sources.catalogue_of(sources.read([str(good)]), (), render.checks_for([]))
    kept = tmp_path / "catalogue.json"
    kept.write_text(compiled.text(found))
    for name, source in (("one", good), ("two", kept)):
        assert Ran("render", "--settings", node, "--out", tmp_path / name, source).code == 0
    assert (tmp_path / "one/iptables.rules").read_text() == (tmp_path / "two/iptables.rules").read_text()


def test_nothing_is_written_where_something_is_wrong(tmp_path: Path, good: Path, node: Path) -> None:
    out = tmp_path / "out"
    assert Ran("render", "--settings", node, "--out", out, good).code == 0
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.iterdir()}
    good.write_text(GOOD.replace("80", "0"))
    assert Ran("render", "--settings", node, "--out", out, good).code == 1
    assert Ran("render", "--settings", node, "--out", tmp_path / "fresh", good).code == 1
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.iterdir()} == before
    assert not (tmp_path / "fresh").exists()


@pytest.mark.parametrize("text", ["- 1\n", "a: 1\n---\nb: 2\n", "a: [\n", "a: 1\na: 2\n", "\0", "{"])
def test_settings_that_are_none(tmp_path: Path, good: Path, text: str) -> None:
    node = tmp_path / "node.yml"
    node.write_text(text)
    ran = Ran("validate", "--settings", node, good)
    assert (ran.code, len(ran.errors)) == (1, 1)
    assert ran.errors[0].startswith(str(node))


@pytest.mark.parametrize("value", ["abc", "{a: b}", "[1]", "[{name: a, endpoint_ip: [1]}]", "3"])
def test_endpoint_hosts_that_are_none(tmp_path: Path, good: Path, value: str) -> None:
    node = tmp_path / "node.yml"
    node.write_text(f"sluice_endpoint_hosts: {value}\n")
    ran = Ran("validate", "--settings", node, good)
    assert (ran.code, len(ran.errors)) == (1, 1)


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(20)
)

HOSTILE: dict[str, tuple[bytes, str]] = {
    "recursive list": (b"&a [*a]\n", "an alias stands in what it refers to"),
    "recursive List": (b"&a {apiVersion: v1, kind: List, items: [*a]}\n", "an alias stands in what it refers to"),
    "recursive object": (b"&a {apiVersion: v1, kind: Service, metadata: *a}\n", "an alias stands in"),
    "laughs": (LAUGHS.encode(), "aliases repeat more than 100000 values"),
    "deep flow": (b"[" * 100_000, "nested more than 100 deep"),
    "deep JSON": (b'{"a":' * 100_000, "nested more than 100 deep"),
    "deep dashes": (b"- " * 5000 + b"a\n", "nested more than 100 deep"),
    "deep block": ("\n".join(" " * depth + "a:" for depth in range(500)).encode(), "nested more than 100 deep"),
    "key twice": (b"apiVersion: v1\nkind: Pod\nkind: Service\n", "the key 'kind' is there twice"),
    "key twice in JSON": (b'{"kind": "Pod", "kind": "Service"}', "the key 'kind' is there twice"),
    "NUL": (GOOD.replace("web", "we\0b").encode(), "control characters are not allowed"),
    "binary": (bytes(range(256)), "cannot be read: "),
    "UTF-16": (GOOD.encode("utf-16-le"), "UTF-16 without a byte order mark"),
    "tabs": (b"a:\n\tb: c\n", "a tab stands where only blanks may: YAML indents with blanks"),
    "code": (b"!!python/object/apply:os.system ['id']\n", "is not known"),
    "binary value": (b"a: !!binary /////\n", "is not known"),
    "list as a key": (b"{[a]: b}\n", "a key must be text"),
    "merge of a number": (b"<<: 1\n", "<< takes a mapping"),
    "a number": (b"80\n", "must be an object with apiVersion and kind, is 80"),
    "null in a List": (b"apiVersion: v1\nkind: List\nitems: [null]\n", "must be an object"),
    "kind of a list": (b"apiVersion: v1\nkind: [List]\nitems: []\n", "kind: must be a string"),
    "huge number": (GOOD.replace("80", "9" * 100_000).encode(), "must be a whole number"),
    "huge number in JSON": (
        b'{"apiVersion": "v1", "kind": "Pod", "metadata": %b}' % (b"9" * 9999),
        "must be a mapping",
    ),
    "half a character": (b'{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "\\ud800"}}', "is not a DNS"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name: str, tmp_path: Path, node: Path) -> None:
    """Refused with a line that says where, in bounded time and memory, and without a word to the kernel's tools."""
    data, message = HOSTILE[name]
    path = tmp_path / "hostile.yml"
    path.write_bytes(data)
    ran = Ran("render", "--settings", node, "--out", tmp_path / "out", path, memory=1 << 30)
    assert ran.code == 1, ran.errors
    assert any(message in line for line in ran.errors), ran.errors
    assert all(line.startswith(str(path)) and line.isprintable() for line in ran.errors)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        b"%YAML 1.1\n---\n" + GOOD.encode(),
        GOOD.replace("{clusterIP", "{<<: {type: NodePort}, clusterIP").encode(),
        GOOD.replace("name: web,", 'name: web, annotations: {"at": 2024-01-01T00:00:00Z},').encode(),
    ],
)
def test_odd_but_good_files(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.yml"
    path.write_bytes(data)
    ran = Ran("validate", path)
    assert (ran.code, ran.errors) == (0, [])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"---\n---\n\n...\n",
        b"\xef\xbb\xbf" + b'{"apiVersion": "v1", "kind": "List", "items": []}',
        b"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIP: None}\n",
        None,
    ],
)
def test_a_catalogue_without_services_is_no_silent_success(data: bytes | None, tmp_path: Path) -> None:
    folder = tmp_path / "services"
    folder.mkdir()
    if data is not None:
        (folder / "empty.yml").write_bytes(data)
    ran = Ran("validate", folder)
    line = f"catalogue: warning: no Services in {folder}: there is nothing to program"
    assert (ran.code, ran.errors) == (0, [line])


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path: Path, good: Path, node: Path) -> None:
    folder = tmp_path / "services"
    folder.mkdir()
    for fifo in (folder / "a.yml", tmp_path / "catalogue.json", tmp_path / "settings.yml"):
        os.mkfifo(fifo)
    (folder / "b.yml").symlink_to("/dev/zero")
    (folder / "c.yml").symlink_to("c.yml")
    (folder / "d.yml").symlink_to("nowhere")
    (folder / "e.yml").mkdir()
    (folder / "loop").symlink_to(folder)
    ran = Ran("validate", folder, tmp_path / "catalogue.json", good, good.with_name("a\nb"))
    assert ran.code == 1
    assert ran.errors == [
        f"{folder}/a.yml: cannot be read: is a FIFO, not a file",
        f"{folder}/b.yml: cannot be read: is a device, not a file",
        f"{folder}/c.yml: cannot be read: Too many levels of symbolic links",
        f"{folder}/d.yml: cannot be read: No such file or directory",
        f"{tmp_path}/catalogue.json: cannot be read: is a FIFO, not a file",
        f"{tmp_path}/a\\nb: no such file or folder",
    ]
    for words in ((tmp_path / "catalogue.json",), ("--settings", tmp_path / "settings.yml", good)):
        ran = Ran("validate", *words)
        assert (ran.code, len(ran.errors)) == (1, 1)
        assert ran.errors[0].endswith("cannot be read: is a FIFO, not a file")


def test_what_a_shell_hands_over_is_read(tmp_path: Path, good: Path, node: Path) -> None:
    command = f'{sys.executable} -m sluice validate --settings <(sleep 0.2; cat "{node}") <(sleep 0.2; cat "{good}")'
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "module_utils")}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def forged(path: Path, **field: object) -> Path:
    """A compiled catalogue with one field of its Service as no manifest could say it, and with the right digest."""
    service = Service("shop", "web", "ClusterIP", ("10.96.0.1",), (ServicePort("", "TCP", 80, 80),))
    path.write_text(compiled.text(Catalogue((service._replace(**field),))))
    return path


@pytest.mark.parametrize("command", ["validate", "render"])
def test_a_compiled_catalogue_that_is_not_sound_is_refused(command: str, tmp_path: Path, node: Path) -> None:
    words = [command, "--settings", node, *(["--out", tmp_path / "out"] if command == "render" else [])]
    path = tmp_path / "evil.json"
    assert Ran(*words, forged(path)).code == 0
    whole = path.read_text()
    for text, message in (
        (whole.replace("shop", "show"), "it is damaged"),
        (whole[:-9], "it is damaged"),
        (whole.replace("sluice-catalogue-", "sluice-catalogue-0"), "another release of Sluice compiled it"),
        (forged(path, name="x\n-A INPUT -j ACCEPT").read_text(), "it is damaged: Service.name"),
        (forged(path, cluster_ips=("10.0.0.1 -j ACCEPT",)).read_text(), "it is damaged: Service.cluster_ips"),
    ):
        path.write_text(text)
        ran = Ran(*words, path)
        assert (ran.code, ran.errors) == (1, [f"{path}: catalogue: {message}"])
    forged(path).chmod(0o666)
    ran = Ran(*words, path)
    assert (ran.code, ran.errors) == (1, [f"{path}: catalogue: it may be written by others (mode 666)"])
    path.chmod(0o600)
    tmp_path.chmod(0o775)
    ran = Ran(*words, path)
    reason = f"its folder {tmp_path} may be written by others (mode 775)"
    assert (ran.code, ran.errors) == (1, [f"{path}: catalogue: {reason}"])


def test_allocate_keeps_what_it_gives(tmp_path: Path, node: Path) -> None:
    kept, bare = tmp_path / "allocations.yml", tmp_path / "bare.yml"
    bare.write_text(LISTED.replace("  clusterIP: 10.96.0.10\n", ""))
    words = ("allocate", "--settings", node, "--allocations", kept, bare)
    checked = Ran(*words, "--check")
    assert not kept.exists()
    done = Ran(*words)
    assert (done.code, done.output, done.errors) == (checked.code, checked.output, [])
    (line,) = [line for line in kept.read_text().splitlines() if not line.startswith("#")]
    assert done.output == f"+ {line}\nchanged=1\n"
    assert Ran(*words).output == "changed=0\n"
    address = line.partition("[")[2].partition("]")[0]
    asked = Ran("get", "svc", "-A", "--settings", node, "--allocations", kept, bare)
    assert address in asked.output
    assert asked.errors == []
    assert Ran("render", "--settings", node, "--out", tmp_path / "out", "--allocations", kept, bare).errors == []
    assert address in (tmp_path / "out" / "iptables.rules").read_text()
    bare.write_text(LISTED)
    assert Ran(*words).output == f"- {line}\nchanged=1\n"


def test_allocations_that_are_not_there_yet(tmp_path: Path, node: Path) -> None:
    bare, missing = tmp_path / "bare.yml", tmp_path / "allocations.yml"
    bare.write_text(LISTED.replace("  clusterIP: 10.96.0.10\n", ""))
    (warning,) = Ran("validate", "--settings", node, "--allocations", missing, bare).errors
    assert warning == (
        f"{missing}: warning: is not there yet; 1 Service has its addresses by hash and may move when others come:"
        " shop/web"
    )
    assert Ran("validate", "--settings", node, bare).errors == []
    missing.write_text("web: {}\n- a\n")
    ran = Ran("validate", "--settings", node, "--allocations", missing, bare)
    assert (ran.code, len(ran.errors)) == (1, 1)
    assert missing.name in ran.errors[0]
    assert Ran("allocate", bare).code == 2, "a file has to be named"
