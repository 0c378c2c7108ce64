"""A run leaves a report; tools/report.py writes it again; TensorBoard has the pictures."""

import io
import json
import re

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import TINY, run_here

from fragrant.scores import load_table, save_table


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    pairs = [
        "DATA.PATH_TO_DATA_DIR",
        str(folder / "demo"),
        "OUTPUT_DIR",
        str(folder / "out"),
        "TENSORBOARD.ENABLE",
        "true",
    ]
    done = run_here(*TINY, *pairs)
    assert done.returncode == 0, done.stderr
    return folder / "out"


def report(*words) -> str:
    done = run_here(tool="report", arguments=tuple(map(str, words)))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_test_leaves_a_report(finished):
    data = data_of((finished / "report.html").read_text())
    log = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert data["title"] == "Uniformer on demo" and data["headline"][0]["value"] == f"{log[-1]['top1_acc']} %"
    assert [chart["title"] for chart in data["curves"]] == ["loss", "top-1 accuracy, %", "learning rate"]
    validation = data["curves"][1]["series"][1]
    assert validation["y"] == [100 - record["top1_err"] for record in log if record.get("_type") == "val_epoch"]
    facts = dict(data["facts"])
    assert (
        facts["checkpoint"].endswith("checkpoint_epoch_00002.pyth") and "6 forward passes" in facts["views of a video"]
    )
    assert {"command", "date", "versions", "its hash"} <= set(facts) and "MAX_EPOCH: 2" in data["config"]
    wrong = sum(label != guess for label, guess in zip(data["videos"]["label"], data["videos"]["guess"], strict=True))
    assert len(data["mistakes"]) == wrong > 0 and sum(group["share"]["total"] for group in data["light"]) == 6
    assert sorted(data["thumbnails"]) == [str(row) for row in range(6)]  # of all: there are few
    assert all(len(m["strips"]) == 2 and m["strips"][0]["src"].startswith("data:image/jpeg") for m in data["mistakes"])


def test_the_tool_writes_the_same_page(finished, tmp_path):
    said = report(finished, "--to", tmp_path / "new" / "again.html")
    assert f"The report is in {tmp_path / 'new' / 'again.html'}" in said
    assert (tmp_path / "new" / "again.html").read_text() == (finished / "report.html").read_text()


def test_another_rule_and_fewer_mistakes(finished, tmp_path):
    report(finished / "scores.npz", "--rule", "max-softmax", "--mistakes", "1", "--to", tmp_path / "a.html")
    data = data_of((tmp_path / "a.html").read_text())
    assert "max of the softmax of its views" in data["subtitle"] and len(data["mistakes"]) == 1


def test_scores_alone(finished, tmp_path):
    """Without the log, the config and the videos there is still a report."""
    table = load_table(finished / "scores.npz")
    table.header.clear()
    save_table(tmp_path / "scores.npz", table)
    report(tmp_path)
    data = data_of((tmp_path / "report.html").read_text())
    assert data["curves"] == [] and data["mistakes"][0]["why"] == "No frames: the score table has no config"
    table = load_table(finished / "scores.npz")
    save_table(tmp_path / "scores.npz", table.__class__(**{**vars(table), "paths": ("gone.mp4",) * len(table)}))
    report(tmp_path)
    why = data_of((tmp_path / "report.html").read_text())["mistakes"][0]["why"]
    assert why == "No frames: video 'gone.mp4' cannot be read: no such file"


def test_tensorboard_has_the_pictures(finished):
    events = EventAccumulator(str(finished / "runs-demo"), size_guidance={"images": 0})
    events.Reload()
    names = set(events.Tags()["images"])
    assert {"Test/confusion", "Train/clips/1", "Train/clips/4", "Test/most confident mistakes/1"} <= names
    assert {"Train/grad_norm", "Train/lr", "Val/Top1_err", "Test/Top1_acc"} <= set(events.Tags()["scalars"])
    clip = Image.open(io.BytesIO(events.Images("Train/clips/1")[0].encoded_image_string))
    assert clip.format == "GIF" and clip.is_animated and clip.n_frames == 4 and clip.size == (32 + 3 + 32, 32)
    assert Image.open(io.BytesIO(events.Images("Test/confusion")[0].encoded_image_string)).width > 600


WRONG = [
    (["nowhere"], ["score table 'nowhere' cannot be read: No such file or directory"]),
    (["{run}", "--rule", "sum-logit"], ["rule 'sum-logit' is not known; did you mean 'sum-logits'?"]),
    (["{run}", "--log", "{run}/config.yaml"], ["config.yaml' holds no JSON record"]),
    (["{run}", "--to", "/dev/null/a.html"], ["report '/dev/null/a.html' cannot be written"]),
]


@pytest.mark.parametrize("words, parts", WRONG, ids=lambda value: value[-1] if isinstance(value, list) else None)
def test_wrong_input_is_one_line(words, parts, finished):
    done = run_here(tool="report", arguments=tuple(word.format(run=finished) for word in words))
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2 and len(lines) == 1 and all(part in lines[0] for part in parts), done.stderr


def test_plot_command(finished, tmp_path):
    pytest.importorskip("matplotlib")
    done = run_here(
        tool="plot", arguments=(str(finished), str(finished), "--names", "a", "b", "--to", str(tmp_path / "c.png"))
    )
    assert done.returncode == 0 and "The curves are in" in done.stdout and (tmp_path / "c.png").is_file()
    for kind in ("confusion", "classes", "illumination"):
        done = run_here(tool="plot", arguments=(kind, str(finished), "--to", str(tmp_path / f"{kind}.pdf"), "--latex"))
        assert done.returncode == 0 and f"The figure is in {tmp_path / kind}.pdf" in done.stdout, done.stderr
    wrong = run_here(tool="plot", arguments=("nowhere",))
    assert (
        wrong.returncode == 2
        and wrong.stderr.startswith("error: log 'nowhere' cannot be read")
        and wrong.stderr.count("\n") == 1
    )


@pytest.mark.parametrize(
    "words, part",
    [
        (["confusoin", "x"], "'confusoin' is neither a run nor a figure; did you mean 'confusion'?"),
        (["classes", "nowhere"], "score table 'nowhere' cannot be read"),
        (["confusion", "{run}", "--to", "c.gif"], "picture 'c.gif' has no known ending; allowed: .png, .svg, .pdf"),
        (["confusion", "{run}", "{run}"], "a confusion matrix is of one run, got 2"),
        (["curves", "{run}", "--width", "far"], "--width 'far' is no length"),
        (["classes", "{run}", "--most", "-1"], "--most -1 must not be below 0"),
        (["illumination", "{run}", "--groups", "0"], "--groups 0 is out of range"),
        (["curves", "{run}", "--panels", "acc"], "panel 'acc' is not known; allowed: loss, top-1, map, lr"),
    ],
)
def test_wrong_figures_are_one_line(words, part, finished):
    done = run_here(tool="plot", arguments=tuple(word.format(run=finished) for word in words))
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and part in done.stderr, done.stderr
