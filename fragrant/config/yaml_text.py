"""Config yaml <-> settings: reads files with their line numbers, writes a tree that reads back equal."""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml
from fvcore.common.config import BASE_KEY, CfgNode

from fragrant.config.errors import ConfigError
from fragrant.files import expanded, open_plain
from fragrant.plugins import expect_plugins_of, plugin_header
from fragrant.zoo import ZooError, config_file, is_in_box

_MAX_DEPTH = 10  # an alias can make a yaml file contain itself
_MAX_CHARACTERS = 60_000  # of a file, read within a second; a config of every key has 10,000
_MAX_VALUES = 5_000  # of a file, and of all files together: aliases and _BASE_ can multiply few lines
_MAX_FILES = 100
_MAX_NAME = 100  # characters of a key


class Setting(NamedTuple):
    """The assignment of a value to a key. A value from a file is text, or a list of texts: what it means depends on the
    key."""

    key: str
    value: object
    where: str  # "configs/x.yaml:12"


def read_yaml(path: str) -> list[Setting]:
    """The settings of a file, or of ``zoo:NAME``, those of its ``_BASE_`` files first.

    The text is only split into keys and values, nothing in it is ever constructed or executed. fvcore's own reader is
    not used because it takes the second of two equal keys silently and forgets the lines.

    Raises:
        ConfigError: the file is missing, is no yaml, has a key twice, or is of a size that no config has.
    """
    return _with_bases(os.fspath(path), (), {})


def _with_bases(path: str, chain: tuple[str, ...], done: dict[str, list[Setting]]) -> list[Setting]:
    """The assignments of a file and, before them, of the files that its ``_BASE_`` names.

    Args:
        chain: the files whose ``_BASE_`` led here.
        done: what the files that were read already have given, by their real path: each is read once.
    """
    named_by = f" ({BASE_KEY} of {chain[-1]})" if chain else ""
    path = _in_package(path, named_by) if is_in_box(path) else expanded(path)
    if any(character < " " for character in path) or len(path) > 4096:
        raise ConfigError([f"{path[-200:]!r}{named_by}: cannot be the name of a file"])
    real = os.path.realpath(path)
    if real in map(os.path.realpath, chain):
        raise ConfigError([f"{path}: {BASE_KEY} leads back to the same file: {' -> '.join([*chain, path])}"])
    if real not in done:
        if len(done) + len(chain) >= _MAX_FILES:
            raise ConfigError([f"{path}{named_by}: more than {_MAX_FILES} files; a config starts from a few"])
        done[real] = _read_one(path, named_by, chain, done)
    return done[real]


def _in_package(name: str, named_by: str) -> str:
    """The file behind ``zoo:NAME``."""
    try:
        return config_file(name)
    except ZooError as error:
        raise ConfigError([f"{name}{named_by} {error}"]) from error


def _read_one(path: str, named_by: str, chain: tuple[str, ...], done: dict[str, list[Setting]]) -> list[Setting]:
    root = _compose(path, named_by, is_first=not chain)
    if root is None:  # an empty file sets nothing
        return []
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError([f"{path}: expected keys and values, got a {root.id}"])
    # The same line twice counts once, the last time: as if every base were read as often as it is named.
    merged: dict[tuple[str, str], Setting] = {}
    own = _flatten(root, path)
    for setting in own:
        for name in _base_names(setting):
            base = name if is_in_box(name) else os.path.join(os.path.dirname(path), expanded(name))
            for other in _with_bases(base, (*chain, path), done):
                merged.pop((other.key, other.where), None)
                merged[other.key, other.where] = other
    settings = [*merged.values(), *(setting for setting in own if setting.key != BASE_KEY)]
    if len(settings) > _MAX_VALUES:
        raise ConfigError([f"{path}: more than {_MAX_VALUES} values together with its {BASE_KEY} files"])
    return settings


def _base_names(setting: Setting) -> list[str]:
    """The files that a ``_BASE_`` names; none for any other key."""
    if setting.key != BASE_KEY:
        return []
    values = setting.value if isinstance(setting.value, list) else [setting.value]
    names = [value for value in values if isinstance(value, str)]
    if len(names) < len(values):
        raise ConfigError([f"{setting.where}: {BASE_KEY} must be the name of a file, or a list of names"])
    return names


def read_yaml_text(text: str, where: str) -> list[Setting]:
    """The settings of a text that ``dump_cfg`` wrote; ``where`` stands for the file in errors.

    Raises:
        ConfigError: it is no yaml of keys and values, or of a size that no config has.
    """
    _check_size(text, where)
    expect_plugins_of(text)
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except _YAML_FAILURES as error:
        raise ConfigError([f"{where}: is not valid yaml: {_reason(error)}"]) from error
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError([f"{where}: expected keys and values"])
    return _flatten(root, where)


