"""DATA.MULTI_LABEL from the list to the report: a run whose videos have several labels."""

import csv
import json

import numpy as np
import pytest
import torch
from tiny import TINY, run_here

import fragrant
from fragrant.config import load_cfg
from fragrant.data.datasets.build import DATASETS
from fragrant.metrics import average_precision
from fragrant.scores import load_table

SEVERAL = ["DATA.MULTI_LABEL", "True", "MODEL.LOSS_FUNC", "bce_logit"]


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    """The demo set, of which every video also shows class 5 or 0, and one test video that nobody has labelled."""
    folder = tmp_path_factory.mktemp("several")
    cfg = load_cfg(None, [*TINY, "DATA.PATH_TO_DATA_DIR", str(folder / "demo")])
    for split in ("train", "val", "test"):
        rows = [
            f"{video.path} {video.label},{5 if video.label % 2 else 0}"
            for video in DATASETS.get("demo")(cfg, split).records
        ]
        if split == "test":
            rows[0] = rows[0].replace(" 0,0", " -1")
        (folder / f"{split}.csv").write_text("\n".join(rows))
    names = (folder / "demo" / "classes.txt").read_text()
    (folder / "classes.txt").write_text(names)
    return folder


@pytest.fixture(scope="module")
def run(lists):
    out = lists / "out"
    names = [
        "TRAIN.DATASET",
        "video_list",
        "TEST.DATASET",
        "video_list",
        "DATA.PATH_TO_DATA_DIR",
        lists,
        "OUTPUT_DIR",
        out,
    ]
    done = run_here(*TINY, *names, *SEVERAL, "TEST.TEST_BEST", "True", "TEST.SAVE_RESULTS_PATH", "results.pkl")
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_the_numbers_are_those_of_the_table(run):
    out, said = run
    table = load_table(out / "scores.npz")
    assert (
        table.labels.dtype == torch.bool
        and table.labels.shape == (6, 6)
        and table.labels.sum(1).tolist() == [0, 2, 2, 2, 2, 1]
    )
    value = float(average_precision(table.logits[1:].sum(1), table.labels[1:]).nanmean())
    assert f"Test: mAP {value:.2f} % of 5 videos" in said
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert next(r for r in records if r.get("split") == "test_final")["map"] == pytest.approx(value)
    assert json.loads((out / "scores.json").read_text())["summary"]["mean_average_precision"] == pytest.approx(value)


def test_the_best_epoch_has_the_largest_mean_average_precision(run):
    out, _ = run
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    values = [record["map"] for record in records if record.get("_type") == "val_epoch"]
    assert len(values) == 2 and records[-2]["max_map"] == max(values)
    best = torch.load(out / "checkpoints" / "best.pyth", weights_only=True)
    assert best["epoch"] == int(np.argmax(values)) and best["best"] == {"epoch": best["epoch"], "map": max(values)}


def test_report_prediction_and_ensemble(run):
    out, _ = run
    assert "mean average precision" in (out / "report.html").read_text()
    rows = list(csv.DictReader((out / "scores.csv").open()))
    names = (out.parent / "classes.txt").read_text().split()
    assert [row["label"] for row in rows[:2]] == ["", f"{names[1]};{names[5]}"]
    prediction = fragrant.load_model(out / "checkpoints" / "best.pyth", device="cpu").predict(rows[1]["path"], top=6)
    table = load_table(out / "scores.npz")
    torch.testing.assert_close(prediction.probs, table.logits[1].double().mean(0).sigmoid(), rtol=0, atol=1e-6)
    scores = str(out / "scores.npz")
    assert "mAP" in run_here(scores, tool="ensemble").stdout
    wrong = run_here(f"a={scores}", f"b={scores}", "--compare", tool="ensemble")
    assert wrong.returncode == 2 and wrong.stderr.startswith(
        "error: --compare counts videos that are right and wrong; of videos with"
    )


WRONG = {
    "another loss": (
        ["MODEL.LOSS_FUNC", "cross_entropy"],
        "DATA.MULTI_LABEL True needs MODEL.LOSS_FUNC bce_logit, a yes or no for each",
    ),
    "without the key": (["DATA.MULTI_LABEL", "False"], "several labels of a video are read with DATA.MULTI_LABEL True"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_combinations_are_one_line(case, lists, tmp_path):
    pairs, message = WRONG[case]
    form = ["DATA.LIST_FORMAT", "path label", "TRAIN.DATASET", "video_list", "TEST.DATASET", "video_list"]
    done = run_here(*TINY, *SEVERAL, *form, "DATA.PATH_TO_DATA_DIR", lists, "OUTPUT_DIR", tmp_path, *pairs)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and message in done.stderr


def test_classifiers_of_frozen_features_take_one_label(lists, tmp_path):
    done = run_here(*TINY, *SEVERAL, "DATA.PATH_TO_DATA_DIR", lists, "OUTPUT_DIR", tmp_path, tool="extract_features")
    assert (
        done.returncode == 2
        and "DATA.MULTI_LABEL True: classifiers of frozen features take one label per video" in done.stderr
    )
