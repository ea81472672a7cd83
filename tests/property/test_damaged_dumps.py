"""Dumps that are cut, edited or mixed up: trace, explain and import answer, or say in clear lines what is wrong.

Recorded dumps of nodes are damaged in a random way, and the command is asked. Python's own words for what it could not
do are no clear lines. SLUICE_DAMAGE_SEED repeats a run, SLUICE_DAMAGE says how many dumps are damaged.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import random
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import planted
import pytest

from sluice import command
from sluice.observe import nft_parse

NFT = Path(__file__).parents[1] / "unit" / "observe"
SEED = int(os.environ.get("SLUICE_DAMAGE_SEED", "0")) or random.randrange(1, 2**32)
DAMAGED = int(os.environ.get("SLUICE_DAMAGE", "150"))
LONGEST = 60_000
"""Dumps that are longer are left out: those are alike, only slow."""

_PYTHON = re.compile(
    r"Traceback|NoneType|unhashable|has no attribute|object is not|indices must be|not supported between|unpack"
    r"|invalid literal|could not convert|out of range|'(?:int|str|list|dict|tuple|bool|float)'|^sluice: '[^']*'$"
    r"|: '[^']*'$|argument|expected \d+|object|codec|must be str"
)
"""What Python says of values that nobody has checked."""

_LINE = re.compile(r"(?:sluice: |warning: |/\S+: ).{5,400}")
_OTHERS = ("", " ", '"', "{", "}", "-", "!", ":", "/", "0", "-1", "4294967296", "999.1.1.1", "fd00::g", "10.0.0.0/99")
_VALUES = (
    None,
    True,
    -1,
    2**70,
    0.5,
    "",
    "x",
    "999.1.1.1",
    [],
    [[]],
    [None],
    {},
    {"a": 1},
    {"set": None},
    {"a": {}, "b": 1},
)


def _texts() -> dict[str, dict[str, str]]:
    """Nodes with their dumps, by the names of the files."""
    found = {}
    for case, mode, release in planted.CASES:
        held = planted.recorded(case, mode, release)
        if sum(map(len, held.values())) < LONGEST:
            found[f"{release}-{mode}-{case}"] = {f"dump{suffix}": text for suffix, text in held.items()}
    for name in ("kube-proxy", "kube-proxy-1.36"):
        text = (NFT / f"{name}.nft").read_text()
        found[f"nft-{name}"] = {"ruleset.nft": text, "ip": ADDRESSES}
        listed = {"nftables": [{"metainfo": {"json_schema_version": 1}}, *nft_parse.listing(text)]}
        found[f"json-{name}"] = {"ruleset.json": json.dumps(listed), "ip": ADDRESSES}
    for name, text in OTHERS.items():
        found[f"other-{name}"] = {"dump.rules": planted.recorded("16-loadbalancer")[".rules"], name: text}
    return found


ADDRESSES = """\
1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
2: eth0    inet 192.0.2.1/24 brd 192.0.2.255 scope global eth0\\       valid_lft forever preferred_lft forever
2: eth0    inet6 fd00:c::1/64 scope global \\       valid_lft forever preferred_lft forever
3: kube-ipvs0    inet 10.96.0.50/32 scope global kube-ipvs0\\       valid_lft forever preferred_lft forever
"""
OTHERS = {
    "sysctl": "net.ipv4.ip_forward = 0\nnet.netfilter.nf_conntrack_count = 5\nnet.netfilter.nf_conntrack_max = 5\n",
    "lsmod": "Module                  Size  Used by\nnf_conntrack          172032  2 nf_nat,xt_conntrack\n",
    "neighbour": "10.244.1.10 dev eth0  FAILED\n10.244.1.11 dev eth0 lladdr 02:00:00:00:00:01 REACHABLE\n",
    "listed": "-P PREROUTING ACCEPT\n-P OUTPUT ACCEPT\n-N X\n-A PREROUTING -d 192.0.2.9/32 -j X\n"
    "-A X -j CT --notrack\n",
    "sets": "create A hash:net family inet\nadd A 10.0.0.0/8\nadd A 10.1.0.0/16 nomatch\ncreate B hash:ip netmask 24\n"
    "add B 10.0.0.0\n",
}
NODES = _texts()


def _cut(text: str, chance: random.Random) -> str:
    return text[: chance.randrange(len(text) + 1)]


def _without_a_piece(text: str, chance: random.Random) -> str:
    begin = chance.randrange(len(text) + 1)
    return text[:begin] + text[begin + chance.choice((1, 2, 5, 30, 300)) :]


def _lines_mixed_up(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    for _turn in range(chance.choice((1, 3))):
        one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        lines[one], lines[other] = chance.choice(
            ((lines[other], lines[one]), (lines[one], lines[one]), ("", lines[one]))
        )
    return "".join(lines)


def _words_changed(text: str, chance: random.Random) -> str:
    words = re.split(r"([\s,:/\"]+)", text)
    for _turn in range(chance.choice((1, 1, 4))):
        at = chance.randrange(len(words))
        words[at] = chance.choice((chance.choice(words), chance.choice(_OTHERS), words[at] * 2))
    return "".join(words)


def _characters_changed(text: str, chance: random.Random) -> str:
    held = list(text) or [""]
    for _turn in range(chance.choice((1, 2, 10))):
        held[chance.randrange(len(held))] = chance.choice((*string.printable, "é", "\0", "\x1b", "\u2028"))
    return "".join(held)


def _numbers_changed(text: str, chance: random.Random) -> str:
    found = list(re.finditer(r"\d+", text))
    if not found:
        return text
    at = chance.choice(found)
    number = chance.choice(("", "0", "-1", "99999", "4294967296", "9" * 5000, "1e9", "0x", "x", "\u0663"))
    return text[: at.start()] + number + text[at.end() :]


def _values_changed(text: str, chance: random.Random) -> str:
    """Of JSON, values at any depth; of other text, words."""
    if not text.startswith("{"):
        return _words_changed(text, chance)
    listed = json.loads(text)
    for _turn in range(chance.choice((1, 1, 3))):
        _change(listed, chance)
    return json.dumps(listed)


def _change(listed: Any, chance: random.Random) -> None:
    places: list[tuple[Any, Any]] = []
    waiting = [listed]
    while waiting:
        of = waiting.pop()
        keys = list(of) if isinstance(of, dict) else range(len(of))
        places += ((of, key) for key in keys)
        waiting += (of[key] for key in keys if isinstance(of[key], (dict, list)))
    of, key = chance.choice(places)
    how = chance.randrange(4)
    if how == 0:
        del of[key]
    elif how == 1 and isinstance(of, dict):
        of[chance.choice(("x", "elem", "set", "range", "prefix", "jump", "expr"))] = of.pop(key)
    else:
        other, name = chance.choice(places)
        try:
            of[key] = chance.choice((chance.choice(_VALUES), json.loads(json.dumps(other[name]))))
        except (KeyError, IndexError):
            of[key] = None


DAMAGES: tuple[Callable[[str, random.Random], str], ...] = (
    _cut,
    _without_a_piece,
    _lines_mixed_up,
    _words_changed,
    _characters_changed,
    _numbers_changed,
    _values_changed,
    _values_changed,
)


def _asked(chance: random.Random, texts: dict[str, str], folder: Path) -> list[str]:
    what = chance.choice(("trace", "trace", "trace", "explain", "import"))
    if what == "import":
        return [what, "--out", str(folder / "out"), "--node-name", "node1"]
    if what == "explain":
        return [what, *chance.choice(([], ["--json"]))]
    known = [each for text in texts.values() for each in re.findall(r"(?<![\d.])10(?:\.\d{1,3}){3}(?!\.)", text)]
    where = chance.choice([*known, "192.0.2.1", "203.0.113.10", "[fd00:96::1]", "10.96.0.1"])
    port = chance.choice((80, 443, 53, 30080, 8080))
    to = chance.choice(
        (f"{where}:{port}", f"{where}:{port}", f"{where}:{port}/udp", "default/kubernetes", "testns/web")
    )
    source = chance.choice(([], [], ["--from", chance.choice((*known, "192.0.2.1", "198.18.0.9"))]))
    return [what, "--to", to, *source, *chance.choice(([], [], ["--json"], ["--mermaid"], ["--svg"]))]


@pytest.mark.parametrize("number", range(DAMAGED))
def test_damaged_dumps(number: int, tmp_path: Path) -> None:
    chance = random.Random(f"{SEED} {number}")
    name = chance.choice(sorted(NODES))
    texts = dict(NODES[name])
    for spoilt in chance.sample(sorted(texts), chance.choice((1, 1, len(texts)))):
        texts[spoilt] = chance.choice(DAMAGES)(texts[spoilt], chance)
    for file, text in texts.items():
        (tmp_path / file).write_text(text, encoding="utf-8", newline="")
    words = _asked(chance, texts, tmp_path)
    print(f"test_damaged_dumps.py: seed {SEED}, {name}, files in {tmp_path}: sluice {' '.join(words)}", flush=True)
    said, complained = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            code = command.main([*words, "--dump", *(str(tmp_path / file) for file in texts)])
    finally:
        gc.enable()
    out, errors = said.getvalue(), complained.getvalue()
    assert code in (0, 1, 2)
    assert code != 2 or errors, "it says what is wrong"
    for line in errors.splitlines():
        assert _LINE.fullmatch(line), line
        assert line.isprintable(), line
        assert not _PYTHON.search(line.replace(str(tmp_path), "")), line
    if "--json" in words and out:
        json.loads(out)
    for line in () if "--json" in words else out.splitlines():
        assert "\x1b" not in line, line
