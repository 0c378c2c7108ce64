"""Plug-ins, files and modules from outside the package that register things: ``--import``, FRAGRANT_IMPORT, entry
points.

Plug-ins are never loaded by a config file or a checkpoint: these only name the plug-ins that they were made with, so
that an error can say which one is missing."""

import argparse
import importlib
import importlib.abc
import importlib.metadata
import importlib.util
import json
import os
import re
import sys
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from fragrant.errors import UserError
from fragrant.files import expanded

VARIABLE = "FRAGRANT_IMPORT"  # several are separated by os.pathsep; child processes get theirs through it
GROUP = "fragrant.plugins"
MARK = "# plug-ins: "  # begins the line of a config's text that names them
_PREFIX = "fragrant_plugin_"

_from_packages: list[str] = []  # modules that installed packages have named
_expected: list[str] = []  # plug-ins that the config or checkpoint read last was made with


class PluginError(UserError):
    """A plug-in that cannot be imported."""


def add_import_argument(parser: argparse.ArgumentParser) -> None:
    text = f"a plug-in: a Python file, or a module; may be repeated ({VARIABLE} names further ones)"
    parser.add_argument("--import", dest="plugins", action="append", default=[], metavar="FILE_OR_MODULE", help=text)


def load_plugins(given: Sequence[str] = ()) -> None:
    """Imports the plug-ins of installed packages, of FRAGRANT_IMPORT, and the given ones; child processes inherit them.

    Raises:
        PluginError: a plug-in is missing, or fails.
    """
    for entry in importlib.metadata.entry_points(group=GROUP):
        if entry.module not in _from_packages:
            _import(entry.module, f"entry point {entry.name} of {GROUP}")
            _from_packages.append(entry.module)
    names = list(dict.fromkeys([*_from_environment(), *map(expanded, given)]))
    if names:
        os.environ[VARIABLE] = os.pathsep.join(names)
    for name in names:
        if _is_file(name) and not os.path.isfile(name):
            raise PluginError(f"--import {name}: there is no such file")
        _import(_module_name(name), f"--import {name}")


def loaded_plugins() -> list[str]:
    """The plug-ins of this process, as ``--import`` takes them."""
    return [*_from_packages, *_from_environment()]


def _from_environment() -> list[str]:
    return [name for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]


def _is_file(name: str) -> bool:
    return name.endswith(".py") or os.sep in name or os.path.isfile(name)


def _module_name(name: str) -> str:
    """Name of the module that a plug-in becomes; the same in every process, since pickled objects name it."""
    if not _is_file(name):
        return name
    path = os.path.realpath(name)
    return f"{_PREFIX}{re.sub(r'[^0-9A-Za-z_]', '_', Path(path).stem)}_{zlib.crc32(path.encode()):08x}"


def _import(module: str, where: str) -> None:
    try:
        importlib.import_module(module)
    except UserError as error:
        raise PluginError(f"{where}: {error}") from error
    except (Exception, SystemExit) as error:  # a plug-in can fail in any way
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        reason = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
        raise PluginError(f"{where}: cannot be imported: {type(error).__name__}: {reason}{line}") from error


class _PluginFinder(importlib.abc.MetaPathFinder):
    """Finds the files of FRAGRANT_IMPORT by their module names, also where a child process unpickles."""

    def find_spec(self, name: str, path=None, target=None):
        if not name.startswith(_PREFIX):
            return None
        files = [file for file in _from_environment() if _is_file(file) and _module_name(file) == name]
        return importlib.util.spec_from_file_location(name, os.path.realpath(files[0])) if files else None


sys.meta_path.append(_PluginFinder())


# -------------------------------------------------------------------------------------------- what a file was made with
def plugin_header() -> str:
    """First line of a config's text, which names the plug-ins; "" without any."""
    return f"{MARK}{json.dumps(loaded_plugins())}\n" if loaded_plugins() else ""


def expect_plugins_of(text: str) -> None:
    """Remembers the plug-ins that a config's text names, until the next config is read."""
    first = text.split("\n", 1)[0]
    try:
        names = json.loads(first.removeprefix(MARK)) if first.startswith(MARK) else []
    except (ValueError, RecursionError):
        names = []
    expect_plugins(names if isinstance(names, list) else [])


def expect_plugins(names: Iterable[str]) -> None:
    _expected[:] = [name for name in names if isinstance(name, str) and name.isprintable()]


def missing_plugins() -> list[str]:
    """Plug-ins of the config or checkpoint read last that are not imported here; files are compared by name, without
    their folder."""
    here = {os.path.basename(name) for name in loaded_plugins()}
    return [name for name in _expected if os.path.basename(name) not in here]


def missing_hint() -> str:
    """Hint for an error, ``"... a plug-in that is not imported here; add --import my_net.py"``; "" where no plug-in is
    missing."""
    missing = " ".join(f"--import {name}" for name in missing_plugins())
    return f"what was read was made with a plug-in that is not imported here; add {missing}" if missing else ""
