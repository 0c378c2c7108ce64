"""Training with drawn figures from the command line: exact resume, with EMA, beside videos that have no track, and what is
wrong in one line."""

import json
from pathlib import Path

import pytest
import torch
from test_objectives_run import same
from tiny import TINY, run_here

from fragrant.data.figures import ENDING
from fragrant.synthetic.actions import actions_of
from fragrant.synthetic.video_set import make_videos, plan_of

SMALL = "TRAIN.DATASET folders TEST.DATASET folders TRAIN.OBJECTIVE figure MODEL.NUM_CLASSES 2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    plan = plan_of(actions_of(["sit", "turn"]), 2, val=1, test=1, frames=(10, 10), size=(64, 48))
    make_videos(folder / "drawn", plan, workers=1)
    make_videos(folder / "other", plan._replace(actions=actions_of(["turn", "sit"])), workers=1)
    make_videos(folder / "real", plan._replace(seed=1), workers=1)
    for track in (folder / "real").rglob(f"*{ENDING}"):
        track.unlink()
    return folder


def run(folder: Path, out: str, data: str = "drawn", text: str = ""):
    where = ["DATA.PATH_TO_DATA_DIR", str(folder / data), "OUTPUT_DIR", str(folder / out)]
    return run_here(*TINY, *SMALL.split(), *where, *text.split())


def steps(folder: Path, out: str) -> list[dict]:
    lines = map(json.loads, (folder / out / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line.get("_type") == "train_iter"]


@pytest.mark.parametrize("more", ["", "TRAIN.EMA.ENABLE True"])
def test_a_resumed_run_ends_as_an_uninterrupted_one(folder, more):
    out, again = f"out {len(more)}".replace(" ", "_"), f"again_{len(more)}"
    done = run(folder, out, text=more)
    assert done.returncode == 0, done.stderr
    source = folder / out / "checkpoints" / "checkpoint_epoch_00001.pyth"
    (folder / again / "checkpoints").mkdir(parents=True)
    (folder / again / "checkpoints" / source.name).write_bytes(source.read_bytes())
    done = run(folder, again, text=more)
    assert "1 of 2 epochs are done" in done.stdout, done.stderr
    straight, resumed = (
        torch.load(folder / name / "checkpoints" / "checkpoint_epoch_00002.pyth", weights_only=True)
        for name in (out, again)
    )
    for part in ("model_state", "optimizer_state", "objective_state", "best", "rng"):
        assert same(straight[part], resumed[part]), part
    assert any("places." in key for key in straight["objective_state"])
    assert all(step["joints_loss"] > 0 and step["motion_loss"] > 0 for step in steps(folder, out))


def test_drawn_videos_beside_those_without_a_track(folder):
    extra = f"DATA.EXTRA_TRAIN_LIST {folder}/drawn/train.csv DATA.TRAIN_REPEAT 3 SOLVER.MAX_EPOCH 1"
    done = run(folder, "both", "real", extra)
    assert done.returncode == 0, done.stderr
    found = steps(folder, "both")
    assert found[-1]["iter"] == "4/4"  # 3 x 4 real videos and 4 drawn ones in batches of 4
    assert any(step["joints_loss"] > 0 for step in found)


@pytest.mark.parametrize(
    ("data", "extra", "message"),
    [
        ("real", "", "TRAIN.OBJECTIVE figure: not one video of <4 records"),
        ("real", "DATA.EXTRA_TRAIN_LIST {}/nowhere.csv", "DATA.EXTRA_TRAIN_LIST: no list file"),
        ("drawn", "DATA.EXTRA_TRAIN_LIST {}/other/train.csv", "allowed: the classes of the training in their order"),
    ],
)
def test_what_is_wrong_is_one_line(folder, data, extra, message):
    done = run(folder, "wrong", data, extra.format(folder))
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1


def test_a_damaged_track_is_an_unreadable_video(folder, tmp_path):
    make_videos(tmp_path / "drawn", plan_of(actions_of(["sit", "turn"]), 2, frames=(10, 10), size=(64, 48)), workers=1)
    track = next((tmp_path / "drawn/videos/train").glob(f"sit*{ENDING}"))
    track.write_bytes(track.read_bytes()[:99])
    done = run(tmp_path, "out", text="SOLVER.MAX_EPOCH 1 DATA.MAX_BAD_FRACTION 0.5")
    assert done.returncode == 0 and track.name in done.stdout + done.stderr
