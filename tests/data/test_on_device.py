"""Clips made on the device: the numbers of those that workers make, through the forms that a GPU takes.

Without a GPU these forms run on the CPU, where numpy is then taken away from them.
"""

import random

import pytest
import torch
from tiny import TINY, run_here

from fragrant.checkpoint import best_path
from fragrant.config import load_cfg
from fragrant.data import build_loader
from fragrant.data.clips import Batch, FrameBatch
from fragrant.data.transforms import colors, enhance, view_transforms, warp
from fragrant.data.transforms.color_jitter import ColorJitter
from fragrant.data.transforms.randaugment import OPERATIONS, Drawn, apply, argument_of
from fragrant.data.transforms.view_transforms import EvaluationTransform, TrainTransform
from fragrant.scores.table import load_table

SMALL = 64 * 256  # numbers of a table, which may be made on the host

AUGMENTED = """
    AUG.ENABLE True AUG.AA_TYPE rand-m7-n4-mstd0.5-inc1 AUG.NUM_SAMPLE 2 AUG.BRI_CON_SAT [0.4,0.4,0.4] AUG.HUE 0.1
    DATA.ENHANCE clahe DATA.GAMMA [1.5,3.0]
""".split()


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """The operations take their forms for a device; ``.numpy()`` of pixels fails as on one."""

    def numpy(tensor, *args, **options):
        assert tensor.numel() <= SMALL, "pixels of a GPU have no numpy"
        return plain(tensor, *args, **options)

    def switch() -> None:
        for module in (colors, view_transforms, warp):
            monkeypatch.setattr(module, "on_host", lambda tensor: tensor.numel() <= 256)
        monkeypatch.setattr(torch.Tensor, "numpy", numpy)

    plain = torch.Tensor.numpy
    return switch


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    """(T, H, W, C): a dark gradient with noise."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 40, (5, 46, 61, 3), generator=generator)
    return (noise + torch.arange(61).view(1, 1, -1, 1) * 3).to(torch.uint8)


@pytest.mark.parametrize("magnitude", [2.0, 7.3])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(frames, as_on_a_gpu, name, interpolation, magnitude):
    drawn = [Drawn(name, argument_of(name, magnitude, -1, rising=True), interpolation)]
    wanted = apply(frames, drawn)
    as_on_a_gpu()
    assert torch.equal(apply(frames, drawn), wanted)


@pytest.mark.parametrize("name", enhance.ENHANCEMENTS.names())
def test_enhancements(frames, as_on_a_gpu, name):
    wanted = enhance.enhancement_of(name)(frames)
    as_on_a_gpu()
    assert torch.equal(enhance.enhancement_of(name)(frames), wanted)


TRANSFORMS = {
    "test": EvaluationTransform(crop_size=32, short_side=36, gamma=2.2, enhance=enhance.enhancement_of("equalize")),
    "test in float32": EvaluationTransform(crop_size=32, short_side=36, dtype=torch.float32),
    "train": TrainTransform(crop_size=32, jitter_scales=(36, 60), gamma=(1.5, 3.0)),
    "resized crop": TrainTransform(crop_size=32, jitter_scales=(36, 60), areas=(0.1, 1.0), aspects=(0.75, 1.33)),
    "jitter": TrainTransform(
        crop_size=32,
        jitter_scales=(36, 60),
        augment=[ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)],
    ),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(frames, as_on_a_gpu, name):
    transform = TRANSFORMS[name]

    def made() -> torch.Tensor:
        return transform(transform.prepare(frames), 0.5 if "test" in name else None, random.Random(3))

    wanted = made()
    as_on_a_gpu()
    spread = wanted.float().std()
    assert ((made().float() - wanted.float()).abs().max() <= 1e-4 * spread) and wanted.shape == (5, 32, 32, 3)


MOVING = {"Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY", "Sharpness", "Color", "Contrast", "Brightness"}


@pytest.mark.cuda
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_on_a_gpu(frames, name):
    """Whole numbers are the same; a GPU may fuse the products and sums of the others, which are cut off to whole ones."""
    drawn = [Drawn(name, argument_of(name, 7.3, -1, rising=True), "bicubic")]
    found, wanted = apply(frames.cuda(), drawn).cpu(), apply(frames, drawn)
    off = (found.int() - wanted.int()).abs()
    assert off.max() <= (1 if name in MOVING else 0) and (off > 0).float().mean() < 0.01


@pytest.mark.cuda
@pytest.mark.parametrize("name", enhance.ENHANCEMENTS.names())
def test_enhancements_on_a_gpu(frames, name):
    made = enhance.enhancement_of(name)
    assert torch.equal(made(frames.cuda()).cpu(), made(frames))


@pytest.mark.cuda
def test_float_views_on_a_gpu(frames):
    transform = TRANSFORMS["test in float32"]
    on_gpu, wanted = (transform(transform.prepare(f), 0.5, random.Random(3)) for f in (frames.cuda(), frames))
    assert (on_gpu.cpu() - wanted).abs().max() <= 1e-4 * wanted.std()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "set"


def batches(demo, split: str, where: str, workers: int = 0) -> list[Batch]:
    pairs = [*TINY, *AUGMENTED, "DATA.PATH_TO_DATA_DIR", str(demo), "DATA.TRANSFORM_ON", where]
    cfg = load_cfg(None, [*pairs, "DATA_LOADER.NUM_WORKERS", str(workers)])
    loaded = list(build_loader(cfg, split))
    assert all(isinstance(batch, FrameBatch if where == "device" else Batch) for batch in loaded)
    return [batch.to(torch.device("cpu")) for batch in loaded]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_batches_are_those_of_the_workers(demo, split, workers):
    wanted = batches(demo, split, "cpu")
    found = batches(demo, split, "device", workers)
    assert len(found) == len(wanted) > 1
    for one, other in zip(found, wanted, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))
        assert torch.equal(one.views, other.views) and one.luma.isnan().equal(other.luma.isnan())
        assert one.clips.stride() == other.clips.stride()


def test_a_run_is_the_same(demo, tmp_path):
    runs = []
    for where in ("cpu", "device"):
        folder = tmp_path / where
        pairs = [*TINY, *AUGMENTED, "DATA.PATH_TO_DATA_DIR", demo, "DATA.TRANSFORM_ON", where, "OUTPUT_DIR", folder]
        done = run_here(*pairs, "SOLVER.MAX_EPOCH", "1", "BN.USE_PRECISE_STATS", "True")
        assert done.returncode == 0, done.stderr
        runs.append((load_table(folder / "scores.npz").logits, torch.load(best_path(folder))["model_state"]))
    (logits, weights), (other_logits, other_weights) = runs
    assert torch.equal(logits, other_logits)
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)


def test_frames_travel_where_they_are_not_more_than_twice_the_clips(demo):
    """Frames of 48 x 64 against clips of 32 x 32: three times the bytes of one, once those of three crops."""
    cfg = load_cfg(None, [*TINY, "DATA.PATH_TO_DATA_DIR", str(demo), "DATA.TRANSFORM_ON", "auto"])
    for split, is_handed_over in (("val", False), ("test", True)):
        loader = build_loader(cfg, split)
        loader.dataset.hand_over = 2 * 3 * 4 * 32 * 32
        assert all(isinstance(batch, FrameBatch) == is_handed_over for batch in loader)


def test_another_word_is_refused(demo):
    done = run_here(*TINY, "DATA.TRANSFORM_ON", "gpu")
    assert done.returncode == 2 and "DATA.TRANSFORM_ON" in done.stderr and done.stderr.count("\n") == 1
