"""A checkpoint of DGAM as its authors publish it, tested on real clips from the command line: logits, probabilities,
and every gamma."""

import csv
import json

import numpy as np
import pytest
import torch
from conftest import ROOT
from dgam_inputs import published_file
from test_report_tools import data_of
from tiny import run_here

import fragrant
from fragrant.config import load_cfg
from fragrant.data.clips import make_batch
from fragrant.inference.formats import as_csv, as_json, as_text
from fragrant.scores import ensemble_views, load_table

# dark, bright, shorter than a clip
CLIPS = [
    "arid6/Walk_val_300.mp4",
    "weizmann4/shahar_walk.avi",
    "arid6/Jump_val_33.mp4",
]
CONFIG = ROOT / "configs" / "ellar" / "dgam_swin_b_published.yaml"
# Swin-T, small frames and one process to be quick: rule, clips, crops and their average are the config's.
DGAM = "SWIN.SIZE T TEST.DATASET video_list DATA.TEST_CROP_SIZE 32".split()
DGAM += "NUM_GPUS 0 TRAIN.ENABLE False DATA_LOADER.NUM_WORKERS 0".split()
GAMMAS = [1.0, 1.5, 2.0, 2.5, 3.0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, shared_clips):
    folder = tmp_path_factory.mktemp("dgam")
    published_file(folder / "DGAM_ELLAR.pth", "dgam_swin_t_c12")
    (folder / "test.csv").write_text("".join(f"{shared_clips / clip} {label}\n" for label, clip in enumerate(CLIPS)))
    return folder


def command(folder, *pairs):
    files = [
        "DATA.PATH_TO_DATA_DIR",
        folder,
        "TEST.CHECKPOINT_FILE_PATH",
        folder / "DGAM_ELLAR.pth",
        "OUTPUT_DIR",
        folder / "out",
    ]
    return run_here(*DGAM, *files, *pairs, arguments=("--cfg", str(CONFIG)))


@pytest.fixture(scope="module")
def tested(folder):
    done = command(folder)
    assert done.returncode == 0, done.stderr
    return folder / "out", done.stdout


@pytest.fixture(scope="module")
def predictor(folder):
    return fragrant.load_model(folder / "DGAM_ELLAR.pth", cfg_path=CONFIG, pairs=DGAM, device="cpu")


def test_all_of_a_published_file_is_used_for_twelve_views_of_each_video(tested):
    out, said = tested
    assert "layout: DGAM of ELLAR; 209 of 209 tensors loaded" in said and "12 forward passes per video" in said
    assert "mean of softmax probabilities over the views" in said
    cfg = load_cfg(CONFIG, DGAM)
    assert (cfg.MODEL.MODEL_NAME, cfg.DGAM.SELECT, cfg.DGAM.TAU, cfg.DGAM.GAMMAS) == ("DGAM", "hard", 1e-6, GAMMAS)
    assert (cfg.DATA.NUM_FRAMES, cfg.DATA.SAMPLING_RATE, cfg.TEST.NUM_ENSEMBLE_VIEWS, cfg.TEST.NUM_SPATIAL_CROPS) == (
        32,
        2,
        4,
        3,
    )
    table = load_table(out / "scores.npz")
    assert (
        table.logits.shape == (3, 12, 12)
        and table.choices["gamma"].shape == (3, 12)
        and table.header["rule"] == "mean-softmax"
    )
    video = ensemble_views(table, table.header["rule"])
    torch.testing.assert_close(video.probs, table.logits.double().softmax(-1).mean(1))
    rows = list(csv.DictReader((out / "scores.csv").open()))
    assert [float(row["prob1"]) for row in rows] == pytest.approx(video.probs.amax(1).tolist(), abs=1e-6)


