"""The command line: python tools/benchmark.py gpu --minutes 8 --out DIR."""

import argparse
from pathlib import Path

import torch

from fragrant.benchmarks.gpu.run import all_rows, run_in_processes, wanted
from fragrant.data.lists.records import read_list
from fragrant.data.shards import split_member
from fragrant.errors import UserError
from fragrant.files import expanded
from fragrant.plugins import add_import_argument, load_plugins
from fragrant.workers import usable_cores


def gpu_command(words: list[str]) -> str:
    """Runs the command line and returns the text of the final page, gpu.md.

    Raises:
        UserError: there is no GPU, an argument is wrong, or a list cannot be read.
    """
    parser = argparse.ArgumentParser(prog="benchmark.py gpu", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=8.0, metavar="M", help="rows that fit into this time, the most important first"
    )
    parser.add_argument("--out", default="gpu", metavar="DIR", help="folder of gpu.json, gpu.md and cuda_tests.log")
    parser.add_argument(
        "--clips", metavar="LIST", help="list of videos, paths beside it: the loader's; default: generated ones"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    add_import_argument(parser)
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD", help="the rows whose name holds one of these")
    arguments = parser.parse_args(words)
    load_plugins(arguments.plugins)
    if arguments.minutes <= 0:
        raise UserError(f"--minutes {arguments.minutes} must be above 0")
    wanted(all_rows(), arguments.only)
    clips = videos_of(expanded(arguments.clips)) if arguments.clips else []
    if not torch.cuda.is_available():
        raise UserError("benchmark gpu measures a CUDA GPU, and this machine has none that PyTorch can use")
    workers = max(1, usable_cores() - 2)
    how = dict(device="cuda:0", minutes=arguments.minutes, clips=clips, only=arguments.only, workers=workers)
    record = run_in_processes(Path(expanded(arguments.out)), **how)
    return (record.folder / "gpu.md").read_text(encoding="utf-8")


def videos_of(path: str) -> list[str]:
    """Reads the videos of a list, with paths relative to it.

    Raises:
        UserError: there is no such list, or it holds no video that exists.
    """
    found = [Path(path).parent / record.path for record in read_list(path)]
    videos = [str(video) for video in found if Path(split_member(str(video))[0]).exists()]
    if not videos:
        raise UserError(
            f"--clips {path}: none of its {len(found)} videos is there, e.g. "
            f"{found[0] if found else '(the list is empty)'}"
        )
    return videos
