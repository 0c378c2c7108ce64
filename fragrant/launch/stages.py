"""Commands of tools/ in order, as one that can be killed and started again: what is finished is not done twice."""

import itertools
import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fragrant.config.yaml_text import read_yaml_text
from fragrant.errors import RunStopped, UserError
from fragrant.files import read_plain, said_once, save_file
from fragrant.texts import did_you_mean
from fragrant.workers import told_of_a_killed_parent

FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")  # {out}, {seed}; not {2} of a regular expression
SEVERAL = 200  # stages at most
BLOCKS = ("STAGES", "ROUNDS", "AFTER")  # of commands, in the order in which they run
MOST_ROUNDS = 50
LAST_WORDS = {"run_net": "Results are in"}  # of a tool that ends with exit code 0, too, when a signal has stopped it
PATIENCE = 60.0  # seconds that a tool has to save when this process is told to end


class Stage(NamedTuple):
    """A command: the name of a tool and its words."""

    name: str
    words: list[str]


class StageStopped(RunStopped):
    """A stage did not end well: ``last``, what it said last, and its exit ``code``; the same command goes on with
    it."""

    def __init__(self, stage: Stage, last: str, code: int, log: Path):
        super().__init__(f"stage {stage.name}: {last} (exit code {code}; {log}); the same command goes on with it")
        self.last, self.code = last, code


# -------------------------------------------------------------------------------------------------------------- reading
def read_stages(path: str, given: Sequence[str], *, out: str) -> list[Stage]:
    """Reads a yaml file of stages, each ``name: tool and words`` in the order in which they run.

    ``{name}`` in a command is a value of the block VALUES; one with several values (a list, or 0,1,2 on the command
    line) makes a stage of each. The block ROUNDS, after STAGES, runs as a whole as often as the value ``rounds`` says,
    with ``{round}`` 1, 2, ... and ``{last}``, the round before, 0 at first; the block AFTER runs once behind it.

    Args:
        given: ``NAME=VALUE``, in place of those in the file.
        out: the value of ``{out}``.

    Raises:
        UserError: it is no such file, or names a value that is not there.
    """
    values, blocks = _content(path)
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or name not in values:
            known = f"{did_you_mean(name, values)}Known: {', '.join(values)}"
            raise UserError(f"'{text}' is no value of {path}; write NAME=VALUE; {known}")
        values[name] = value.split(",")
    values["out"] = [out]
    stages = []
    for block in BLOCKS:
        for number in range(1, 1 + _rounds(values, path)) if block == "ROUNDS" and blocks[block] else (0,):
            named = values | ({"round": [str(number)], "last": [str(number - 1)]} if number else {})
            for name, words in blocks[block].items():
                name = f"{name}_round{number}" if number else name
                stages += _repeated(name, words, named, path)
    return stages


def _rounds(values: Mapping[str, list[str]], path: str) -> int:
    """How often the block ROUNDS runs."""
    given = ",".join(values.get("rounds", ["nothing"]))
    if not given.isdecimal() or not 1 <= int(given) <= MOST_ROUNDS:
        raise UserError(f"{path}: the value rounds is {given[:30]}; allowed: a whole number from 1 to {MOST_ROUNDS}")
    return int(given)


