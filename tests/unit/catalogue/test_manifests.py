"""Files, folders and documents to objects, each with its place."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import strategies
import yaml
from bad_input import GOOD, build
from hypothesis import given
from hypothesis import strategies as st

from sluice.catalogue import manifests
from sluice.faults import InputError


def test_a_file_that_is_not_read_is_said(tmp_path: Path) -> None:
    for name in ("web.yml", "web.yam", "dns.YML", "api.jsn", "README.md", ".gitkeep", "web.yml.bak", "notes.txt"):
        (tmp_path / name).write_text("")
    texts, faults = manifests.read([str(tmp_path)])
    assert [Path(name).name for name, _text in texts] == ["web.yml"]
    assert [(Path(fault.file).name, fault.warning) for fault in faults] == [
        ("api.jsn", True),
        ("dns.YML", True),
        ("web.yam", True),
    ]
    assert str(faults[2]).endswith("web.yam: warning: is not read: the names of manifests end with .yml, .yaml, .json")


def test_long_comment_header_is_read_at_once(tmp_path: Path) -> None:
    """A regular expression that can match a line of # in more than one way takes for ever."""
    assert build(tmp_path, "#" * 5000 + "\n" + "%" * 5000 + "\n" + " " * 5000 + "\n---\n" + GOOD) == []


