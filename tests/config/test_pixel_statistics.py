"""Means and deviations by name."""

import pytest

from fragrant.config import dump_cfg, load_cfg
from fragrant.config.pixel_statistics import PIXEL_MEANS, PIXEL_STDS


def test_every_name_has_both():
    assert list(PIXEL_MEANS) == list(PIXEL_STDS) == ["imagenet", "kinetics", "arid", "arid_v15", "infar"]


@pytest.mark.parametrize("name", PIXEL_MEANS)
def test_a_name_becomes_its_numbers(name, tmp_path):
    """The config that a run writes has the numbers, so that a later change of the table does not change it."""
    (tmp_path / "run.yaml").write_text(f"DATA:\n  MEAN: {name}\n")
    cfg = load_cfg(tmp_path / "run.yaml", ["DATA.STD", name])
    assert (cfg.DATA.MEAN, cfg.DATA.STD) == (PIXEL_MEANS[name], PIXEL_STDS[name])
    assert name not in dump_cfg(cfg)[dump_cfg(cfg).index("MEAN") :].split("GAMMA")[0]
    assert all(0 < value < 1 for value in cfg.DATA.MEAN + cfg.DATA.STD)


def test_published_numbers():
    assert PIXEL_MEANS["arid"] == [0.079612, 0.073888, 0.072454] and PIXEL_STDS["arid_v15"][2] == 0.0695390
    assert 255 * PIXEL_MEANS["imagenet"][0] == pytest.approx(123.675) and 255 * PIXEL_STDS["imagenet"][
        2
    ] == pytest.approx(57.375)
