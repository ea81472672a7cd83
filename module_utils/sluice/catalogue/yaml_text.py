"""Values to YAML in the form that kubectl prints: blocks, sorted keys, quotes only where they are needed.

Of its own, because nodes have no PyYAML, and in a tenth of the time that PyYAML takes.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any, Union

Value = Union[dict[str, Any], list[Any], str, int, bool, None]

_PLAIN = re.compile(r"[A-Za-z0-9_/](?:[-A-Za-z0-9_./()+=@,;~]|:(?=\S)| (?=[^# ]))*")
"""Text that no YAML takes for structure. Fewer characters than might be: quotes never harm."""

_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
_NUMBER = re.compile(r"(?!.*::|(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?:/[0-9]+)?\Z)[0-9][-+0-9A-Fa-foxTZ_.:, ]*")
"""What some YAML might take for a number, a time or a date: neither dotted quads nor what has ``::``."""


def text(value: Value) -> str:
    """``value``, which JSON could hold as well, as one YAML document."""
    lines: list[str] = []
    _write(lines, value, "", "")
    return "\n".join(lines) + "\n"


def _write(lines: list[str], value: Value, indent: str, lead: str) -> None:
    """``lead`` stands before the first line, ``indent`` before all others."""
    if isinstance(value, dict) and value:
        for key, entry in sorted(value.items()):
            if entry and isinstance(entry, (dict, list)):
                lines.append(f"{lead}{_string(key)}:")
                inner = indent if isinstance(entry, list) else f"{indent}  "
                _write(lines, entry, inner, inner)
            else:
                lines.append(f"{lead}{_string(key)}: {_scalar(entry)}")
            lead = indent
    elif isinstance(value, list) and value:
        for entry in value:
            _write(lines, entry, f"{indent}  ", f"{lead}- ")
            lead = indent
    else:
        lines.append(lead + _scalar(value))


def _scalar(value: Value) -> str:
    return _string(value) if isinstance(value, str) else json.dumps(value)


@functools.lru_cache(maxsize=4096)  # keys, and the few words that stand in every object
def _string(found: str) -> str:
    if _PLAIN.fullmatch(found) and found.lower() not in _WORDS and not _NUMBER.fullmatch(found):
        return found
    # The escapes of JSON are YAML's as well, but for pairs of surrogates.
    return re.sub(r"[^ -~]", _escape, json.dumps(found, ensure_ascii=False))


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    if 0xD800 <= number < 0xE000:  # half of a pair, which only JSON can say
        number = 0xFFFD
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