def test_place_of_an_item_of_a_list(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: A\n"
    faults = build(tmp_path, text + "  spec: {ports: [{port: 1}]}\n")
    assert [(fault.line, fault.field) for fault in faults if not fault.warning] == [(7, "metadata.name")]


def test_a_list_that_goes_on_is_said() -> None:
    """``kubectl get --raw '/api/v1/services?limit=500'``: the Services behind it would be removed from the nodes."""
    text = 'apiVersion: v1\nkind: ServiceList\nmetadata:\n  continue: "%s"\nitems: []\n'
    (fault,) = manifests.parse([("f", text % "eyJ2Ijoi")])[1]
    assert str(fault).startswith("f:4: metadata.continue: warning: the list goes on: it is one part of what the API")
    value = {"apiVersion": "v1", "kind": "ServiceList", "metadata": {"continue": "eyJ2Ijoi"}, "items": []}
    assert [fault.field for fault in manifests.inline([value])[1]] == ["metadata.continue"]
    assert manifests.parse([("f", text % "")])[1] == []


def parsed(text: str) -> list[tuple[int, object]]:
    """Line and value of each object of ``text``, which has no fault."""
    found, faults = manifests.parse([("f", text)])
    assert not faults
    return [(manifest.line(()), manifest.value) for manifest in found]


def test_lists_within_lists_are_taken_apart() -> None:
    text = (
        "kind: List\nitems:\n- a: 1\n- kind: List\n  items:\n  - kind: List\n    items:\n    - b: 1\n  - c: 1\n- d: 1\n"
    )
    assert parsed(text) == [(3, {"a": 1}), (8, {"b": 1}), (9, {"c": 1}), (10, {"d": 1})]


def test_place_in_a_list_within_a_list(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items:\n  - apiVersion: v1\n"
    faults = build(tmp_path, text + "    kind: Service\n    metadata:\n      name: A\n    spec: {ports: [{port: 1}]}\n")
    assert [(fault.line, fault.field) for fault in faults if not fault.warning] == [(10, "metadata.name")]


def test_lists_within_lists_to_any_depth() -> None:
    """JSON goes deeper than YAML may, and a variable deeper still."""
    value: object = {"a": 1}
    for level in range(2_000):
        value = {"kind": "List", "items": [value] if level else [{"b": 1}, value]}
    one, two = manifests.inline([value])[0]
    assert (one.value, two.value, len(two.path)) == ({"b": 1}, {"a": 1}, 4_000)
    depth = 300
    text = '{"kind": "List", "items": [' * depth + '{"a": 1}' + "]}" * depth
    assert parsed(text) == [(1, {"a": 1})]


@pytest.mark.parametrize("kind", [kind[:-4] for kind in manifests.LISTS if kind != "List"])
def test_items_of_a_typed_list_are_of_its_kind(kind: str) -> None:
    """``kubectl get --raw /api/v1/services`` prints their kind once, at the top (so does client-go read them)."""
    text = (
        f"apiVersion: x/v1\nkind: {kind}List\nitems:\n- a: 1\n- {{a: 2, kind: '', apiVersion: null}}\n- {{kind: Own}}\n"
    )
    typed = {"apiVersion": "x/v1", "kind": kind}
    assert parsed(text) == [(4, {"a": 1, **typed}), (5, {"a": 2, **typed}), (6, {"kind": "Own"})]


def test_a_list_within_a_typed_list() -> None:
    text = "kind: PodList\napiVersion: v1\nitems:\n- {apiVersion: v2, kind: ServiceList, items: [{a: 1}]}\n- 1\n"
    assert parsed(text) == [(4, {"a": 1, "apiVersion": "v2", "kind": "Service"}), (5, 1)]


@pytest.mark.parametrize("items", ["items: []", "items: null", "metadata: {}"])
@pytest.mark.parametrize("kind", ["List", "ServiceList"])
def test_empty_lists(items: str, kind: str) -> None:
    assert parsed(f"apiVersion: v1\nkind: {kind}\n{items}\n") == []


@pytest.mark.parametrize("items", ["{a: 1}", "x", "''", "0"])
@pytest.mark.parametrize("kind", ["List", "ServiceList"])
def test_a_list_whose_items_are_none_is_a_fault(items: str, kind: str, tmp_path: Path) -> None:
    (fault,) = build(tmp_path, f"apiVersion: v1\nkind: {kind}\nitems: {items}\n")
    assert (fault.line, fault.field, fault.message, fault.warning) == (3, "items", "must be a list", False)


def test_items_that_are_no_objects_are_faults(tmp_path: Path) -> None:
    """Those of a List must say their kind: it has none to give."""
    faults = build(tmp_path, "apiVersion: v1\nkind: List\nitems:\n- metadata: {name: a}\n-\n- x\n")
    assert [(fault.line, fault.field) for fault in faults if not fault.warning] == [(4, "apiVersion"), (5, ""), (6, "")]


def test_files_of_a_folder_come_by_name(tmp_path: Path) -> None:
    for name in ("b.yml", "a/z.yaml", "a/c.json", "notes.txt", "a/b.yml~"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    texts, faults = manifests.read([str(tmp_path)])
    assert not faults
    assert [os.path.relpath(name, tmp_path) for name, _ in texts] == ["b.yml", "a/c.json", "a/z.yaml"]


def test_what_cannot_be_read_hides_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "good.yml").write_text("\ufeffa: 1\n", encoding="utf-8")
    (tmp_path / "latin.yml").write_bytes(b"\xff\n")
    paths = [str(tmp_path / name) for name in ("good.yml", "latin.yml", "missing.yml")]
    texts, faults = manifests.read(paths)
    assert texts == [(paths[0], "a: 1\n")]
    assert [(fault.file, fault.message.partition(":")[0]) for fault in faults] == [
        (paths[1], "cannot be read"),
        (paths[2], "no such file or folder"),
    ]


def test_documents_begin_on_their_lines() -> None:
    text = "# head\n---\na: 1\n--- # second\nb: 1\n---\n# only a comment\n...\n---\nc: '--- no separator'\n"
    assert [(found.line, found.text) for found in manifests.documents("f", text)] == [
        (2, "\na: 1\n"),
        (4, "# second\nb: 1\n"),
        (9, "\nc: '--- no separator'\n"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\n--- # comment\nb: 1\n", [(1, {"a": 1}), (3, {"b": 1})]),
        ("a: 1\n---# comment\nb: 1\n", [(1, {"a": 1}), (3, {"b": 1})]),
        ("a: 1\n--- \t\nb: 1\n---", [(1, {"a": 1}), (3, {"b": 1})]),
        ("---\n---\n\n---\n# c\n---\na: 1\n---\n---\n", [(7, {"a": 1})]),
        ("a: 1\n---\nnull\n---\n~\n---\nb: 1\n", [(1, {"a": 1}), (7, {"b": 1})]),
        ("--- {a: 1}\n--- !!map\nb: 1\n", [(1, {"a": 1}), (2, {"b": 1})]),
        ("a: 1\n...\nb: 1\n... # end\n\nc: 1\n...", [(1, {"a": 1}), (3, {"b": 1}), (6, {"c": 1})]),
        ("...\na: 1\n...\n...\n---\nb: 1\n", [(2, {"a": 1}), (6, {"b": 1})]),
        ("%YAML 1.1\n---\na: 1\n", [(3, {"a": 1})]),
        ("# c\n%YAML 1.2\n# c\n\n---\na: 1\n...\n%YAML 1.1\n---\nb: 1\n", [(6, {"a": 1}), (10, {"b": 1})]),
        ("%YAML 1.1\n---\na: 1\n%YAML 1.1\n# c\n%TAG ! x\n---\nb: 1\n", [(3, {"a": 1}), (8, {"b": 1})]),
        ("a: 1\t\nb:\t2\t# c\nc: [1,\t2]\t\n", [(1, {"a": 1, "b": 2, "c": [1, 2]})]),
        ('{"a": 1}\n---\n{"b": 1}\n{"c": 1}\n', [(1, {"a": 1}), (3, {"b": 1}), (4, {"c": 1})]),
        ('--- {"a": 1}\n---\nb: 1\n--- # c\n{\n"c": 1}', [(1, {"a": 1}), (3, {"b": 1}), (5, {"c": 1})]),
        ('\t{"a": 1}\n...\n---\n', [(1, {"a": 1})]),
        ("a: |\n  ---\n  ...\n  %x\n---\nb: '\n  ---'\n", [(1, {"a": "---\n...\n%x\n"}), (6, {"b": " ---"})]),
    ],
)
@pytest.mark.parametrize("head", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_kubectl_reads(text: str, expected: list[tuple[int, object]], head: str, end: str, tmp_path: Path) -> None:
    """YAMLReader and YAMLOrJSONDecoder of apimachinery, and what else YAML allows."""
    path = tmp_path / "a.yml"
    path.write_bytes((head + text).replace("\n", end).encode())
    ((_name, read),) = manifests.read([str(path)])[0]
    assert parsed(read) == expected


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029"])
def test_a_comment_ends_where_libyaml_ends_it(end: str) -> None:
    for text in (f"# c{end}a: 1\n", f"\ufeff# c{end}a: 1\n", f'# c{end}{{"a": 1}}\n', f"%YAML 1.1{end}---\n---\na: 1"):
        assert [value for _line, value in parsed(text)] == [{"a": 1}]
    found, faults = manifests.parse([("f", f'{{"a": 1}} # c{end}b: 1\n')])
    assert (len(found), [fault.message for fault in faults]) == (1, ["JSON syntax: text is left over after a value"])


@pytest.mark.parametrize("text", [" ---\n", "\t---\n# c\n", "------\n", " ...\n", "---...\n"])
def test_what_only_separates_is_nothing(text: str) -> None:
    assert parsed(text) == []
    assert parsed(f"a: 1\n---\n{text}---\nb: 1\n")[1][1:] == ({"b": 1},)


def test_directives_of_no_document_are_a_fault() -> None:
    found, faults = manifests.parse([("f", "a: 1\n%YAML 1.1\n")])
    assert ([manifest.value for manifest in found], [fault.line for fault in faults]) == ([{"a": 1}], [3])


def test_many_directives_are_read_at_once() -> None:
    assert parsed("a: 1\n" + "%YAML 1.1\n" * 200_000 + "---\nb: 1\n") == [(1, {"a": 1}), (200_003, {"b": 1})]


def test_objects_one_after_another_know_their_lines() -> None:
    item = '{\n "a": 1,\n "b": {\n  "c": 2\n }\n}\n'
    found, faults = manifests.parse([("f.json", item + item + '{"kind": "List", "items": [\n{},\n' + item + "]}")])
    assert not faults
    assert [manifest.line(("b", "c")) for manifest in found] == [4, 10, 14, 18]
    assert found[0].document.text + "\n" == item, "its own text only, that to find a line costs no more"


def test_faults_of_objects_one_after_another_have_their_lines() -> None:
    text = '# c\n---\n{"a": 1}\n{"a": 1,\n "a": 2}\n{"b": 1} x\n---\n{"c": 1}\n}\n'
    found, faults = manifests.parse([("f.json", text)])
    assert [manifest.value for manifest in found] == [{"a": 1}, {"b": 1}, {"c": 1}]
    assert [(fault.file, fault.line) for fault in faults] == [("f.json", 5), ("f.json", 6), ("f.json", 9)]


def test_a_document_with_an_error_does_not_hide_the_next() -> None:
    found, faults = manifests.parse([("f.yml", "a: 1\n---\nb: [\n---\nc: 1\n")])
    assert [(manifest.document.line, manifest.value) for manifest in found] == [(1, {"a": 1}), (4, {"c": 1})]
    assert [(fault.file, fault.line) for fault in faults] == [("f.yml", 4)]


def test_objects_of_a_list_know_their_lines() -> None:
    ((manifest, other), faults) = manifests.parse(
        [("f.yml", "---\nkind: List\nitems:\n- a: 1\n- b: 1\n  c:\n    d: 2\n")]
    )
    assert not faults
    assert (manifest.value, other.path) == ({"a": 1}, ("items", 1))
    assert (other.line(()), other.line(("c", "d"))) == (5, 7)


def test_inline_objects_have_no_line() -> None:
    one, two = manifests.inline([{"a": 1}, {"kind": "List", "items": [{"b": 1}]}])[0]
    assert (one.document.file, one.line(("a",)), two.document.file) == ("sluice_manifests[0]", 0, "sluice_manifests[1]")
    assert two.value == {"b": 1}
    ((text,), _faults) = manifests.inline("text")
    assert text.value == "text", "whoever validates says what is wrong"


def test_variables(tmp_path: Path) -> None:
    path = tmp_path / "group.yml"
    path.write_text("# nothing\n---\n")
    assert manifests.load_variables(str(path)) == {}
    path.write_text("a: 1\nb: !vault x\n")
    assert manifests.load_variables(str(path)) == {"a": 1, "b": "x"}
    for text in ('{"a": 1}', '---\n{"a": 1}\n...\n', '{"a": 1}\n---\n'):
        path.write_text(text)
        assert manifests.load_variables(str(path)) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "must be one mapping of settings"),
        ("a: 1\n---\nb: 1\n", "must be one mapping"),
        ('{"a": 1}\n{"b": 1}\n', "must be one mapping"),
        ('{"a": 1} x\n', "text is left over"),
        ("a: [\n", "YAML syntax"),
    ],
)
def test_variables_that_are_none(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "group.yml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        manifests.load_variables(str(path))
    with pytest.raises(InputError, match="cannot be read: No such file"):
        manifests.load_variables(str(path) + ".not")


def test_every_reading_error_is_a_line_of_its_own(tmp_path: Path) -> None:
    """EIO (/proc/self/mem gives it), ELOOP, ENAMETOOLONG, names that are no text: all in one run."""
    (tmp_path / "disk.yml").symlink_to("/proc/self/mem")
    (tmp_path / "loop.yml").symlink_to("loop.yml")
    os.mkfifo(tmp_path / "pipe.yml")
    (tmp_path / "good.yml").write_text("a: 1\n")
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yml")
    with open(odd, "w", encoding="utf-8") as stream:
        stream.write("b: [\n")
    long = str(tmp_path / ("x" * 300))
    texts, faults = manifests.read([str(tmp_path), long, f"{tmp_path}/a\0", "\ud800", str(tmp_path / "good.yml" / "x")])
    assert [name for name, _text in texts] == [str(tmp_path / "good.yml"), odd]
    assert [str(fault) for fault in faults] == [
        f"{tmp_path}/disk.yml: cannot be read: Input/output error",
        f"{tmp_path}/loop.yml: cannot be read: Too many levels of symbolic links",
        f"{tmp_path}/pipe.yml: cannot be read: is a FIFO, not a file",
        f"{long}: cannot be read: File name too long",
        f"{tmp_path}/a\\x00: cannot be read: embedded null byte",
        r"\ud800: cannot be read: 'utf-8' codec can't encode character '\ud800' in position 0: surrogates not allowed",
        f"{tmp_path}/good.yml/x: cannot be read: Not a directory",
    ]
    (fault,) = manifests.parse(texts)[1]
    assert str(fault) == f"{tmp_path}/\\udcff.yml:2: YAML syntax: did not find expected node content"


def test_a_folder_that_cannot_be_read_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "good.yml").write_text("a: 1\n")

    def read() -> list[str]:
        return [str(fault) for fault in manifests.read([str(tmp_path)])[1]]

    if os.geteuid():
        assert read() == [f"{tmp_path}/closed: cannot be read: Permission denied"]
        return
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        tmp_path.chmod(0o777)
        os.chdir(tmp_path)
        os.setuid(65534)
        os.write(writer, "\n".join(str(fault) for fault in manifests.read(["."])[1]).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader) as stream:
        assert stream.read() == "./closed: cannot be read: Permission denied"


