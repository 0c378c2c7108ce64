"""The warning of clips that are far from MEAN: when it comes, when not, what it says."""

import types

import pytest
import torch
from conftest import ROOT

from fragrant.config import load_cfg
from fragrant.config.pixel_statistics import PIXEL_MEANS, PIXEL_STDS
from fragrant.data.transforms.build import prepared_streams
from fragrant.data.transforms.gamma import middle_gamma
from fragrant.engine.far_mean import BATCHES, FAR, MeanWatch
from fragrant.engine.training import watched_preparation
from fragrant.layers.normalize import ClipNormalize

DEMO = ([0.069] * 3, [0.038] * 3)


def told(value: int, *normalizations: ClipNormalize, batches: int = 2, calls: int = 5) -> list[str]:
    """What is said of ``calls`` batches of clips of one brightness."""
    said: list[str] = []

    def prepare(clips, ids, epoch):
        return torch.cat([normalize(clips) for normalize in normalizations], 1)

    watch = MeanWatch(prepare, normalizations, warn=said.append, batches=batches)
    clips = torch.full((4, 3, 2, 6, 6), value, dtype=torch.uint8)
    for _ in range(calls):
        assert torch.equal(watch(clips, [1, 2, 3, 4], 0), prepare(clips, [], 0))
    return said


def test_it_warns_once_with_the_numbers():
    (said,) = told(122, ClipNormalize(*DEMO))
    assert said.startswith(
        "the clips are far from DATA.MEAN: the pixels of the first 8 clips have the means [0.478, 0.478, 0.478], "
        "DATA.MEAN is [0.069, 0.069, 0.069]; normalised they are [10.8, 10.8, 10.8] on average"
    )
    assert "tools/check_data.py --statistics" in said


def test_it_waits_for_its_batches():
    assert told(122, ClipNormalize(*DEMO), batches=6, calls=5) == []


def test_it_names_the_channels_as_the_config_does():
    normalize = ClipNormalize([0.1, 0.4, 0.4], [0.1, 0.2, 0.2], reverse_channels=True)
    (said,) = told(128, normalize)
    assert "DATA.MEAN is [0.100, 0.400, 0.400]" in said and "means [0.502, 0.502, 0.502]" in said


def test_it_names_the_second_stream():
    fine, far = ClipNormalize([0.5] * 3, [0.2] * 3), ClipNormalize(*DEMO)
    (said,) = told(122, fine, far)
    assert said.startswith("the clips are far from DUAL.MEAN")
    assert len(told(122, far, far)) == 2


@pytest.mark.parametrize("name", ["imagenet", "kinetics"])
@pytest.mark.parametrize("value", [0, 18, 255])
def test_usual_values_never_warn(name, value):
    assert told(value, ClipNormalize(PIXEL_MEANS[name], PIXEL_STDS[name])) == []


def expected_of(cfg) -> torch.Tensor:
    """Mean pixels of ARID's clips after the config's gamma, about; standardised ones are 0.5."""
    return torch.tensor(PIXEL_MEANS["arid"]) ** (1 / middle_gamma(cfg.DATA.GAMMA))


@pytest.mark.parametrize("path", sorted((ROOT / "configs/arid").glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_for_the_dark_do_not_warn(path):
    cfg = load_cfg(path, [])
    off = (expected_of(cfg) - torch.tensor(cfg.DATA.MEAN)).abs() / torch.tensor(cfg.DATA.STD)
    # the one that repeats a published bug normalises to about 1500, and is told so
    assert (off.max() > FAR) == (path.stem == "csn_har_dark_literal")


@pytest.mark.parametrize(
    "pairs, watched",
    [
        ([], True),
        (["DATA.ENHANCE", "standardize"], False),
        (["MODEL.MODEL_NAME", "DGAM"], False),
        (["DATA.ENHANCE", "clahe"], True),
    ],
)
def test_who_is_watched(pairs, watched):
    cfg = load_cfg(None, ["NUM_GPUS", "0", *pairs])
    prepare = prepared_streams(cfg, torch.device("cpu"))
    job = types.SimpleNamespace(cfg=cfg, prepare=prepare, log=types.SimpleNamespace(warn=print))
    found = watched_preparation(job, num_batches=3)
    assert isinstance(found, MeanWatch) == watched
    assert not watched or found.batches == min(BATCHES, 3)


def test_other_processes_do_not_look(monkeypatch):
    monkeypatch.setattr("fragrant.engine.training.is_main", lambda: False)
    cfg = load_cfg(None, ["NUM_GPUS", "0"])
    job = types.SimpleNamespace(cfg=cfg, prepare=prepared_streams(cfg, torch.device("cpu")))
    assert not isinstance(watched_preparation(job, num_batches=3), MeanWatch)