def test_every_view_is_what_the_model_makes_of_its_clip(tested, predictor):
    table = load_table(tested[0] / "scores.npz")
    with torch.no_grad():
        for row, path in enumerate(table.paths):
            batch = make_batch([predictor.source.dataset([path], predictor.source.whole)[0, 0]])
            assert batch.clips.shape[1] == (3 if "Jump" in path else 12)  # of a short video all clips are one
            clips = batch.clips[0, batch.views[0]]  # (12, C, T, H, W)
            for view in (0, 7, 11):
                logits, choice = predictor.model.decide(predictor.prepare(clips[view : view + 1]))
                torch.testing.assert_close(logits[0], table.logits[row, view], rtol=1e-5, atol=1e-5)
                assert GAMMAS[choice.expert] == table.choices["gamma"][row, view]


def test_the_gammas_are_told_everywhere(tested, predictor, folder):
    out, said = tested
    table = load_table(out / "scores.npz")
    gammas = table.choices["gamma"]
    assert len(gammas.unique()) > 1 and any(len(row.unique()) > 1 for row in gammas)  # every view decides for itself
    counts = [int((gammas == gamma).sum()) for gamma in GAMMAS]
    assert (
        f"gamma: {', '.join(f'{gamma:g} in {count}' for gamma, count in zip(GAMMAS, counts, strict=True))} views "
        "of 3 videos" in said
    )
    with np.load(out / "scores.npz") as file:
        assert np.array_equal(file["choice_gamma"], gammas.numpy())
    numbers = json.loads((out / "scores.json").read_text())
    summary = numbers["summary"]["choices"]["gamma"]
    assert numbers["header"]["choices"] == {"gamma": GAMMAS}
    assert (summary["values"], summary["views"], summary["videos"]) == (GAMMAS, counts, 3)
    rows = list(csv.DictReader((out / "scores.csv").open()))
    assert [float(row["gamma"]) for row in rows] == pytest.approx(gammas.mean(1).tolist(), rel=1e-5)
    (drawn,) = data_of((out / "report.html").read_text())["choices"]
    assert drawn["name"] == "gamma" and [dot[0] for dot in drawn["dots"]] == list(table.paths)
    assert [dot[2] for dot in drawn["dots"]] == [[int((row == gamma).sum()) for gamma in GAMMAS] for row in gammas]
    words = (
        "--checkpoint",
        folder / "DGAM_ELLAR.pth",
        "--cfg",
        CONFIG,
        "--device",
        "cpu",
        "--workers",
        "0",
        table.paths[2],
    )
    answer = run_here(tool="predict", arguments=(*map(str, words), "--csv", "--opts", *DGAM))
    (row,) = csv.DictReader(answer.stdout.splitlines())
    assert float(row["gamma"]) == pytest.approx(gammas[2].mean().item()) and row["class1"] == rows[2]["class1"]


def test_predictions_tell_the_gamma(tested, predictor):
    table = load_table(tested[0] / "scores.npz")
    whole = predictor.predict(table.paths[2], top=1)
    mean = table.choices["gamma"][2].mean().item()
    assert whole.choices == {"gamma": pytest.approx(mean)} and as_text(whole).endswith(f" %; gamma {mean:.3g}")
    assert json.loads(as_json(whole))["choices"] == whole.choices
    parts = predictor.predict_windows(table.paths[0], seconds=1.5)
    assert len(parts.windows) > 1 and all(window.choices["gamma"] in GAMMAS for window in parts.windows)
    assert parts.choices["gamma"] == pytest.approx(np.mean([window.choices["gamma"] for window in parts.windows]))
    assert [row["choices"] for row in json.loads(as_json(parts))["windows"]] == [
        window.choices for window in parts.windows
    ]
    assert as_csv(parts).splitlines()[0].split(",")[4] == str(parts.windows[0].choices["gamma"])


def test_a_file_that_does_not_fit_is_one_line(folder):
    done = command(folder, "MODEL.NUM_CLASSES", "11", "OUTPUT_DIR", folder / "wrong")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "10 tensors are missing or have another shape, first heads.0.weight" in done.stderr
    assert "check MODEL.* and MODEL.NUM_CLASSES" in done.stderr
