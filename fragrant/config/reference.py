"""The reference of all keys, docs/config.md, from their declarations."""

from collections.abc import Iterable

from fragrant.config.defaults import KEYS
from fragrant.config.keys import ON_RESUME, Key

_HEAD = """# Config keys

Every key, its default, its values and its meaning. A yaml file (`--cfg FILE`) overrides the defaults, `KEY VALUE` pairs
on the command line override the file; `--print-config` shows what comes out. A value of another kind or outside of its
limits ends in one line that names the key, with exit code 2. In a path `~`, `$VARIABLE` and `${VARIABLE}` are opened.
Rules about several keys stand in `fragrant/config/check.py`.

A run that is taken up again must have the values of its checkpoint, but for the keys that say here what may change:
[Resuming](training.md#resuming). Keys "of clips" decide which frames and pixels a network gets: a test says where they
differ from the training's.

This page is written by `python tools/config_docs.py` from `fragrant/config/defaults.py`; edit that file instead.
"""
_WORDS = {bool: "True, False", int: "whole number", float: "number", "number": "number", str: "text"}


def reference(keys: Iterable[Key] = KEYS.values()) -> str:
    """The page in Markdown: a heading and a table for each block of keys, in the order of declaration."""
    blocks: dict[str, list[Key]] = {}
    for key in keys:
        blocks.setdefault(key.name.rpartition(".")[0], []).append(key)
    return "\n".join([_HEAD, *(_table(block or "The run", rows) for block, rows in blocks.items())])


def _table(heading: str, keys: list[Key]) -> str:
    lines = [f"## {heading}", "", "| Key | Default | Values | Meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| `{key.name}` | {_code(key.default)} | {_text(_values(key))} | {_meaning(key)} |" for key in keys]
    return "\n".join(lines) + "\n"


def _meaning(key: Key) -> str:
    notes = [ON_RESUME[key.on_resume], "of clips" if key.of_clips else ""]
    return " ".join([_text(key.meaning), *(f"*({note})*" for note in notes if note)])


def _values(key: Key) -> str:
    """The values of a key in words: "list of whole number; above 0"."""
    allowed = key.allowed
    if allowed.one_of is not None and not key.kind.is_list:
        return allowed.words()
    word = "path" if key.kind.is_path else _WORDS[key.kind.element]
    kind = f"list of {word}s" if key.kind.is_list else word
    words = [*key.kind.named, *key.kind.words]
    kind += f", or {', '.join(words)}" if words else ""
    kind += ", or None" if key.kind.may_be_none else ""
    return "; ".join(part for part in (kind, allowed.words()) if part)


def _code(default: object) -> str:
    return f"`{default!r}`" if default != "" else '`""`'


def _text(words: str) -> str:
    """Escapes everything that Markdown would read as a mark."""
    for mark in "\\|*<>":
        words = words.replace(mark, "\\" + mark)
    return words
