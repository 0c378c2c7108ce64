"""Models in the box: small enough, whole, found by name by every tool, as good as on their cards."""

import json
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
import torch
from conftest import ROOT
from tiny import TINY, run_here

import fragrant
from fragrant.checkpoint import CheckpointError, checkpoint_hash, load_checkpoint
from fragrant.config import ConfigError, load_cfg
from fragrant.errors import UserError
from fragrant.metrics import share
from fragrant.synthetic.demo_set import make_demo_set
from fragrant.zoo import (
    ZooError,
    checkpoint_named,
    list_of_models,
    load_card,
    load_cards,
    model_names,
    model_page,
    weights_file,
)
from fragrant.zoo.box import FOLDER
from fragrant.zoo.page import BEGIN

NAMES = model_names()
CARDS = load_cards(FOLDER)
MOST_BYTES = 6_000_000


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The smallest demo set, as ``OF_DEMO`` has it."""
    folder = tmp_path_factory.mktemp("drawn")
    make_demo_set(folder, seed=0, videos_per_class=1, test_videos_per_class=1, num_frames=12, height=48, width=64)
    return folder


OF_DEMO = [*TINY[TINY.index("DEMO_SET.VIDEOS_PER_CLASS") :], "DEMO_SET.VIDEOS_PER_CLASS", "1"]


@pytest.fixture(scope="module")
def video(demo):
    """A drawn video."""
    return sorted(demo.rglob("*.mp4"))[0]


# ---------------------------------------------------------------------------------------------------------------- files
def test_the_box_is_small():
    assert NAMES and sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) <= MOST_BYTES


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_an_entry_is_whole(card):
    path = FOLDER / f"{card.name}.safetensors"
    assert str(path) == weights_file(f"zoo:{card.name}")  # compared with its checksum
    assert path.stat().st_size == card.bytes
    content = load_checkpoint(f"zoo:{card.name}")
    assert content["cfg"] == path.with_suffix(".yaml").read_text(encoding="utf-8")
    assert content["class_names"] == card.class_names and len(set(card.class_names)) > 1
    floats = [value for value in content["model_state"].values() if value.is_floating_point()]
    assert sum(value.dtype == torch.float16 for value in floats) > 0.9 * len(floats)
    assert all(bool(value.isfinite().all()) for value in floats)
    assert not re.search(r"/(work|tmp|home|root)/", content["cfg"] + path.with_suffix(".json").read_text())
    assert load_cfg(f"zoo:{card.name}").MODEL.NUM_CLASSES == len(card.class_names)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_a_card_says_what_it_must(card):
    assert card.commands and card.not_for and card.trained_on and card.licence and card.scores
    assert card.half_precision.same_answer >= 0.98 * card.half_precision.videos > 0
    for score in card.scores:
        right = share(round(score.percent * score.videos / 100), score.videos)
        if score.runs == 1:
            assert (score.percent, score.low, score.high) == pytest.approx(right[2:], abs=1e-3)


def test_the_page_is_current():
    page = (ROOT / "docs" / "model_zoo.md").read_text(encoding="utf-8")
    assert page == model_page(page, CARDS), "docs/model_zoo.md is out of date: run python tools/zoo.py docs"
    assert [name for name in NAMES if f"### {name}\n" not in page] == []
    with pytest.raises(UserError, match="has no place for the cards"):
        model_page(page.replace(BEGIN, ""), CARDS)


# ---------------------------------------------------------------------------------------------------------------- names
def test_names():
    assert checkpoint_named("dark6-xs") == "zoo:dark6-xs"
    for other in ("best.pyth", "run/best", "zoo:dark6-xs", ROOT / "setup.py", "~/x", "http://x/y"):
        assert checkpoint_named(other) == other


def test_a_file_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dark6-xs").write_bytes(b"x")
    assert checkpoint_named("dark6-xs") == "dark6-xs"


UNKNOWN = r"zoo:dark6-sx'? is none of the models that ship with fragrant; did you mean 'dark6-xs'\? Known: "


def test_a_wrong_name_has_the_right_one():
    for load in (load_checkpoint, fragrant.load_model):
        with pytest.raises(CheckpointError, match=UNKNOWN):
            load("zoo:dark6-sx")
    with pytest.raises(CheckpointError, match=UNKNOWN):
        fragrant.load_model("dark6-sx")
    with pytest.raises(ConfigError, match=UNKNOWN):
        load_cfg("zoo:dark6-sx")


@pytest.mark.parametrize("name", ["", "../zoo/dark6-xs", "dark6-xs.json", "dark6-xs/", "x\0y", "a" * 5000, "page"])
def test_names_that_are_none(name):
    with pytest.raises(ZooError, match="none of the models"):
        weights_file(f"zoo:{name}")


@pytest.mark.parametrize(
    "tool, words",
    [
        ("predict", ["--model", "dark6-sx", "x.mp4"]),
        ("export", ["--model", "dark6-sx", "--to", "onnx"]),
        ("visualize", ["--model", "dark6-sx", "--video", "x.mp4"]),
        ("model_info", ["--cfg", "zoo:dark6-sx"]),
        ("run_net", ["--cfg", "zoo:dark6-sx"]),
    ],
)
def test_every_tool_says_so_in_one_line(tool, words):
    done = run_here(tool=tool, arguments=words)
    assert done.returncode == 2 and re.fullmatch(f"error: (checkpoint )?{UNKNOWN}.*\n", done.stderr), done.stderr


def test_the_keys_of_a_run_say_so_in_one_line(demo, tmp_path):
    for key in ("TRAIN.CHECKPOINT_FILE_PATH", "UNIFORMER.PRETRAIN_NAME"):
        words = [*TINY, *OF_DEMO, "DATA.PATH_TO_DATA_DIR", demo, "OUTPUT_DIR", tmp_path / key, key, "zoo:dark6-sx"]
        done = run_here(*words)
        assert done.returncode == 2 and re.search(f"error: {key} '{UNKNOWN}", done.stderr), done.stderr


def test_the_list_of_names():
    for tool in ("predict", "export", "visualize"):
        with pytest.raises(SystemExit) as ended:
            run_here(tool=tool, arguments=["--model", "list"])
        assert ended.value.code == 0
    table = list_of_models(CARDS)
    assert all(name in table for name in NAMES) and list_of_models([]) == "no model ships with this copy of fragrant"
    assert table in run_here("list", tool="zoo").stdout


# --------------------------------------------------------------------------------------------------------------- damage
@pytest.fixture
def damaged(tmp_path):
    for path in FOLDER.glob(f"{NAMES[0]}.*"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_a_damaged_entry_is_one_line(damaged):
    path = damaged / f"{NAMES[0]}.safetensors"
    content = bytearray(path.read_bytes())
    assert weights_file(f"zoo:{NAMES[0]}", damaged) == str(path)
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ZooError, match="is damaged: the SHA-256 of .* is not that of its card; install fragrant again"):
        weights_file(f"zoo:{NAMES[0]}", damaged)
    with pytest.raises(CheckpointError, match="is damaged or not a checkpoint: wrong checksum"):
        load_checkpoint(path)
    path.unlink()
    with pytest.raises(ZooError, match="cannot be read: No such file"):
        weights_file(f"zoo:{NAMES[0]}", damaged)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"name": 1}', '{"x": 1}', "\ud800", "[" * 100_000, "null"])
def test_a_damaged_card_is_one_line(text, damaged):
    (damaged / f"{NAMES[0]}.json").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(UserError, match=r"^card [^\n]* is damaged: [^\n]*$"):
        load_card(damaged / f"{NAMES[0]}.json")
    with pytest.raises(ZooError, match="is damaged: card"):
        weights_file(f"zoo:{NAMES[0]}", damaged)


@pytest.mark.parametrize("name", ["scores", "class_names", "parameters"])
def test_a_card_with_a_wrong_entry(name, damaged):
    path = damaged / f"{NAMES[0]}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: "x"}))
    with pytest.raises(UserError, match=f"is damaged: it has a wrong '{name}'"):
        load_card(path)


# ---------------------------------------------------------------------------------------------------------------- works
@pytest.mark.parametrize("name", NAMES)
def test_it_predicts_without_anything_else(name, video):
    done = run_here(video, tool="predict", arguments=["--model", name, "--device", "cpu", "--workers", "0", "--json"])
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    prediction = fragrant.load_model(name, device="cpu").predict(video)
    assert prediction.name in load_card(FOLDER / f"{name}.json").class_names
    assert answer["top"][0]["name"] == prediction.name
    assert float(prediction.probs.sum()) == pytest.approx(1)
    assert checkpoint_hash(f"zoo:{name}") == load_card(FOLDER / f"{name}.json").sha256[:16]


def test_the_other_tools_take_it(video, tmp_path):
    done = run_here(tool="model_info", arguments=["--cfg", f"zoo:{NAMES[0]}"])
    assert done.returncode == 0 and "whole" in done.stdout, done.stderr
    done = run_here(
        tool="visualize", arguments=["--model", NAMES[0], "--video", str(video), "--out", str(tmp_path / "x.png")]
    )
    assert done.returncode == 0 and f"zoo:{NAMES[0]}" in done.stdout, done.stderr


def test_a_run_starts_from_it_with_its_config(demo, tmp_path):
    base = tmp_path / "mine.yaml"
    base.write_text(f"_BASE_: zoo:{NAMES[0]}\nSOLVER: {{MAX_EPOCH: 1}}\n")
    assert load_cfg(base).MODEL == load_cfg(f"zoo:{NAMES[0]}").MODEL
    data = ["TRAIN.DATASET", "demo", "TEST.DATASET", "demo", "DATA.PATH_TO_DATA_DIR", demo, *OF_DEMO]
    fast = "NUM_GPUS 0 DATA_LOADER.NUM_WORKERS 0 TRAIN.BATCH_SIZE 6 TEST.ENABLE False TRAIN.EVAL_PERIOD 5".split()
    words = [*data, *fast, "TRAIN.CHECKPOINT_FILE_PATH", f"zoo:{NAMES[0]}", "OUTPUT_DIR", tmp_path / "out"]
    done = run_here(*words, arguments=["--cfg", str(base)])
    assert done.returncode == 0, done.stderr
    log = (tmp_path / "out" / "stdout.log").read_text()
    assert f"Fine-tuning from zoo:{NAMES[0]}, epoch 1 of 1" in log and "keep their initial" not in log


def right_of(name: str, folder, rows: list[str]) -> int:
    """How many clips of a list, whose classes stand in the order of ARID's six, a model of the box names."""
    model, right = fragrant.load_model(name, device="cpu"), 0
    for row in rows:
        path, label = row.split()
        prediction = model.predict(folder / path)
        assert bool(prediction.probs.isfinite().all())
        right += prediction.name == model.class_names[int(label)]
    return right


