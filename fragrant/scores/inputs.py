"""Inputs of the score commands: which files belong to one model, from ``A.npz B.npz:0.5`` to weighted runs."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fragrant.files import expanded
from fragrant.metrics import ScoreError
from fragrant.scores.pickles import import_folder, import_pickle
from fragrant.scores.table import ScoreTable, load_table, merge, missing_views, pick_views


class Input(NamedTuple):
    run: str  # "" = told from the content
    paths: list[str]
    weight: float


class Run(NamedTuple):
    """The scores of one model, with its name and weight."""

    name: str
    table: ScoreTable
    weight: float


def parse_input(text: str) -> Input:
    """Parses ``"[NAME=]FILE[:WEIGHT]"``; FILE may hold * and ?.

    Raises:
        ScoreError: no file is called so, or the weight is not above 0.
    """
    name, _, pattern = text.rpartition("=") if "=" in text and not Path(text).exists() else ("", "", text)
    pattern, weight = expanded(pattern), 1.0
    if (match := re.fullmatch(r"(.+):([^:/]+)", pattern)) and not Path(pattern).exists():
        pattern = match[1]
        try:
            weight = float(match[2])
        except ValueError:
            weight = 0.0
        if not 0 < weight < float("inf"):
            raise ScoreError(f"weight '{match[2]}' of '{pattern}' must be a number above 0")
    paths = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern))
    if not paths:
        raise ScoreError(
            f"'{pattern}' is no file; give score tables as FILE, FILE:WEIGHT or NAME=FILE, or OUTPUT_DIRs of tests"
        )
    return Input(name, [file for path in paths for file in tables_of(path)], weight)


def tables_of(path: str) -> list[str]:
    """The score tables behind a path: of the OUTPUT_DIR of a test its table, or the parts of it that several jobs have
    written; any other path as it is.

    Raises:
        ScoreError: it is the folder of a run that was not tested.
    """
    folder = Path(path)
    whole, parts = folder / "scores.npz", sorted(map(str, folder.glob("scores.*-of-*.npz")))
    if not folder.is_dir():
        return [path]
    if whole.is_file() or parts:
        return [str(whole)] if whole.is_file() else parts
    if (folder / "config.yaml").is_file() or (folder / "checkpoints").is_dir():
        raise ScoreError(f"'{path}' is a run without scores.npz: it was not tested; TEST.ENABLE True writes one")
    return [path]


def open_table(path: str | Path, *, paths: Sequence[str] | None = None) -> ScoreTable:
    """Opens a score table, another project's pickle, or an output folder of TDN; ``paths``: see ``import_pickle``."""
    if Path(path).is_dir():
        return import_folder(path, paths=paths)
    return import_pickle(path, paths=paths) if Path(path).suffix in (".pkl", ".pickle") else load_table(path)


def load_runs(inputs: Sequence[str], *, paths: Sequence[str] | None = None) -> list[Run]:
    """Loads the inputs as runs: files of one model (the same checkpoint, or the same NAME) become one table, in the
    order of their first file.

    Raises:
        ScoreError: a file is no table, or the files of one run contradict each other.
    """
    groups: dict[str, list[tuple[str, ScoreTable, float]]] = {}
    for given in map(parse_input, inputs):
        for path in given.paths:
            table = open_table(path, paths=paths)
            key = given.run or table.header.get("checkpoint_hash") or path
            groups.setdefault(key, []).append((path, table, given.weight))
    runs = []
    for key, members in groups.items():
        files, tables, weights = zip(*members, strict=True)
        if len(set(weights)) > 1:
            raise ScoreError(
                f"{' and '.join(files)} are of one model but have weights {weights}; name them (one=FILE "
                "two=FILE) or agree"
            )
        named = any(given.startswith(f"{key}=") for given in inputs)
        runs.append(Run(key if named else _short(files), merge(tables, names=files), weights[0]))
    return runs


def _short(files: Sequence[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"


def what_is_missing(runs: Sequence[Run]) -> list[str]:
    """Lists missing videos and views: one line per video that a run lacks, in whole or in some views."""
    return [f"{run.name}: {line}" for run in runs for line in missing_views(run.table)]


def with_views(run: Run, words: Sequence[str]) -> Run:
    """Keeps the named views of a run: numbers are clips, ``left centre right`` crops, anything else enhancements
    (``none`` = without)."""
    crops = {view.crop for view in run.table.views} | {"left", "centre", "right"}
    clips = [int(word) for word in words if word.isdecimal()]
    rest = [word for word in words if not word.isdecimal() and word not in crops]
    enhancements = ["" if word == "none" else word for word in rest]
    table = pick_views(
        run.table, clips=clips, crops=[word for word in words if word in crops], enhancements=enhancements
    )
    return run._replace(table=table)