# Its scanner also fails in Python's own ways, over a date that is none or an escape beyond the last character.
_YAML_FAILURES = (yaml.YAMLError, RecursionError, ValueError, OverflowError)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"more than {_MAX_DEPTH} levels"
    return " ".join(str(error).split())[:300]


def _check_size(text: str, where: str) -> None:
    """Refuses a text before any of it is parsed."""
    if len(text) > _MAX_CHARACTERS:
        raise ConfigError([f"{where}: {len(text)} characters; allowed: {_MAX_CHARACTERS}, no config is longer"])
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", text):  # the parser takes seconds for a thousand levels, and then gives up
        depth = max(0, depth + (1 if bracket in "[{" else -1))
        if depth > 10 * _MAX_DEPTH:
            raise ConfigError([f"{where}: is not valid yaml: more than {_MAX_DEPTH} levels"])


def dump_cfg(cfg: CfgNode) -> str:
    """The yaml text of a tree, in the order of defaults.py; ``load_cfg`` reads it back to an equal tree.

    Its first line is a comment that names the plug-ins, where there are any.
    """
    return plugin_header() + yaml.dump(_plain(cfg), Dumper=_Dumper, sort_keys=False, width=140, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Lists in one line: ``MEAN: [0.45, 0.45, 0.45]``."""


_Dumper.add_representer(
    list, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
)


def _plain(node: object) -> object:
    return {name: _plain(child) for name, child in node.items()} if isinstance(node, CfgNode) else node


def _compose(path: str, named_by: str, *, is_first: bool) -> yaml.Node | None:
    if not path.endswith((".yaml", ".yml")):
        raise ConfigError([f"{path}{named_by}: only .yaml files are read; a config is data, never code"])
    try:
        with open_plain(path) as file:
            content = file.read(4 * _MAX_CHARACTERS + 1)
        if len(content) > 4 * _MAX_CHARACTERS:  # so long a text need not be cut between two characters
            content = content[: 4 * _MAX_CHARACTERS].decode(errors="replace").encode()
        text = content.decode("utf-8-sig")
        _check_size(text, f"{path}{named_by}")
        if is_first:
            expect_plugins_of(text)
        return yaml.compose(text, Loader=yaml.BaseLoader)
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError([f"{path}{named_by}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}{named_by}: is not UTF-8 text"]) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError([f"{path}:{line}: is not valid yaml: {error.problem}"]) from error
    except _YAML_FAILURES as error:
        raise ConfigError([f"{path}: is not valid yaml: {_reason(error)}"]) from error


def _flatten(block: yaml.MappingNode, path: str) -> list[Setting]:
    settings: list[Setting] = []
    lines: dict[str, str] = {}
    for setting in _Flattener(path).settings(block, prefix="", depth=0):
        if setting.key in lines:
            raise ConfigError([f"{setting.where}: {setting.key} is set twice, before in {lines[setting.key]}"])
        lines[setting.key] = setting.where
        settings.append(setting)
    return settings


class _Flattener:
    """Nested blocks -> settings, counted: what is one node for yaml can stand in a thousand places."""

    def __init__(self, path: str):
        self.path, self.count = path, 0

    def _count(self, where: str) -> None:
        self.count += 1
        if self.count > _MAX_VALUES:
            raise ConfigError([f"{where}: more than {_MAX_VALUES} values; do aliases (*name) multiply them?"])

    def settings(self, block: yaml.MappingNode, prefix: str, depth: int) -> Iterator[Setting]:
        for name_node, node in block.value:
            where = f"{self.path}:{name_node.start_mark.line + 1}"
            self._count(where)
            if not isinstance(name_node, yaml.ScalarNode):
                raise ConfigError([f"{where}: a {name_node.id} cannot be a key"])
            if not name_node.value.isprintable() or len(name_node.value) > _MAX_NAME:
                raise ConfigError([f"{where}: {name_node.value!r:.60} cannot be a key"])
            key = prefix + name_node.value
            if isinstance(node, yaml.MappingNode) and depth < _MAX_DEPTH:
                yield from self.settings(node, key + ".", depth + 1)
            else:
                yield Setting(key, self._value(node, where, depth), where)

    def _value(self, node: yaml.Node, where: str, depth: int) -> object:
        self._count(where)
        if not node.tag.startswith("tag:yaml.org,2002:") or ":python/" in node.tag:
            raise ConfigError([f"{where}: the yaml tag {_tag(node)} is not allowed: a config is data, never code"])
        if depth >= _MAX_DEPTH or isinstance(node, yaml.MappingNode):
            raise ConfigError([f"{where}: too many levels, or a block inside a list"])
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, where, depth + 1) for item in node.value]
        return node.value


def _tag(node: yaml.Node) -> str:
    return node.tag if node.tag.isprintable() and len(node.tag) < 100 else f"{node.tag!r:.100}"
