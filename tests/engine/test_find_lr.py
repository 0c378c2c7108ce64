"""The learning-rate finder: the training's own steps at rising rates, and nothing of the run's folder touched."""

import json
import re

from PIL import Image
from tiny import TINY, run_here


def test_it_suggests_a_rate_and_touches_no_run(tmp_path):
    out = tmp_path / "run"
    (out / "checkpoints").mkdir(parents=True)
    broken = out / "checkpoints/checkpoint_epoch_00001.pyth"
    broken.write_text("no checkpoint: whoever reads it stops")
    words = [*TINY, "DATA.PATH_TO_DATA_DIR", str(tmp_path / "demo"), "OUTPUT_DIR", str(out), "TRAIN.ACCUM_STEPS", "2"]
    words += "NUM_SHARDS 1 SOLVER.AUTO_SCALE_LR True SOLVER.REFERENCE_BATCH 4 LOG.TRACKERS [tensorboard]".split()
    done = run_here(*words, tool="find_lr", arguments=("--steps", "12", "--from", "1e-6", "--to", "100"))
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["checkpoints", "find_lr"]
    assert [path.name for path in (out / "checkpoints").iterdir()] == [broken.name]
    found = json.loads((out / "find_lr/find_lr.json").read_text())
    assert found["learning_rate_scale"] == 2.0 and found["rates"][0] == 1e-6
    factor = found["rates"][1] / found["rates"][0]
    assert all(abs(b / a / factor - 1) < 1e-9 for a, b in zip(found["rates"], found["rates"][1:], strict=False))
    assert len(found["losses"]) == len(found["rates"]) == found["steps"] >= 5
    if found["steps"] < 12:
        assert found["ended"] == "the loss broke away"
    suggested = float(re.search(r"SOLVER.BASE_LR (\S+) \(the loss falls fastest there\)", done.stdout)[1])
    assert abs(suggested / found["suggested"]["SOLVER.BASE_LR"] - 1) < 0.01 and 1e-6 <= suggested <= 100
    assert Image.open(out / "find_lr/find_lr.png").size == (1080, 660)


def test_what_cannot_be():
    done = run_here(*TINY, tool="find_lr", arguments=("--from", "1", "--to", "0.1"))
    assert done.returncode == 2 and "allowed are 10 steps or more, and rates above 0 that rise" in done.stderr
    done = run_here(*TINY, "OUTPUT_DIR", "runs/{n}", tool="find_lr")
    assert done.returncode == 2 and "{n} is filled by tools/run_net.py alone; here name the folder" in done.stderr
