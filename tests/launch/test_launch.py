"""Processes started by the command itself: what happens to all of them when one fails, and who hears a signal."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import environment

from fragrant.config import load_cfg
from fragrant.distributed import any_rank, rank, world_size
from fragrant.distributed.environment import own_environments
from fragrant.distributed.signals import StopRequest
from fragrant.errors import UserError
from fragrant.launch import exit_code, launch


def job(cfg, device) -> None:
    """What each of two processes does; OUTPUT_DIR says which trouble there is."""
    assert world_size() == 2 and device.type == "cpu"
    trouble = cfg.OUTPUT_DIR
    if trouble == "wrong list" and rank() == 1:
        raise UserError("train.csv:3: no such class")
    if trouble == "killed" and rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if trouble == "signal":
        with StopRequest() as stop:
            while not any_rank(False) and not stop.agreed():
                if rank() == 0:
                    os.kill(os.getppid(), signal.SIGUSR1)  # the one that a cluster knows
        print(f"rank {rank()} heard {stop.agreed()}")
    if trouble == "keyboard while it trains":
        any_rank(True)
        with StopRequest() as stop, stop.from_keyboard():
            if rank() == 0:  # as a terminal: to all of its processes
                os.killpg(os.getpgid(0), signal.SIGINT)
            while not stop.agreed():
                time.sleep(0.05)
        print(f"rank {rank()} heard {stop.heard}")
        raise KeyboardInterrupt  # as a run whose weights are saved
    if trouble in ("parent", "keyboard"):
        any_rank(True)
        if rank() == 0:
            os.kill(os.getppid(), signal.SIGKILL if trouble == "parent" else signal.SIGINT)
        while True:  # as a training that hears of nothing
            time.sleep(0.1)
    any_rank(True)


def run_two(trouble: str) -> int:
    cfg = load_cfg(None, ["NUM_GPUS", "0", "OUTPUT_DIR", trouble, "DIST.TIMEOUT", "30"])
    environments = own_environments(num_gpus=2, num_shards=1, shard_id=0, init_method=None)
    return exit_code(lambda: launch(job, cfg, environments), debug=False)


TROUBLES = [
    ("wrong list", 2, ["error: train.csv:3: no such class", "stopped: rank 0 of 2 lost contact: another rank ended"]),
    ("killed", 1, ["stopped: rank 1 was ended by SIGKILL; the others end too", "stopped: rank 0 of 2 lost contact"]),
    ("signal", 0, ["rank 0 heard SIGUSR1", "rank 1 heard SIGUSR1"]),
    ("parent", -9, ["stopped: the command, which started this process, is gone; the last checkpoint stays\n"]),
    ("keyboard", 130, ["stopped: interrupted from the keyboard; the last checkpoint stays\n"]),
    ("keyboard while it trains", 130, ["rank 0 heard Ctrl-C", "rank 1 heard Ctrl-C"]),
]


@pytest.mark.parametrize(
    "trouble, code, messages",
    [pytest.param(*case, id=case[0], marks=[pytest.mark.slow] * (case[0] != "killed")) for case in TROUBLES],
)
def test_two_processes_end_together(trouble, code, messages):
    line = [sys.executable, __file__, trouble]
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests), str(tests / "support"), os.environ.get("PYTHONPATH", "")])
    # the pipes are open as long as a process has them: whoever stays makes this wait
    own = {"env": {**environment(), "PYTHONPATH": path}, "start_new_session": True}
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, **own)
    assert done.returncode == code, done.stderr
    for message in messages:
        assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if trouble in ("parent", "keyboard"):
        assert done.stderr == messages[0]
    if trouble == "keyboard while it trains":  # each said once, by one process
        pressed, last = done.stderr.splitlines()
        assert pressed.startswith("Ctrl-C: finishing this step") and last.startswith("stopped: interrupted from")


if __name__ == "__main__":
    sys.exit(run_two(sys.argv[1]))
