"""A run small enough for tests: a UniFormer of a few thousand weights on a demo set of two dozen short clips."""

import contextlib
import io
import os
import subprocess
import sys
from typing import NamedTuple
from unittest import mock

import torch
from conftest import ROOT, load_tool

TINY_MODEL = """
    MODEL.MODEL_NAME Uniformer MODEL.NUM_CLASSES 6 DATA.INPUT_CHANNEL_NUM [3]
    UNIFORMER.EMBED_DIM [8,8,16,16] UNIFORMER.DEPTH [1,1,1,1] UNIFORMER.HEAD_DIM 8
""".split()
TINY_RUN = """
    NUM_GPUS 0 TRAIN.DATASET demo TEST.DATASET demo TRAIN.BATCH_SIZE 4 TEST.BATCH_SIZE 4 SOLVER.MAX_EPOCH 2 SOLVER.BASE_LR 1e-3
    SOLVER.OPTIMIZING_METHOD adamw SOLVER.WEIGHT_DECAY 0.05 TRAIN.EVAL_PERIOD 1 TRAIN.CHECKPOINT_PERIOD 1 LOG_PERIOD 1
    DATA.NUM_FRAMES 4 DATA.SAMPLING_RATE 2 DATA.TRAIN_CROP_SIZE 32 DATA.TEST_CROP_SIZE 32 DATA.TRAIN_JITTER_SCALES [32,40]
    TEST.NUM_ENSEMBLE_VIEWS 2 TEST.NUM_SPATIAL_CROPS 3 DATA_LOADER.NUM_WORKERS 0
    DEMO_SET.VIDEOS_PER_CLASS 2 DEMO_SET.TEST_VIDEOS_PER_CLASS 1 DEMO_SET.NUM_FRAMES 12 DEMO_SET.HEIGHT 48 DEMO_SET.WIDTH 64
""".split()
TINY = TINY_MODEL + TINY_RUN


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def command(*pairs: str, tool: str = "run_net", arguments: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, str(ROOT / "tools" / f"{tool}.py"), *arguments, *map(str, pairs)]


def environment(threads: int | None = 1) -> dict[str, str]:
    """One thread, so that runs repeat bit by bit whatever else the machine does (None: as many as there are); no
    GPU."""
    return {**os.environ, "CUDA_VISIBLE_DEVICES": ""} | ({"OMP_NUM_THREADS": str(threads)} if threads else {})


def run_tool(*pairs: str, tool: str = "run_net", arguments: tuple[str, ...] = (), threads: int | None = 1) -> Done:
    """The command as a user types it, in a process of its own."""
    line = command(*pairs, tool=tool, arguments=arguments)
    done = subprocess.run(line, capture_output=True, text=True, env=environment(threads), timeout=1200)
    return Done(done.returncode, done.stdout, done.stderr)


def run_here(*pairs: str, tool: str = "run_net", arguments: tuple[str, ...] = ()) -> Done:
    """The same in this process: without the seconds that a start takes."""
    module = load_tool(tool)
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    out, err = io.StringIO(), io.StringIO()
    try:
        with (
            mock.patch.dict(os.environ, environment()),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = module.start([*arguments, *map(str, pairs)])
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)
    return Done(code, out.getvalue(), err.getvalue())