def test_real_clips(shared_clips):
    """Of every twelfth real dark clip at least half are right, where chance is a sixth."""
    rows = [row for list_ in ("arid150", "arid6_test") for row in open(shared_clips / f"{list_}.txt")][::12]
    assert 2 * right_of("dark6-xs", shared_clips, rows) >= len(rows)


@pytest.mark.slow
def test_real_clips_are_recognized_as_the_card_says(shared_clips):
    rows = list(open(shared_clips / "arid150.txt"))
    (score,) = (s for s in load_card(FOLDER / "dark6-xs.json").scores if s.data.startswith("real: ARID"))
    percent = 100 * right_of("dark6-xs", shared_clips, rows) / len(rows)
    assert score.videos == len(rows) and percent == pytest.approx(score.percent, abs=1.5)  # two clips, of rounding


# ------------------------------------------------------------------------------------------------------------ the wheel
@pytest.mark.slow
def test_a_wheel_holds_the_box(tmp_path):
    source = tmp_path / "source"
    skip = shutil.ignore_patterns(".git", "tests", "docs", "data", "output", "*.egg-info", "build", "__pycache__")
    shutil.copytree(ROOT, source, ignore=skip)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, source]
    done = subprocess.run(list(map(str, build)), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("fragrant-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("fragrant/zoo/")}
        assert {
            f"fragrant/zoo/{name}{ending}" for name in NAMES for ending in (".safetensors", ".yaml", ".json")
        } < held
        archive.extractall(tmp_path / "installed")
    code = "import fragrant; print(fragrant.__file__, fragrant.load_model('dark6-xs').class_names)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path / "installed",
        timeout=600,
        env={"PATH": "", "PYTHONPATH": str(tmp_path / "installed")},
    )
    assert str(tmp_path / "installed") in done.stdout and "jump" in done.stdout, done.stderr
