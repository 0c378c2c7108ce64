"""A cached feature is found by exactly the settings and the video that it was made with, and by nothing else."""

import os

import numpy as np
import pytest

from fragrant.config import load_cfg
from fragrant.config.defaults import leaves
from fragrant.features.build import NO_MATTER, settings_of
from fragrant.features.cache import FeatureCache, FeatureError

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "a b.mp4"
    path.write_bytes(b"x" * 10)
    return str(path)


def test_what_was_written_is_read_and_readable(tmp_path, video):
    cache = FeatureCache(tmp_path / "cache", {"gamma": 3, "network": "resnet50"})
    path = cache.path(video)
    assert cache.read(path) is None
    cache.write(path, ROWS, video=video)
    assert np.array_equal(cache.read(path), ROWS)
    stored = np.load(path)  # no pickle inside
    assert str(stored["video"]) == video and str(stored["settings"]) == '{"gamma": 3, "network": "resnet50"}'
    assert [name.name for name in (tmp_path / "cache").iterdir()] == [path.name]  # nothing unfinished


def test_other_settings_videos_and_draws_have_other_files(tmp_path, video):
    cache = FeatureCache(tmp_path, {"gamma": 3})
    paths = {
        cache.path(video),
        cache.path(video, draw="1-0"),
        cache.path(video, draw="1-1"),
        FeatureCache(tmp_path, {"gamma": 1}).path(video),
    }
    os.utime(video, ns=(1, 1))
    paths.add(cache.path(video))  # changed since
    with open(video, "ab") as file:
        file.write(b"x")
    os.utime(video, ns=(1, 1))
    paths.add(cache.path(video))
    assert len(paths) == 6


def test_a_file_under_a_wrong_name_or_damaged_is_not_taken(tmp_path, video):
    one, other = FeatureCache(tmp_path, {"gamma": 3}), FeatureCache(tmp_path, {"gamma": 1})
    other.write(one.path(video), ROWS, video=video)
    assert one.read(one.path(video)) is None
    one.write(one.path(video), ROWS, video=video)
    content = one.path(video).read_bytes()
    for damaged in (b"", b"text", content[:-40], content[:100]):
        one.path(video).write_bytes(damaged)
        assert one.read(one.path(video)) is None


def test_a_folder_that_cannot_be_written(video):
    cache = FeatureCache("/dev/null/cache", {})
    with pytest.raises(FeatureError, match="FEATURES.CACHE_DIR '/dev/null/cache' cannot be written: Not a directory"):
        cache.write(cache.folder / "x.npz", ROWS, video=video)


# --------------------------------------------------------------------------------------------------------- all settings
def settings(*pairs, mode="frames", weights="random") -> dict:
    return settings_of(load_cfg(None, pairs), mode=mode, weights=weights)


MATTERS = """
    DATA.GAMMA [3] / DATA.GAMMA_IN test / DATA.ENHANCE clahe / DATA.MEAN arid / DATA.STD arid / DATA.NUM_FRAMES 4 / DATA.SAMPLING uniform
    DATA.SAMPLING_RATE 2 / DATA.TEST_CROP_SIZE 64 / DATA.REVERSE_INPUT_CHANNEL True / TEST.NUM_ENSEMBLE_VIEWS 1 / TEST.NUM_SPATIAL_CROPS 1
    DATA.CROP_ROUNDING mmaction / TEST.SHORT_SIDE 300 / FEATURES.NETWORK resnet18 / FEATURES.OUTPUT logits / FEATURES.SAMPLING random / FEATURES.INTERVAL 3
    FEATURES.NUM_FRAMES 6 / MODEL.MODEL_NAME CSN / CSN.DEPTH 50 / CSN.BOTTLENECK ip / RNG_SEED 7
"""


@pytest.mark.parametrize(
    "pair", [pair.strip() for line in MATTERS.splitlines() for pair in line.split("/") if pair.strip()]
)
def test_a_key_that_matters_changes_the_settings(pair):
    assert settings(*pair.split()) != settings()


def test_mode_and_weights_matter():
    assert len({str(settings()), str(settings(mode="clips")), str(settings(weights="file 0123"))}) == 3


def test_what_does_not_matter_keeps_the_features():
    pairs = (
        "OUTPUT_DIR x TRAIN.BATCH_SIZE 3 DATA_LOADER.NUM_WORKERS 1 DATA.TRAIN_LIST a.txt FEATURES.TUNE True "
        "FEATURES.SEEDS [1,2]"
    )
    assert settings(*pairs.split()) == settings()


@pytest.mark.parametrize("prefix", NO_MATTER)
def test_every_exception_names_a_key(prefix):
    assert any(key.startswith(prefix) for key in leaves(load_cfg(None)))
