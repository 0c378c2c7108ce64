"""Result files of a test in OUTPUT_DIR: the score table, the numbers that follow from it, the pickles that older
scripts read."""

import pickle
import platform
import shlex
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import simplejson
import torch

import fragrant
from fragrant.engine.outputs import Outputs
from fragrant.files import write_whole
from fragrant.scores import ScoreTable, VideoScores, save_table
from fragrant.scores.predictions import predictions_csv


def run_facts() -> dict[str, str]:
    """Facts of a run for the header of a score table: command, commit of the source tree (empty where it is none), time
    and versions."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        commit = ""
    return {
        "command": shlex.join(sys.argv),
        "commit": commit,
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "versions": f"fragrant {fragrant.__version__}, torch {torch.__version__}, Python {platform.python_version()}",
    }


def save_results(
    outputs: Outputs, folder: Path, table: ScoreTable, scores: VideoScores, summary: dict, *, name: str = "scores"
) -> None:
    """Writes ``scores.npz``, and for people ``scores.json``, the table's header and all numbers, and ``scores.csv``,
    the predictions for each video."""
    outputs.write(f"{name}.npz", partial(save_table, folder / f"{name}.npz", table))
    header = {key: value for key, value in table.header.items() if key != "config"}  # it stands in config.yaml
    text = simplejson.dumps({"header": header, "summary": summary}, indent=1, ignore_nan=True)
    outputs.write(f"{name}.json", partial(write_whole, folder / f"{name}.json", text))
    outputs.write(f"{name}.csv", partial(write_whole, folder / f"{name}.csv", predictions_csv(scores)))


def save_pickles(outputs: Outputs, folder: Path, scores: VideoScores, *, uniformer_name: str, slowfast_name: str):
    """Writes the result files of UniFormer (always) and SlowFast (where TEST.SAVE_RESULTS_PATH names one)."""
    numbers, labels = scores.scores.float().numpy(), scores.labels.numpy()
    contents: dict[str, object] = {uniformer_name: {"video_preds": numbers, "video_labels": labels}}
    if slowfast_name:
        contents[slowfast_name] = [numbers, labels]
    for name, content in contents.items():
        outputs.write(name, partial(write_whole, folder / name, pickle.dumps(content)))