# --- the same objects in every form

Objects = list[dict[str, Any]]
KIND = ("apiVersion", "kind")


def json_of(objects: Objects, between: str, indent: int | None = None) -> str:
    return between.join(json.dumps(entry, indent=indent, ensure_ascii=False) for entry in objects)


def list_of(objects: Objects) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": objects}


def nested(objects: Objects, depth: int = 0) -> Objects:
    """One List with as many Lists in it as there are objects, or as there may be."""
    inner = nested(objects[1:], depth + 1) if objects and depth < 20 else objects[1:]
    return [list_of([*objects[:1], *inner])]


def typed(objects: Objects) -> Objects:
    return [
        {
            "kind": f"{kind}List",
            "apiVersion": version,
            "items": [{key: value for key, value in entry.items() if key not in KIND} for entry in entries],
        }
        for (version, kind), entries in itertools.groupby(objects, lambda entry: tuple(map(entry.get, KIND)))
    ]


FORMS: dict[str, Callable[[Objects], str]] = {
    "YAML": lambda objects: yaml.safe_dump_all(objects),
    "YAML with ends": lambda objects: yaml.safe_dump_all(
        objects, explicit_start=True, explicit_end=True, version=(1, 1)
    ),
    "flow style": lambda objects: "---\n".join(yaml.safe_dump(entry, default_flow_style=True) for entry in objects),
    "List": lambda objects: yaml.safe_dump(list_of(objects)),
    "Lists in Lists": lambda objects: json_of(nested(objects), "\n", 2),
    "typed lists": lambda objects: yaml.safe_dump_all(typed(objects)),
    "typed lists in a List": lambda objects: json_of([list_of(typed(objects))], "\n", 1),
    "JSON back to back": lambda objects: json_of(objects, "", 4),
    "JSON, appended": lambda objects: json_of(objects, "\n", 4),
    "JSON lines": lambda objects: json_of(objects, "\n"),
    "JSON between ---": lambda objects: json_of(objects, "\n---\n", 0),
}


