"""Processes without the seconds that importing torch takes: forked from one that has it; commands in them."""

import os
import sys
import tempfile
from multiprocessing import forkserver, get_context
from pathlib import Path
from unittest import mock

from conftest import load_tool
from tiny import Done, environment

WARM = ["torch", "fragrant.engine.run", "fragrant.inference", "fragrant.data.build"]  # imported, nothing computed


def warm_context():
    """The ``multiprocessing`` context of such processes; they have the environment of the first of them."""
    context = get_context("forkserver")
    context.set_forkserver_preload(WARM)
    with mock.patch.dict(os.environ, environment()):
        forkserver.ensure_running()
    return context


def _command(tool: str, words: list[str], folder: str, variables: dict[str, str]) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(os.path.join(folder, name), os.O_CREAT | os.O_WRONLY), number)
    os.environ.clear()
    os.environ.update(variables)
    sys.exit(load_tool(tool).start(words))


def run_forked(*pairs: str, tool: str = "run_net", arguments: tuple[str, ...] = ()) -> Done:
    """As ``run_tool``, with what the environment holds now."""
    words = [*map(str, arguments), *map(str, pairs)]
    context = warm_context()
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(target=_command, args=(tool, words, folder, environment()))
        process.start()
        process.join(300)
        assert process.exitcode is not None, f"still running: {tool} {' '.join(words)}"
        said = [Path(folder, name).read_text() for name in ("stdout", "stderr")]
    return Done(process.exitcode, *said)
