"""Loads the config as a frozen tree: defaults <- yaml file <- KEY VALUE pairs."""

import difflib
import logging
import os
import re
from collections.abc import Sequence
from itertools import islice

from fvcore.common.config import CfgNode

from fragrant.config.casts import cast, unquoted
from fragrant.config.check import check_cfg
from fragrant.config.defaults import default_cfg, kind_of, leaves
from fragrant.config.errors import ConfigError
from fragrant.config.published import IGNORED, INSTEAD, ONLY_DEFAULT, SAID_OTHERWISE, UNSUPPORTED, entry_of
from fragrant.config.yaml_text import Setting, read_yaml, read_yaml_text
from fragrant.files import left_over
from fragrant.plugins import expect_plugins, missing_hint

MOST_PROBLEMS = 20  # that are looked for: a hint for each of ten thousand wrong keys takes minutes
LONGEST_KEY = 200  # characters

_log = logging.getLogger(__name__)


def load_cfg(path: str | os.PathLike | None, pairs: Sequence[str] = ()) -> CfgNode:
    """The config of a run, frozen: defaults, overridden by a yaml file, overridden by pairs.

    Args:
        path: a yaml file, which may name files to start from with ``_BASE_`` (relative to itself); None = defaults
            only.
        pairs: ``["TRAIN.BATCH_SIZE", "8", ...]``. Values are text; values of Python types are fine, too.

    Raises:
        ConfigError: names everything that is wrong with the keys and values, with file and line.
    """
    cfg = _from_settings(read_yaml(os.fspath(path)) if path is not None else [], pairs)
    _refuse_unknown_places(cfg)
    return cfg


def cfg_from_text(text: str, pairs: Sequence[str] = (), *, where: str = "config text") -> CfgNode:
    """Builds the config from the text of a yaml file, as checkpoints and score tables carry it; ``where``: the text's
    place, for errors. See ``load_cfg``."""
    return _from_settings(read_yaml_text(text, where), pairs)


def changed(cfg: CfgNode, settings: dict[str, object]) -> CfgNode:
    """A frozen copy with other values of some keys, ``{"MODEL.NUM_CLASSES": 0}``; what is asked of a user's config is
    not asked of it."""
    copy = cfg.clone()
    copy.defrost()
    copy.merge_from_list([part for pair in settings.items() for part in pair])
    copy.freeze()
    return copy


def _from_settings(settings: list[Setting], pairs: Sequence[str]) -> CfgNode:
    cfg = default_cfg()
    known = leaves(cfg)
    if not settings:
        expect_plugins([])
    settings = said_as_here(settings + read_pairs(pairs, known))
    problems = list(islice(filter(None, (_apply(cfg, known, setting) for setting in settings)), MOST_PROBLEMS))
    if problems:
        raise ConfigError(problems)
    check_cfg(cfg)
    _say_what_is_ignored(cfg, settings, known)
    cfg.freeze()
    return cfg


def said_as_here(settings: Sequence[Setting]) -> list[Setting]:
    """Puts what is set here in the place of published settings that are said otherwise here, with a line in the log."""
    ours: list[Setting] = []
    for key, value, where in settings:
        instead = SAID_OTHERWISE.get((key, str(value)))
        if instead is None:
            ours.append(Setting(key, value, where))
            continue
        ours += [Setting(name, said, where) for name, said in instead]
        words = " ".join(f"{name} {said}" for name, said in instead)
        _log.warning("config: %s: %s %s means %s", where, key, value, words)
    return ours


def _refuse_unknown_places(cfg: CfgNode) -> None:
    """Raises ConfigError where a path names a variable or a user that this machine does not know. A config from inside
    a checkpoint may: it is of another machine."""
    problems = []
    for name, value in leaves(cfg).items():
        if kind_of(name, value).is_path:
            place = value[-1] if isinstance(value, list) and value else value  # of [old, new] the new is here
            if unknown := left_over(str(place or "")):
                what = "environment variable" if "$" in unknown else "user"
                problems.append(f"{name} {place!r}: this machine knows no {what} {unknown}")
    if problems:
        raise ConfigError(problems)


def read_pairs(pairs: Sequence[str], known: dict[str, object]) -> list[Setting]:
    """Reads settings from pairs ``["KEY", "VALUE", ...]``.

    Raises:
        ConfigError: a key without value, a value without key, or a command line flag among them.
    """
    where = "KEY VALUE pairs"
    flags = [token for token in pairs if isinstance(token, str) and re.match(r"--[A-Za-z]", token)]
    if flags:
        raise ConfigError(
            [
                f"{where}: {_quoted(flags[0])} is not known as a flag; flags stand before the pairs, keys look like "
                "TRAIN.BATCH_SIZE"
            ]
        )
    if len(pairs) % 2:
        raise ConfigError([f"{where}: {_lonely(list(map(str, pairs)), known)}"])
    return [
        Setting(str(key), unquoted(value) if isinstance(value, str) else value, where)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True)
    ]


