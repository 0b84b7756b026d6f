"""TOML files that people edit too: one table put in or taken out, and every other line stays as it was.

Knows TOML; nothing of what the tables hold.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.core import files
from pipelines.core.errors import BadInput

_HEADER = re.compile(r"^\s*\[\s*(?P<key>\"(?:[^\"\\]|\\.)*\"|'[^']*'|[\w-]+)")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def put(path: Path, name: str, table: Mapping[str, Any], label: str) -> None:
    """Writes the table `name`, in its old place or at the end; a file that is new begins with `label`.

    Raises BadInput when the file is not valid TOML, else as `files.write_bytes`.
    """
    text, known = _read(path)
    if not known:
        text, known = f"label = {value(label)}\n", {"label": label}
    known[name] = dict(table)
    _write(path, _with(text, name, block(name, table)), known)


def remove(path: Path, name: str) -> None:
    """Takes the table `name` out; with the last table goes the file. Raises as `put`, KeyError without the table."""
    text, known = _read(path)
    del known[name]
    if any(isinstance(one, dict) for one in known.values()):
        _write(path, _without(text, name), known)
    else:
        path.unlink()
        files.sync_folder(path.parent)


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    if not path.exists():
        return "", {}
    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name} is not valid TOML ({error}): mend that file, then save again") from error


def _write(path: Path, text: str, known: Mapping[str, Any]) -> None:
    """`text` where it says what `known` holds; a file whose make is beyond us is written anew from it."""
    try:
        same = tomllib.loads(text) == known
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        lines = [f"{_key(key)} = {value(one)}\n" for key, one in known.items() if not isinstance(one, dict)]
        blocks = [block(key, one) for key, one in known.items() if isinstance(one, dict)]
        text = "\n".join(["".join(lines), *blocks])
    files.write_bytes(path, text.encode())


def _spans(text: str, name: str) -> list[tuple[int, int]]:
    """Which lines, [from, to), are the table `name`: its header and what follows, up to the next one's comment."""
    lines = text.splitlines()
    heads = [(at, found["key"]) for at, line in enumerate(lines) if (found := _HEADER.match(line))]
    spans = []
    for place, (at, key) in enumerate(heads):
        end = heads[place + 1][0] if place + 1 < len(heads) else len(lines)
        while end < len(lines) and end > at + 1 and lines[end - 1].lstrip().startswith("#"):
            end -= 1
        if _unquoted(key) == name:
            spans.append((at, end))
    return spans


def _without(text: str, name: str) -> str:
    lines = text.splitlines()
    for start, end in reversed(_spans(text, name)):
        del lines[start:end]
    return "\n".join(lines).rstrip("\n") + "\n"


def _with(text: str, name: str, block: str) -> str:
    spans = _spans(text, name)
    if not spans:
        return f"{text.rstrip()}\n\n{block}" if text.strip() else block
    lines = text.splitlines()
    after = lines[spans[0][1] :]
    for start, end in reversed(spans[1:]):
        del after[start - spans[0][1] : end - spans[0][1]]
    return "\n".join([*lines[: spans[0][0]], *block.splitlines(), *([""] if after else []), *after]) + "\n"


def _unquoted(key: str) -> str:
    if key.startswith('"'):
        found = next(iter(tomllib.loads(f"{key} = 0")))
        return str(found)
    return key.strip("'")


def block(name: str, table: Mapping[str, Any]) -> str:
    """A table as TOML, one key a line."""
    return f"[{_key(name)}]\n" + "".join(f"{_key(key)} = {value(one)}\n" for key, one in table.items())


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else value(key)


def value(of: Any) -> str:
    """A value as TOML. JSON's strings and numbers are TOML's too, but for one character."""
    if isinstance(of, Mapping):
        return "{ " + ", ".join(f"{_key(str(key))} = {value(one)}" for key, one in of.items()) + " }"
    if isinstance(of, list | tuple):
        return "[" + ", ".join(value(one) for one in of) + "]"
    if isinstance(of, str):
        return json.dumps(of, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(of)