def _content(path: str) -> tuple[dict[str, list[str]], dict[str, dict[str, list[str]]]]:
    """The values by name, and the words of each stage with their fields, by block."""
    try:
        text = read_plain(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from error
    values: dict[str, list[str]] = {}
    blocks: dict[str, dict[str, list[str]]] = {block: {} for block in BLOCKS}
    names: set[str] = set()
    for key, value, where in read_yaml_text(text, path):
        block, _, name = key.partition(".")
        several = [str(one) for one in value] if isinstance(value, list) else [str(value)]
        if block not in ("VALUES", *BLOCKS) or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise UserError(f"{where}: '{key}' is no name in the blocks VALUES and STAGES (nor ROUNDS and AFTER)")
        if name in names:
            raise UserError(f"{where}: two stages are called {name}")
        if block == "VALUES":
            values[name] = several
            continue
        names.add(name)
        try:
            blocks[block][name] = shlex.split(" ".join(several))
        except ValueError as error:
            raise UserError(f"{where}: stage {name}: {error}") from error
    if not names:
        raise UserError(f"{path}: the block STAGES is empty; give at least one command")
    return values, blocks


def _filled(word: str, values: Mapping[str, str]) -> str:
    return FIELD.sub(lambda match: values[match[1]], word)


def _repeated(name: str, words: list[str], values: Mapping[str, list[str]], path: str) -> list[Stage]:
    """The stage with the values of its fields, once for each of several."""
    fields = dict.fromkeys(field for word in words for field in FIELD.findall(word))
    for field in fields:
        if field not in values:
            raise UserError(
                f"{path}: stage {name} has {{{field}}}; {did_you_mean(field, values)}Known: {', '.join(values)}"
            )
    several = [field for field in fields if len(values[field]) != 1]
    stages = []
    for picked in itertools.islice(itertools.product(*(values[field] for field in fields)), SEVERAL):
        one = dict(zip(fields, picked, strict=True))
        own_name = "_".join([name, *(f"{field}{one[field]}" for field in several)])
        stages.append(Stage(own_name, [_filled(word, one) for word in words]))
    return stages


# -------------------------------------------------------------------------------------------------------------- running
def run_stages(stages: Sequence[Stage], folder: Path, tools: Path, say: Callable[[str], None] = print) -> None:
    """Runs what is not finished, in order; a line for each stage.

    Args:
        folder: of the marks of what is finished, and of what each stage has printed.
        tools: where the tools are.

    Raises:
        UserError: an unknown tool, a stage that is finished with other words, or a tool says so of its input.
        StageStopped: a stage did not end well. The same command goes on with it.
    """
    known = sorted(path.stem for path in tools.glob("*.py"))
    for stage in stages:
        if not stage.words or stage.words[0] not in known:
            tool = stage.words[0] if stage.words else ""
            raise UserError(
                f"stage {stage.name}: no tool '{tool}'; {did_you_mean(tool, known)}Known: {', '.join(known)}"
            )
    seconds = [_finished(stage, folder) for stage in stages]  # all are compared before the first is run
    for stage, before in zip(stages, seconds, strict=True):
        if before is not None:
            say(f"{stage.name}: finished before, in {before:.0f} s")
            continue
        began = time.monotonic()
        _run(stage, folder, tools)
        took = time.monotonic() - began
        save_file(_mark(stage, folder), json.dumps({"words": stage.words, "seconds": round(took, 1)}))
        say(f"{stage.name}: done in {took:.0f} s")


def _mark(stage: Stage, folder: Path) -> Path:
    return folder / f"{stage.name}.done"


def _finished(stage: Stage, folder: Path) -> float | None:
    """The seconds that it took; None where it is not finished."""
    mark = _mark(stage, folder)
    try:
        content = json.loads(read_plain(mark))
        words, seconds = content["words"], float(content["seconds"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{mark} cannot be read: {error}; delete it to do the stage again") from error
    if words != stage.words:
        changed = " ".join(word for word in stage.words if word not in words) or "fewer words"
        raise UserError(
            f"stage {stage.name} is finished with other words (now: {changed}); take another --out, or delete {mark} "
            "and the marks of the stages after it"
        )
    return seconds


def _run(stage: Stage, folder: Path, tools: Path) -> None:
    """Runs a tool in a process of its own; all that it prints is in a file."""
    log = folder / f"{stage.name}.log"
    line = [sys.executable, str(tools / f"{stage.words[0]}.py"), *stage.words[1:]]
    with said_once(log):
        folder.mkdir(parents=True, exist_ok=True)
        file = open(log, "ab")
    with file:
        start = file.tell()
        file.write(f"$ {shlex.join(stage.words)}\n".encode(errors="surrogateescape"))
        file.flush()
        process = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=told_of_a_killed_parent(),
        )
        try:
            code = process.wait()
        except BaseException:  # a signal to this process: the tool saves what it has
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    printed = log.read_bytes()[start:].decode(errors="replace").splitlines()
    last = next((text for text in reversed(printed) if text.strip()), "")
    if code == 2:
        raise UserError(f"stage {stage.name}: {last.removeprefix('error: ')} ({log})")
    if code or LAST_WORDS.get(stage.words[0], "") not in last:
        raise StageStopped(stage, last, code, log)
