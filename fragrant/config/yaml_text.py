"""Config yaml <-> settings: reads files with their line numbers, writes a tree that reads back equal."""

import os
from typing import NamedTuple, cast

import yaml
from fvcore.common.config import BASE_KEY, CfgNode

from fragrant.config.errors import ConfigError
from fragrant.plugins import expect_plugins_of, plugin_header

_MAX_DEPTH = 10  # an alias can make a yaml file contain itself


class Setting(NamedTuple):
    """The assignment of a value to a key. A value from a file is text, or a list of texts: what it means depends on the
    key."""

    key: str
    value: object
    where: str  # "configs/x.yaml:12"


def read_yaml(path: str, chain: tuple[str, ...] = ()) -> list[Setting]:
    """The settings of a file, those of its ``_BASE_`` files first.

    The text is only split into keys and values, nothing in it is ever constructed or executed. fvcore's own reader is
    not used because it takes the second of two equal keys silently and forgets the lines.

    Args:
        chain: the files whose ``_BASE_`` led here.

    Raises:
        ConfigError: the file is missing, is no yaml, or has a key twice.
    """
    path = os.path.expanduser(os.fspath(path))
    if os.path.realpath(path) in map(os.path.realpath, chain):
        raise ConfigError([f"{path}: {BASE_KEY} leads back to the same file: {' -> '.join([*chain, path])}"])
    root = _compose(path, chain)
    if root is None:  # an empty file sets nothing
        return []
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError([f"{path}: expected keys and values, got a {root.id}"])
    bases, own = [], []
    for setting in _flatten(root, path):
        if setting.key == BASE_KEY:
            names = setting.value if isinstance(setting.value, list) else [setting.value]
            for name in names:
                base = os.path.join(os.path.dirname(path), os.path.expanduser(cast(str, name)))
                bases += read_yaml(base, (*chain, path))
        else:
            own.append(setting)
    return bases + own


def read_yaml_text(text: str, where: str) -> list[Setting]:
    """The settings of a text that ``dump_cfg`` wrote; ``where`` stands for the file in errors.

    Raises:
        ConfigError: it is no yaml of keys and values.
    """
    expect_plugins_of(text)
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise ConfigError([f"{where}: is not valid yaml: {' '.join(str(error).split())}"]) from error
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError([f"{where}: expected keys and values"])
    return _flatten(root, where)


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


def _compose(path: str, chain: tuple[str, ...]) -> yaml.Node | None:
    named_by = f" ({BASE_KEY} of {chain[-1]})" if chain else ""
    if not path.endswith((".yaml", ".yml")):
        raise ConfigError([f"{path}{named_by}: only .yaml files are read; a config is data, never code"])
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
            if not chain:
                expect_plugins_of(text)
            return yaml.compose(text, Loader=yaml.BaseLoader)
    except OSError as error:
        raise ConfigError([f"{path}{named_by}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}{named_by}: is not UTF-8 text"]) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError([f"{path}:{line}: is not valid yaml: {error.problem}"]) from error
    except yaml.YAMLError as error:
        raise ConfigError([f"{path}: is not valid yaml: {' '.join(str(error).split())}"]) from error


def _flatten(block: yaml.MappingNode, path: str) -> list[Setting]:
    settings: list[Setting] = []
    lines: dict[str, int] = {}
    for setting in _settings(block, path, prefix="", depth=0):
        if setting.key in lines:
            raise ConfigError([f"{setting.where}: {setting.key} is set twice, before in {lines[setting.key]}"])
        lines[setting.key] = setting.where
        settings.append(setting)
    return settings


def _settings(block: yaml.MappingNode, path: str, prefix: str, depth: int):
    for name_node, node in block.value:
        where = f"{path}:{name_node.start_mark.line + 1}"
        if not isinstance(name_node, yaml.ScalarNode):
            raise ConfigError([f"{where}: a {name_node.id} cannot be a key"])
        key = prefix + name_node.value
        if isinstance(node, yaml.MappingNode) and depth < _MAX_DEPTH:
            yield from _settings(node, path, key + ".", depth + 1)
        else:
            yield Setting(key, _value(node, where, depth), where)


def _value(node: yaml.Node, where: str, depth: int) -> object:
    if not node.tag.startswith("tag:yaml.org,2002:") or ":python/" in node.tag:
        raise ConfigError([f"{where}: the yaml tag {node.tag} is not allowed: a config is data, never code"])
    if depth >= _MAX_DEPTH or isinstance(node, yaml.MappingNode):
        raise ConfigError([f"{where}: too many levels, or a block inside a list"])
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, where, depth + 1) for item in node.value]
    return node.value
