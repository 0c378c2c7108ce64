"""The two commands of frozen features as a user types them: never a stale feature, resumable, one command from video to
table."""

import json
import shutil

import numpy as np
import pytest
from conftest import ROOT
from tiny import TINY, run_here

DARK = ("--cfg", str(ROOT / "configs/arid/har_dark_features.yaml"))
SMALL = "FEATURES.NETWORK shufflenet_v2_x0_5 FEATURES.WEIGHTS random NUM_GPUS 0 DATA_LOADER.NUM_WORKERS 0".split()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """18 training and 6 test videos of 12 frames, and a cache that the tests share."""
    folder = tmp_path_factory.mktemp("features")
    return [
        *TINY,
        *SMALL,
        "DATA.PATH_TO_DATA_DIR",
        str(folder / "demo"),
        "FEATURES.CACHE_DIR",
        str(folder / "cache"),
        "FEATURES.INTERVAL",
        "6",
    ]


def extract(demo, out, *pairs: str, arguments=()) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The training features, and (from the cache, computed) of both lists."""
    done = run_here(*demo, "OUTPUT_DIR", str(out), *pairs, tool="extract_features", arguments=arguments)
    assert done.returncode == 0, done.stderr
    words = [line.split() for line in done.stdout.splitlines() if "from the cache" in line]
    return np.load(out / "features_train.npz")["features"], [(int(line[4]), int(line[8])) for line in words]


def test_another_gamma_or_sampling_never_reuses_a_feature(demo, tmp_path):
    """The published cache was named by the video alone: its comparison of gammas may have compared the same
    features."""
    settings = [
        ["DATA.GAMMA", "[3]"],
        ["DATA.GAMMA", "[1]"],
        ["DATA.GAMMA", "[3]", "DATA.ENHANCE", "equalize"],
        ["DATA.GAMMA", "[3]", "FEATURES.SAMPLING", "random", "FEATURES.NUM_FRAMES", "2"],
        ["DATA.GAMMA", "[3]", "FEATURES.SAMPLING", "random", "FEATURES.NUM_FRAMES", "2", "RNG_SEED", "2"],
        ["DATA.GAMMA", "[3]", "FEATURES.SAMPLING", "uniform", "FEATURES.NUM_FRAMES", "2"],
        ["DATA.GAMMA", "[3]", "FEATURES.INTERVAL", "5"],
        ["DATA.GAMMA", "[3]", "FEATURES.OUTPUT", "logits"],
    ]
    first = [extract(demo, tmp_path / "out", *pairs) for pairs in settings]
    number = len(first[0][0])
    assert all(counts[0] == (0, number) for _, counts in first)  # nothing from the cache
    features = [table for table, _ in first]
    different = {table.tobytes() for table in features}
    assert len(different) == len(settings)
    again = [extract(demo, tmp_path / "out", *pairs) for pairs in settings]
    assert all(counts[0] == (number, 0) for _, counts in again)  # everything from the cache
    assert all(np.array_equal(table, before) for (table, _), before in zip(again, features, strict=True))


def test_clips_go_through_the_backbone_of_the_config(demo, tmp_path):
    features, counts = extract(demo, tmp_path, arguments=("--clips",))
    assert features.shape[1] == 16 and counts[0] == (0, len(features))  # UNIFORMER.EMBED_DIM[-1]
    assert extract(demo, tmp_path, arguments=("--clips",))[1][0] == (len(features), 0)
    fewer, counts = extract(demo, tmp_path, "TEST.NUM_ENSEMBLE_VIEWS", "1", arguments=("--clips",))
    assert counts[0] == (0, len(features)) and not np.array_equal(fewer, features)
    assert np.load(tmp_path / "features_train.npz")["class_names"].tolist()[2] == "sit"


def test_an_interrupted_extraction_goes_on(demo, tmp_path):
    extract(demo, tmp_path / "one")  # makes the set
    folder = tmp_path / "set"
    shutil.copytree(demo[demo.index("DATA.PATH_TO_DATA_DIR") + 1], folder)
    rows = (folder / "train.csv").read_text().splitlines()
    broken = folder / rows[3].split()[0]
    content = broken.read_bytes()
    broken.write_bytes(b"no video")
    pairs = [*demo, "TRAIN.DATASET", "video_list", "TEST.DATASET", "video_list", "DATA.PATH_TO_DATA_DIR", str(folder)]
    pairs += ["FEATURES.CACHE_DIR", str(tmp_path / "cache"), "OUTPUT_DIR", str(tmp_path / "out")]
    done = run_here(*pairs, tool="extract_features")
    assert done.returncode == 2 and f"{broken}" in done.stderr and "train.csv:4)" in done.stderr
    assert len(list((tmp_path / "cache").glob("*.npz"))) == 3
    broken.write_bytes(content)
    done = run_here(*pairs, tool="extract_features")
    assert done.returncode == 0 and f"{len(rows)} videos, 3 from the cache, {len(rows) - 3} computed" in done.stdout


def test_a_study_from_video_to_table(demo, tmp_path):
    pairs = [*demo, "OUTPUT_DIR", str(tmp_path), "FEATURES.CLASSIFIERS", "[two_layer]", "FEATURES.SEEDS", "[1,2]"]
    done = run_here(*pairs, tool="classify_features")
    assert done.returncode == 0, done.stderr
    assert (
        "two_layer seed 1: test " in done.stdout and "of 6), train" in done.stdout and "mean of 2 seeds" in done.stdout
    )
    assert len(json.loads((tmp_path / "classified.json").read_text())) == 2
    done = run_here(*pairs, "TEST.SELECT_ON", "test", "FEATURES.TUNE", "True", tool="classify_features")
    assert done.returncode == 0, done.stderr
    for text in (done.stdout, (tmp_path / "classified.json").read_text(), (tmp_path / "classified.md").read_text()):
        assert "optimistic: hyper-parameters were picked on the test list" in text


WRONG = [
    (
        ["FEATURES.NETWORK", "resnet51"],
        [],
        "FEATURES.NETWORK 'resnet51' is no image classifier of torchvision; did you mean 'resnet50'?",
    ),
    (
        ["FEATURES.WEIGHTS", "nowhere.pth"],
        [],
        "FEATURES.WEIGHTS 'nowhere.pth' is neither a file nor weights of shufflenet_v2_x0_5",
    ),
    (["DATA.TEST_LIST", "train.csv"], [], "videos are in the training list and in the test list"),
    (["TEST.CHECKPOINT_FILE_PATH", "nowhere.pyth"], ["--clips"], "nowhere.pyth"),
    (["FEATURES.SAMPLING", "each"], [], "FEATURES.SAMPLING 'each' is not known"),
    (["FEATURES.CLASSIFIERS", "[svm]"], [], "FEATURES.CLASSIFIERS 'svm' is not known"),
]


@pytest.mark.parametrize(
    "pairs, arguments, message", WRONG, ids=lambda value: value[0] if isinstance(value, list) and value else ""
)
def test_wrong_input_is_one_line(demo, tmp_path, pairs, arguments, message):
    done = run_here(*demo, "OUTPUT_DIR", str(tmp_path), *pairs, tool="classify_features", arguments=tuple(arguments))
    assert done.returncode == 2 and message in done.stderr.splitlines()[-1]


# ------------------------------------------------------------------------------------------------------ real dark clips
def real(shared_clips, out) -> list[str]:
    lists = "DATA.TRAIN_LIST arid6_train.txt DATA.TEST_LIST arid6_test.txt DATA.CLASSES_FILE arid6_classes.txt".split()
    return [*lists, "DATA.PATH_TO_DATA_DIR", str(shared_clips), "OUTPUT_DIR", str(out)]


def test_tables_of_the_report_on_real_clips(shared_clips, tmp_path):
    pytest.importorskip("sklearn")
    budget = [*SMALL, "FEATURES.INTERVAL", "40", "FEATURES.NUM_FRAMES", "1"]
    done = run_here(*real(shared_clips, tmp_path), *budget, tool="classify_features", arguments=(*DARK, "--tables"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("24 videos, 0 from the cache, 24 computed") == 3  # gamma 3, random frames, gamma 1
    rows = json.loads((tmp_path / "tables.json").read_text())
    assert [row["table"][0] for row in rows] == list("1122333") and {row["test"]["total"] for row in rows} == {12}
    assert rows[0]["test"] == rows[2]["test"] == rows[6]["test"]  # the same settings three times
    assert "| linear SVC |" in (tmp_path / "tables.md").read_text()


def test_csn_on_real_clips(shared_clips, tmp_path):
    budget = "NUM_GPUS 0 DATA_LOADER.NUM_WORKERS 0 CSN.DEPTH 26 DATA.NUM_FRAMES 8 SOLVER.MAX_EPOCH 1 DATA.HOLD_OUT 0.25".split()
    done = run_here(
        *real(shared_clips, tmp_path), *budget, arguments=("--cfg", str(ROOT / "configs/arid/csn_har_dark.yaml"))
    )
    assert done.returncode == 0, done.stderr
    assert (
        "18 training and 6 validation videos" in done.stdout
        and "12 test videos, #Frame = 8 x 3 x 1: 3 forward passes" in done.stdout
    )
    assert "mean of softmax probabilities over the views" in done.stdout and "optimistic" not in done.stdout
    assert np.load(tmp_path / "scores.npz")["logits"].shape == (12, 3, 6)
