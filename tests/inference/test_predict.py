"""Using a trained model: the checkpoint alone is enough, the answers are those of a test, what cannot be read is one
line."""

import csv
import io
import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from conftest import ROOT
from forked import run_forked, warm_context
from make_video import encode, remux
from tiny import TINY, run_here

import fragrant
from fragrant.checkpoint import CheckpointError, save_checkpoint
from fragrant.config import ConfigError, dump_cfg, load_cfg
from fragrant.data import VideoError
from fragrant.data.video import readers
from fragrant.errors import UserError
from fragrant.inference.formats import as_csv, as_json, as_text
from fragrant.inference.predictor import find_videos
from fragrant.models import build_model
from fragrant.report.run_folders import find_runs
from fragrant.scores import ensemble_views, load_table, merge, missing_views
from fragrant.scores.inputs import load_runs, with_views

NAMES = ["jump", "run", "sit", "stand", "turn", "walk"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint of random weights, as a run writes it, and what a test makes of it on the demo set."""
    folder = tmp_path_factory.mktemp("predict")
    torch.manual_seed(0)
    model = build_model(load_cfg(None, TINY))
    torch.nn.init.normal_(model.head.weight, std=1.0)  # so that videos get different answers
    state = {"model_state": dict(model.state_dict()), "cfg": dump_cfg(load_cfg(None, TINY)), "class_names": NAMES}
    save_checkpoint(folder / "best.pyth", state)
    save_checkpoint(folder / "bare.pyth", dict(model.state_dict()))
    test = [
        "TRAIN.ENABLE",
        "False",
        "TEST.CHECKPOINT_FILE_PATH",
        folder / "best.pyth",
        "DATA.PATH_TO_DATA_DIR",
        folder / "demo",
    ]
    done = run_here(*TINY, *test, "OUTPUT_DIR", folder / "out")
    assert done.returncode == 0, done.stderr
    return folder


def predict(folder, *words) -> "tuple[int, str, str]":
    return run_here(
        tool="predict",
        arguments=("--checkpoint", str(folder / "best.pyth"), "--device", "cpu", "--workers", "0", *map(str, words)),
    )


def test_the_answer_is_that_of_a_test(folder):
    table = load_table(folder / "out" / "scores.npz")
    video = ensemble_views(table, table.header["rule"])
    predictor = fragrant.load_model(folder / "best.pyth", device="cpu")
    assert video.probs.std() > 0.01
    for path, probs in zip(table.paths, video.probs, strict=True):
        prediction = predictor.predict(path)
        torch.testing.assert_close(prediction.probs, probs, rtol=0, atol=1e-6)
        assert prediction.name == NAMES[int(probs.argmax())] and prediction.num_clips == 6
        assert [ranked.prob for ranked in prediction.top] == pytest.approx(
            sorted(probs.tolist(), reverse=True)[:5], abs=1e-6
        )


@pytest.mark.slow
def test_parts_that_begin_at_the_same_moment(folder):
    """In one folder: none stops another, and what all write in common is whole."""
    out, count = folder / "at_once", 3
    words = [*TINY, "TRAIN.ENABLE", "False", "TEST.CHECKPOINT_FILE_PATH", folder / "best.pyth", "OUTPUT_DIR", out]
    words += ["DATA.PATH_TO_DATA_DIR", folder / "demo", "BN.ADAPT_LIST", folder / "demo" / "test.csv"]
    words += ["LOG.TRACKERS", "[tensorboard]", "TEST.NUM_PARTS", count]
    warm_context()
    with ThreadPoolExecutor(count) as pool:
        done = list(pool.map(lambda part: run_forked(*words, "TEST.PART", part), range(count)))
    assert [one.returncode for one in done] == [0] * count, [one.stderr for one in done]
    assert not [one.stdout for one in done if "WARNING" in one.stdout and "cannot be written" in one.stdout]
    tables = [load_table(out / f"scores.{part}-of-{count}.npz") for part in range(count)]
    assert not missing_views(merge(tables)) and "  PART: 0\n" in (out / "config.yaml").read_text()
    assert len({table.header["checkpoint_hash"] for table in tables}) == 1
    assert (out / "environment.json").is_file() and not (out / "trackers.json").exists()
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["adapted.pyth"]


def test_parts_of_a_test_are_the_whole(folder):
    """A job array: every run tests a part of the list, together they are the table of one run."""
    whole = load_table(folder / "out" / "scores.npz")
    test = [
        "TRAIN.ENABLE",
        "False",
        "TEST.CHECKPOINT_FILE_PATH",
        folder / "best.pyth",
        "DATA.PATH_TO_DATA_DIR",
        folder / "demo",
    ]
    for part in range(4):
        test_part = ["OUTPUT_DIR", folder / "parts", "TEST.NUM_PARTS", "4", "TEST.PART", part]
        done = run_here(*TINY, *test, *test_part, "LOG.TRACKERS", "[tensorboard]")
        assert done.returncode == 0, done.stderr
        assert "LOG.TRACKERS: a part of a test is no result and is not told" in done.stdout
        assert "  PART: 0\n" in (folder / "parts" / "config.yaml").read_text()  # the others let it be
    assert not list((folder / "parts").glob("runs-*"))
    (shown,) = find_runs(folder / "parts")
    assert shown.test is None and shown.records[-1]["part"] == "3-of-4"
    files = sorted((folder / "parts").glob("scores.*.npz"))
    assert [path.name for path in files] == [f"scores.{part}-of-4.npz" for part in range(4)]
    assert not list((folder / "parts").glob("*.pkl")) and (folder / "parts" / "scores.3-of-4.json").is_file()
    merged = merge([load_table(path) for path in files[::-1]])
    assert merged.paths == whole.paths and not missing_views(merged)
    for name in ("ids", "labels", "logits", "luma", "present"):
        assert torch.equal(getattr(merged, name), getattr(whole, name)), name
    assert (
        merged.header["num_videos"] == 6
        and merged.header["config"].replace("/parts", "/out").replace("[tensorboard]", "[]") == whole.header["config"]
    )
    assert missing_views(merge([load_table(path) for path in files[:3]])) == [f"video {n} of the list" for n in (4, 5)]


def test_enhanced_views_are_other_views_of_the_same_model(folder):
    """Tests of one checkpoint at several gammas are one run with more views; the brightness is that of the video."""
    plain = load_table(folder / "out" / "scores.npz")
    test = [
        "TRAIN.ENABLE",
        "False",
        "TEST.CHECKPOINT_FILE_PATH",
        folder / "best.pyth",
        "DATA.PATH_TO_DATA_DIR",
        folder / "demo",
    ]
    done = run_here(*TINY, *test, "OUTPUT_DIR", folder / "gamma", "DATA.GAMMA", "[2,4]", "DATA.ENHANCE", "equalize")
    assert done.returncode == 0, done.stderr
    lifted = load_table(folder / "gamma" / "scores.npz")
    assert {view.enhancement for view in lifted.views} == {"equalize gamma=3"} and torch.equal(lifted.luma, plain.luma)
    assert not torch.equal(lifted.logits, plain.logits)
    (run,) = load_runs([str(folder / "out" / "scores.npz"), str(folder / "gamma" / "scores.npz")])
    assert len(run.table.views) == 12 and torch.equal(with_views(run, ["none"]).table.logits, plain.logits)
    assert torch.equal(with_views(run, ["equalize gamma=3", "0"]).table.logits, lifted.logits[:, :3])


@pytest.mark.parametrize("workers", [0, 2])
def test_many_videos_come_in_their_order(folder, workers):
    predictor, paths = (
        fragrant.load_model(folder / "best.pyth", device="cpu"),
        list(load_table(folder / "out" / "scores.npz").paths),
    )
    found = list(predictor.predict_all([*paths, "nowhere.mp4", paths[0]], num_workers=workers))
    assert [prediction.path for prediction in found] == [*paths, "nowhere.mp4", paths[0]]
    assert found[-2].error == "video 'nowhere.mp4' cannot be read: no such file" and not found[-2].top
    assert found[0].name in NAMES and torch.equal(found[0].probs, found[-1].probs)


def test_overrides_and_other_configs(folder):
    path = load_table(folder / "out" / "scores.npz").paths[0]
    one = fragrant.load_model(
        folder / "best.pyth", device="cpu", pairs=["TEST.NUM_ENSEMBLE_VIEWS", "1", "TEST.NUM_SPATIAL_CROPS", "1"]
    )
    assert one.predict(path).num_clips == 1
    (folder / "tiny.yaml").write_text(dump_cfg(load_cfg(None, TINY)))
    bare = fragrant.load_model(folder / "bare.pyth", cfg_path=folder / "tiny.yaml", device="cpu").predict(path)
    whole = fragrant.load_model(folder / "best.pyth", device="cpu").predict(path)
    assert torch.equal(bare.probs, whole.probs) and bare.top[0].name == f"class {whole.top[0].number}"


def test_windows_cover_a_long_video(folder, shared_clips):
    predictor = fragrant.load_model(folder / "best.pyth", device="cpu")
    path = shared_clips / "misc" / "mma_demo.mp4"  # 280 frames at 28 per second
    for odd in ({"seconds": float("nan")}, {"seconds": -1.0}, {"step": 0.0}, {"step": float("inf")}):
        with pytest.raises(UserError, match="must be a number of seconds above 0"):
            predictor.predict_windows(path, **odd)
    whole = predictor.predict_windows(path, seconds=2.0, step=1.5, top=2)
    starts = [round(window.start, 2) for window in whole.windows]
    assert starts == [0, 1.5, 3, 4.5, 6, 7.5, 8] and whole.windows[-1].end == pytest.approx(10)
    assert (
        all(len(window.top) == 2 for window in whole.windows)
        and len({window.top[0].prob for window in whole.windows}) > 1
    )
    assert whole.probs.sum().item() == pytest.approx(1) and whole.num_clips == 7
    clip = predictor.predict_windows(path)  # a window is what a clip covers: 4 frames x rate 2
    assert clip.windows[0].end == pytest.approx(8 / 28, abs=1e-3) and clip.windows[1].start == pytest.approx(
        4 / 28, abs=1e-3
    )


def test_every_real_clip_gets_an_answer(folder, shared_clips):
    done = predict(
        folder, shared_clips / "misc", "--json", "--opts", "TEST.NUM_ENSEMBLE_VIEWS", "1", "TEST.NUM_SPATIAL_CROPS", "1"
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(rows) == len(list((shared_clips / "misc").iterdir())) >= 26
    for row in rows:
        assert len(row["top"]) == 5 and 0 < row["top"][0]["prob"] <= 1 and row["top"][0]["name"] in NAMES
    assert re.search(r"26 videos in [\d.]+ s: [\d.]+ videos/s, [\d.]+ clips/s on cpu", done.stderr)


# What the clips' README calls a reasonable outcome: these still have frames that decode.
READABLE = (
    "corrupt_middle_third decord_corrupted header_claims_10x_frames jpeg_renamed one_frame truncated_60pct "
    "truncated_faststart_50pct"
)
EITHER = "corrupt_first_keyframe size_changes_midway jpeg_renamed"  # "... or error"


def test_every_broken_clip_is_one_line(folder, shared_clips):
    paths = [*sorted((shared_clips / "broken").iterdir()), shared_clips / "broken" / "missing_file.mp4"]
    done = predict(folder, *paths)
    lines = done.stdout.splitlines() + done.stderr.splitlines()
    assert done.returncode == 2 and "Traceback" not in done.stderr
    for path in paths:
        (line,) = [line for line in lines if str(path) in line]
        if path.stem in EITHER.split():
            continue
        assert line.startswith("error: ") == (path.stem not in READABLE.split()), line
    failed = sum(line.startswith("error: video") for line in lines)
    assert lines[-1] == f"error: {failed} of {len(paths)} videos cannot be read" and failed >= 10


def test_windows_of_a_variable_rate_are_equally_long_in_time(folder, shared_clips):
    predictor = fragrant.load_model(folder / "best.pyth", device="cpu")
    found = predictor.predict_windows(shared_clips / "derived" / "h264_vfr.mp4", seconds=1.0, step=0.5)
    assert found.windows[0].start == 0 and found.windows[-1].end == pytest.approx(5.83, abs=0.02)
    assert all(window.end - window.start == pytest.approx(1) for window in found.windows)
    assert [window.start for window in found.windows[:-1]] == pytest.approx(
        [0.5 * at for at in range(len(found.windows) - 1)]
    )


def test_windows_of_a_file_without_an_index(folder, tmp_path, monkeypatch):
    """The same answers as of the file with an index, in one pass to count and one to read."""
    decoded, original = [], readers.Counter._decode

    def counted(reader):
        for frame in original(reader):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(readers, "KEPT_BYTES", 0)
    monkeypatch.setattr(readers.Counter, "_decode", counted)
    predictor = fragrant.load_model(folder / "best.pyth", device="cpu")
    indexed = encode(tmp_path / "a.mp4", 120, options={"g": "30"}, height=32, width=32)
    counting = remux(indexed, tmp_path / "a.ts")
    for options in ({"seconds": 0.5, "step": 0.2}, {}):
        decoded.clear()
        answers = [predictor.predict_windows(path, **options) for path in (indexed, counting)]
        assert answers[0].windows == answers[1].windows and len(answers[0].windows) > 10
        assert len(decoded) <= 2 * 120


def test_windows_of_broken_clips_are_one_line_too(folder, shared_clips):
    done = predict(
        folder, shared_clips / "broken" / "zero_bytes.mp4", shared_clips / "misc" / "surv_fi135.mp4", "--sliding"
    )
    assert (
        done.returncode == 2 and "surv_fi135.mp4: " in done.stdout and re.search(r"0\.00 \.\. +0\.80 s: ", done.stdout)
    )
    assert "error: video" in done.stderr and done.stderr.splitlines()[-1] == "error: 1 of 2 videos cannot be read"


def test_csv_has_a_row_per_video_or_window(folder):
    path = load_table(folder / "out" / "scores.npz").paths[0]
    done = predict(folder, path, "nowhere,really.mp4", "--csv", "--top", "2")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert (
        [row["path"] for row in rows] == [path, "nowhere,really.mp4"]
        and rows[0]["class1"] in NAMES
        and "no such file" in rows[1]["error"]
    )
    windows = list(csv.DictReader(io.StringIO(predict(folder, path, "--csv", "--sliding", "0.2").stdout)))
    assert len(windows) > 1 and float(windows[1]["start"]) > 0 and float(windows[0]["prob1"]) > 0


def test_texts(folder):
    prediction = fragrant.load_model(folder / "best.pyth", device="cpu").predict(
        load_table(folder / "out" / "scores.npz").paths[0], top=1
    )
    percent = f"{100 * prediction.top[0].prob:.1f} %"
    assert as_text(prediction) == f"{prediction.path}: {prediction.name} {percent}"
    assert json.loads(as_json(prediction))["top"][0]["name"] == prediction.name
    assert as_csv(prediction).startswith(f"{prediction.path},,,,{prediction.name},0.")


def test_folders_are_searched_for_videos(tmp_path):
    for name in ("b.mp4", "a.AVI", "notes.txt", "deep/c.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.removeprefix(f"{tmp_path}/") for path in find_videos([tmp_path, "x.dat"])] == [
        "a.AVI",
        "b.mp4",
        "deep/c.mkv",
        "x.dat",
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        UserError, match=re.escape(f"folder '{tmp_path / 'empty'}' has no videos; known suffixes: .3gp")
    ):
        find_videos([tmp_path / "empty"])


WRONG = [
    (lambda folder: fragrant.load_model(folder / "nowhere.pyth"), CheckpointError, "cannot read checkpoint"),
    (
        lambda folder: fragrant.load_model(folder / "bare.pyth"),
        CheckpointError,
        "carries no config, it was not written by this project",
    ),
    (
        lambda folder: fragrant.load_model(folder / "best.pyth", pairs=["MODEL.NUM_CLASSES", "7"]),
        CheckpointError,
        "does not fit the model",
    ),
    (lambda folder: fragrant.load_model(folder / "odd.pyth"), ConfigError, "config in "),
    (
        lambda folder: fragrant.load_model(folder / "best.pyth", device="cpu").predict("no.mp4"),
        VideoError,
        "'no.mp4' cannot be read",
    ),
]


@pytest.mark.parametrize("compute, error, message", WRONG, ids=[message for *_, message in WRONG])
def test_wrong_input(compute, error, message, folder):
    save_checkpoint(folder / "odd.pyth", {"model_state": {}, "cfg": "MODEL: [not, {a: config}]"})
    with pytest.raises(error, match=re.escape(message)):
        compute(folder)


def test_importing_the_package_loads_no_torch():
    assert "import torch" not in (ROOT / "fragrant/__init__.py").read_text()