def _quoted(word: str) -> str:
    return f"'{word}'" if word.isprintable() and len(word) <= LONGEST_KEY else f"{word!r:.60}"


def _lonely(tokens: list[str], known: dict[str, object]) -> str:
    """Finds the token without partner among an odd number of tokens."""
    looks_like_key = re.compile(r"[A-Z][A-Z0-9_]*(\.[A-Z0-9_]+)+")
    for key, value in zip(tokens[::2], [*tokens[1::2], None], strict=True):
        if "=" in key and looks_like_key.match(key):
            return f"{_quoted(key)}: write key and value with a blank between them, not '='"
        if key not in known and not looks_like_key.fullmatch(key):
            return f"{_quoted(key)} stands where a key should be; does the value before it need quotes?"
        if value is None or value in known:
            return f"{_quoted(key)} has no value"
    raise AssertionError("an odd number of tokens ends in a key without value")


def _apply(cfg: CfgNode, known: dict[str, object], setting: Setting) -> str | None:
    """Puts a setting into the tree; returns what is wrong with it, if anything."""
    key, value, where = setting
    if not key.isprintable() or len(key) > LONGEST_KEY:
        return f"{where}: {key!r:.60} cannot be a key"
    if key not in known:
        problem = _why_not(key, value, known)
        return f"{where}: {problem}" if problem else None
    *blocks, name = key.split(".")
    node = cfg
    for block in blocks:
        node = node[block]
    try:
        node[name] = cast(value, kind_of(key, known[key]))
    except ValueError as error:
        return f"{where}: {key}: {error} (default: {known[key]!r})"
    return None


def _why_not(key: str, value: object, known: dict[str, object]) -> str | None:
    """Why a key outside the tree cannot be set; None if it may stand there, ignored."""
    if (family := entry_of(key, UNSUPPORTED)) is not None:
        return f"{key} is not supported here: {UNSUPPORTED[family]} is left out"
    if key in ONLY_DEFAULT:
        default, otherwise = ONLY_DEFAULT[key]
        return (
            None if _equals(value, default) else f"{key} {value!s:.60} is not supported, only {default!r}: {otherwise}"
        )
    if entry_of(key, IGNORED) is not None:
        return None
    if key in INSTEAD:
        return f"{key} is not known; use {INSTEAD[key]}"
    inside = [other.removeprefix(key + ".") for other in known if other.startswith(key + ".")]
    if inside:
        return None if value == "" else f"{key} is a block of keys, not a value; it holds {', '.join(inside)}"
    return f"{key} is not known: {hint}" if (hint := missing_hint()) else f"{key} is not known; {_nearest(key, known)}"


def _equals(value: object, default: object) -> bool:
    if default is None:
        return value in (None, "None", "none", "null", "~", "")
    if default == []:
        return value in ([], (), "[]")
    try:
        return cast(value, kind_of("", default)) == default
    except ValueError:
        return False


def _nearest(key: str, known: dict[str, object]) -> str:
    """The keys that the user may have meant; failing that, the keys of the block."""
    block, _, name = key.rpartition(".")
    if "=" in key:
        return "write key and value with a blank between them, not '='"
    if block in known:
        return f"{block} is a value, not a block of keys"
    likeness = {other: _likeness(key, other) for other in known}
    best = max(likeness.values())
    if best >= 0.8:
        close = [other for other in known if likeness[other] > best - 0.05]
        return (
            "did you mean "
            + " or ".join(f"'{other}'" for other in sorted(close, key=likeness.__getitem__, reverse=True)[:3])
            + "?"
        )
    inside = [other.rpartition(".")[2] for other in known if other.rpartition(".")[0] == block]
    if inside:
        return f"{block or 'the top level'} holds {', '.join(inside)}"
    return "known blocks: " + ", ".join(dict.fromkeys(other.split(".")[0] for other in known if "." in other))


def _likeness(key: str, other: str) -> float:
    """Similarity of two keys: mostly that of their names, for the right name in the wrong block is a common slip."""
    (block, _, name), (other_block, _, other_name) = key.lower().rpartition("."), other.lower().rpartition(".")
    of_names = difflib.SequenceMatcher(None, name, other_name).ratio()
    if other_name.startswith(name + "_") or other_name.endswith("_" + name):
        of_names = max(of_names, 0.78)
    of_blocks = difflib.SequenceMatcher(None, block, other_block).ratio()
    return of_names + (0.2 * of_blocks if of_blocks > 0.6 else 0)  # below, the letters in common mean nothing


def _say_what_is_ignored(cfg: CfgNode, settings: list[Setting], known: dict[str, object]) -> None:
    ignored = dict.fromkeys(key for key, _, _ in settings if key not in known and entry_of(key, IGNORED))
    if ignored:
        _log.warning(
            "config: ignored: %s", ", ".join(f"{key} ({IGNORED[entry_of(key, IGNORED) or key]})" for key in ignored)
        )
    if cfg.DATA.DECODING_BACKEND == "torchvision":
        _log.warning("config: DATA.DECODING_BACKEND torchvision: videos are read with PyAV, the same frames by index")
