"""Probes as a user types them: tokens once, one command to the table, and the network with its probe at work."""

import json

import numpy as np
import pytest
import torch
from conftest import load_tool
from tiny import TINY, run_here

from fragrant.inference.build import load_predictor
from fragrant.scores import load_table

PROBE = "PROBE.EPOCHS 2 PROBE.LRS [0.001,0.01] PROBE.WEIGHT_DECAYS [0.01] PROBE.NUM_HEADS 2 FEATURES.FOLDS 2".split()
FRAMES = """
    FEATURES.NETWORK timm/test_efficientnet FEATURES.WEIGHTS random FEATURES.SAMPLING uniform FEATURES.NUM_FRAMES 2 PROBE.GRID 2
""".split()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """18 training and 6 test videos of 12 frames, and a cache that the tests share."""
    folder = tmp_path_factory.mktemp("probes")
    data, cache = str(folder / "demo"), str(folder / "cache")
    return [*TINY, *PROBE, "DATA.PATH_TO_DATA_DIR", data, "FEATURES.CACHE_DIR", cache, "FEATURES.SEEDS", "[1,2]"]


def classify(demo, out, *pairs: str, arguments=("--clips", "--probe", "attentive")):
    return run_here(*demo, "OUTPUT_DIR", str(out), *pairs, tool="classify_features", arguments=arguments)


def test_clips_to_a_network_that_predicts(demo, tmp_path):
    both = ("--clips", "--probe", "attentive", "--probe", "linear")
    done = classify(demo, tmp_path, arguments=both)
    assert done.returncode == 0, done.stderr
    assert "hyper-parameters by 2-fold cross-validation inside the training list, video by video" in done.stdout
    assert "attentive: mean of 2 seeds" in done.stdout and "linear seed 2, of " in done.stdout
    results = json.loads((tmp_path / "probed.json").read_text())
    assert [(one["classifier"], one["seed"]) for one in results] == [
        (kind, seed) for kind in ("attentive", "linear") for seed in (1, 2)
    ]
    again = classify(demo, tmp_path / "again", arguments=both)
    assert "18 videos, 18 from the cache" in again.stdout or ", 0 computed" in again.stdout
    for kind in ("attentive", "linear"):
        table, other = (load_table(folder / f"scores_{kind}_seed1.npz") for folder in (tmp_path, tmp_path / "again"))
        assert torch.equal(table.logits, other.logits) and table.logits.shape == (6, 6, 6)
        predictor = load_predictor(tmp_path / f"probe_{kind}_seed1.pyth", device="cpu")
        predictions = list(predictor.predict_all(table.paths))
        probs = torch.stack([prediction.probs for prediction in predictions])
        views = table.logits.double()
        torch.testing.assert_close(probs, views.mean(1).softmax(1), rtol=0.02, atol=2e-3)  # tokens were float16
        assert predictor.class_names[2] == "sit"


@pytest.mark.slow
def test_another_setting_of_the_probe_finds_the_tokens_another_of_the_network_does_not(demo, tmp_path):
    assert classify(demo, tmp_path).returncode == 0
    for pairs, found in (
        (["PROBE.WIDTH", "8", "PROBE.EPOCHS", "1"], True),
        (["PROBE.GRID", "1"], False),
        (["RNG_SEED", "7"], False),
        (["DATA.GAMMA", "[3]"], False),
    ):
        done = classify(demo, tmp_path, *pairs, "FEATURES.SEEDS", "[1]")
        assert done.returncode == 0, done.stderr
        assert (", 0 computed" in done.stdout) == found, pairs


def test_frames_of_timm(demo, tmp_path):
    done = classify(demo, tmp_path, *FRAMES, "FEATURES.SEEDS", "[1]", arguments=("--probe", "attentive"))
    assert done.returncode == 0, done.stderr
    assert load_table(tmp_path / "scores_attentive_seed1.npz").logits.shape == (6, 1, 6)
    state = torch.load(tmp_path / "probe_attentive_seed1.pyth", weights_only=True)
    assert state["probe_state"]["query"].shape[0] == 1 and "timm/test_efficientnet" in state["cfg"]
    (file, *_) = (tmp_path.parent / "nothing").parent.glob("probes*/cache/*.npz")
    assert np.load(file)["features"].dtype == np.float16


def test_folds_pool(demo, tmp_path):
    one = ["FEATURES.SEEDS", "[1]", "PROBE.LRS", "[0.01]"]  # nothing to choose
    for fold in (0, 1):
        done = classify(demo, tmp_path / f"{fold}", "DATA.FOLDS", "2", "DATA.FOLD", f"{fold}", *one)
        assert done.returncode == 0, done.stderr
    tables = [str(tmp_path / f"{fold}" / "scores_attentive_seed1.npz") for fold in (0, 1)]
    done = run_here(tool="ensemble", arguments=(*tables, "--pool"))
    assert done.returncode == 0 and "2 folds pooled, every one of 12 videos once" in done.stdout, done.stderr


WRONG = [
    (
        ["PROBE.NUM_HEADS", "3"],
        "PROBE.NUM_HEADS 3 does not divide the width 16 of the attention (that of the features)",
    ),
    (["TEST.SELECT_ON", "test"], "TEST.SELECT_ON test: a probe is chosen by cross-validation inside the training list"),
    (["DATA.GROUP_BY", "(demo)"], "FEATURES.FOLDS 2 of the training list: all videos are of one group"),
    (["PROBE.LRS", "[]"], "PROBE.LRS is empty; give at least one"),
]


@pytest.mark.parametrize("pairs, message", WRONG, ids=lambda value: value[0] if isinstance(value, list) else "")
def test_wrong_input_is_one_line(demo, tmp_path, pairs, message):
    done = classify(demo, tmp_path, *pairs)
    assert done.returncode == 2 and message in done.stderr.splitlines()[-1], done.stderr


def test_tables_are_not_of_probes(capsys):
    with pytest.raises(SystemExit) as ended:
        load_tool("classify_features").start(["--tables", "--probe", "linear"])
    assert ended.value.code == 2 and "--tables and --probe do not go together" in capsys.readouterr().err
