"""~ and $VARIABLES in every argument of every tool that names a file or folder."""

import argparse
from pathlib import Path

import pytest
from conftest import ROOT, load_tool

from fragrant.launch import path_argument

TOOLS = sorted(path.stem for path in (ROOT / "tools").glob("*.py"))
OF_PATHS = {"FILE", "DIR", "FILE.npz", "PNG", "VIDEO", "RUN"}  # what the help calls a file or folder
OF_OWN = {"SPLIT=FILE", "[NAME=]FILE[:WEIGHT]", "FILE_OR_MODULE", "KEY VALUE | FILE"}  # opened where they are cut apart


class Seen(Exception):
    pass


def parser_of(tool: str, monkeypatch) -> argparse.ArgumentParser:
    def stop(parser, *words, **more):
        raise Seen(parser)

    for name in ("parse_args", "parse_intermixed_args"):
        monkeypatch.setattr(argparse.ArgumentParser, name, stop)
    with pytest.raises(Seen) as seen:
        load_tool(tool).start([])
    return seen.value.args[0]


def actions_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The arguments of a tool, also those of its kinds."""
    kinds = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [*parser._actions, *(action for of in kinds for kind in of.values() for action in actions_of(kind))]


@pytest.mark.parametrize("tool", TOOLS)
def test_every_path_is_opened(tool, monkeypatch):
    named = [a for a in actions_of(parser_of(tool, monkeypatch)) if a.metavar or a.dest in ("scores",)]
    assert named
    for action in named:
        words = str(action.metavar)
        if words in OF_PATHS or action.dest == "scores":
            assert action.type is path_argument, action
        else:
            assert words in OF_OWN or not {"FILE", "DIR", "PATH"} & set(words.replace("=", " ").split()), action


def test_as_a_shell_does(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("NOWHERE", raising=False)
    assert path_argument("~/a") == "/home/me/a" and path_argument("a b") == "a b"
    with pytest.raises(argparse.ArgumentTypeError, match="knows no environment variable \\$NOWHERE"):
        path_argument("$NOWHERE/a")


def test_in_a_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PLACE", str(tmp_path))
    assert load_tool("config_docs").start(["--to=$PLACE/new/config.md"]) == 0
    assert (tmp_path / "new/config.md").read_text() == Path(ROOT, "docs/config.md").read_text()
    with pytest.raises(SystemExit):
        load_tool("config_docs").start(["--to=$NOT_THERE/x.md"])
    assert "argument --to: '$NOT_THERE/x.md': this machine knows no environment variable" in capsys.readouterr().err