@pytest.mark.parametrize("form", FORMS)
@given(st.data())
def test_the_same_objects_in_every_form(form: str, data: st.DataObject) -> None:
    objects = data.draw(strategies.catalogues(4))
    for entry in objects:
        entry["metadata"]["annotations"] = {"x": data.draw(st.text('{}[]",:#-%.! \n\t\ufeff\xe9a', max_size=20))}
    other = data.draw(st.sampled_from(list(FORMS)))
    first = data.draw(st.integers(0, len(objects) - 1))
    parts = [FORMS[other](objects[:first]), FORMS[form](objects[first:])]
    text = data.draw(st.sampled_from(["", "\ufeff"])) + "\n---\n".join(parts)
    encoding = data.draw(st.sampled_from(["utf-8", "utf-16-le", "utf-16-be"] if text[0] == "\ufeff" else ["utf-8"]))
    with tempfile.NamedTemporaryFile() as file:
        file.write(text.replace("\n", data.draw(st.sampled_from(["\n", "\r\n"]))).encode(encoding))
        file.flush()
        texts, unreadable = manifests.read([file.name])
    found, faults = manifests.parse(texts)
    assert not unreadable + faults
    assert [manifest.value for manifest in found] == objects
    lines = text.split("\n")
    for manifest in found:
        assert manifest.value["metadata"]["name"] in lines[manifest.line(("metadata", "name")) - 1]
