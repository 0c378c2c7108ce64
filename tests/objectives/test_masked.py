"""Masked reconstruction: the loss against a plain twin, its keys, its messages."""

import pytest
import torch
from models_by_row import CLIP, MODELS_BY_ROW

from fragrant.config import default_cfg
from fragrant.errors import UserError
from fragrant.layers.patches import from_patches, normalized_patches, to_patches
from fragrant.layers.pixel_decoder import PixelDecoder
from fragrant.layers.tube_mask import draw_tubes
from fragrant.models import build_model
from fragrant.models.backbone import Masking
from fragrant.objectives import build_objective
from fragrant.objectives.masked import MaskedTubes, check_tubes, masked_loss


def objective(**options) -> MaskedTubes:
    torch.manual_seed(0)
    model = MODELS_BY_ROW["Uniformer"]()
    return MaskedTubes(model, PixelDecoder(model.num_features, model.masking.sees, width=16, depth=1), **options)


def clips_of(n: int) -> torch.Tensor:
    return torch.randn(n, *CLIP, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("normalize", [True, False])
def test_the_loss_is_that_of_a_plain_loop(normalize):
    pixels, clips = torch.randn(2, 3, 4, 32, 32), torch.randn(2, 3, 4, 32, 32)
    hidden = draw_tubes(2, 2, 2, 0.5, keys=["a", "b"]).hidden
    total = []
    for n in range(2):
        errors = []
        for frames in (slice(0, 2), slice(2, 4)):
            for row in range(2):
                for column in range(2):
                    if not hidden[n, row, column]:
                        continue
                    box = (n, slice(None), frames, slice(16 * row, 16 * row + 16), slice(16 * column, 16 * column + 16))
                    target = clips[box]
                    if normalize:
                        mean = target.mean((1, 2, 3), keepdim=True)
                        target = (target - mean) / (target.var((1, 2, 3), unbiased=False, keepdim=True) + 1e-6).sqrt()
                    errors.append((pixels[box] - target).square().mean())
        total.append(torch.stack(errors).mean())
    patches = hidden.flatten(1).repeat(1, 2)
    found = masked_loss(pixels, clips, patches, (2, 16, 16), normalize=normalize)
    torch.testing.assert_close(found, torch.stack(total))


def test_only_hidden_pixels_count():
    clips = clips_of(2)
    hidden = draw_tubes(2, 4, 4, 0.75, keys=["a", "b"])
    pixels = from_targets = normalized_clip(clips)
    noise = torch.where(hidden.on_grid(64, 64)[:, None, None], 0.0, 1.0) * torch.randn(clips.shape)
    patches = hidden.hidden.flatten(1).repeat(1, 2)
    assert masked_loss(pixels + noise, clips, patches, (2, 16, 16), normalize=True).max() < 1e-9
    assert masked_loss(from_targets + 1, clips, patches, (2, 16, 16), normalize=True).min() > 0.9


def normalized_clip(clips: torch.Tensor) -> torch.Tensor:
    return from_patches(normalized_patches(to_patches(clips, (2, 16, 16))), (2, 16, 16), (2, 4, 4))


def test_masks_follow_from_seed_epoch_and_video_alone():
    task, clips = objective(seed=5).eval(), clips_of(4)

    def loss(order: list[int], epoch: int, seed: int = 5) -> list[float]:
        task.seed = seed
        task.meet(order, epoch)
        keys, task.keys = task.keys, None
        return task.losses(clips[order], keys).tolist()

    with torch.no_grad():
        straight = loss([0, 1, 2, 3], 1)
        assert loss([3, 1], 1) == pytest.approx([straight[3], straight[1]], rel=1e-5)
        assert loss([0, 1, 2, 3], 2) != pytest.approx(straight, rel=1e-4)
        assert loss([0, 1, 2, 3], 1, seed=6) != pytest.approx(straight, rel=1e-4)


def test_two_clips_of_a_video_have_masks_of_their_own():
    task, clips = objective().eval(), clips_of(1).expand(2, -1, -1, -1, -1)
    with torch.no_grad():
        one, two = task.losses(clips, ["video"]).tolist()
    assert one != two


def test_validation_sees_the_same_in_every_epoch():
    task, clips = objective().eval(), clips_of(3)
    with torch.no_grad():
        rows = task.observe(clips, [7, 8, 9])
        assert torch.allclose(task.observe(clips[1:], [8, 9]), rows[1:], rtol=1e-5)
    assert rows.shape == (3, 1) and task.measure(rows) == {"loss": pytest.approx(rows.mean().item())}


def test_constant_clips_are_harmless():
    task = objective()
    out = task(torch.zeros(2, *CLIP), torch.zeros(2))
    out.loss.backward()
    assert out.loss.isfinite() and all(p.grad is None or p.grad.isfinite().all() for p in task.parameters())


def test_low_precision_learns_from_float32_targets():
    task = objective()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = task(clips_of(2), torch.zeros(2))
    assert out.loss.dtype == torch.float32 and out.loss.isfinite()


def test_it_learns():
    """Stripes that go on behind what hides them: after a few steps the loss is well below that of a guess, 1."""
    task = objective(tube_size=16, ratio=0.5).train()
    stripes = torch.sin(torch.arange(64) * 0.8).expand(4, *CLIP).contiguous()
    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        loss = task(stripes, torch.zeros(4)).loss
        loss.backward()
        optimizer.step()
    assert loss < 0.5


SWIN = Masking(4, (2, 32, 32), 96)
WRONG = [
    (dict(tube_size=6, frames=4, height=64, width=64), "PRETRAIN.TUBE_SIZE 6 must be a multiple of 4"),
    (dict(tube_size=24, frames=4, height=64, width=64), "does not divide clips of 4 frames of 64 x 64"),
    (dict(tube_size=64, frames=4, height=64, width=64), "leaves one tube"),
    (dict(tube_size=16, frames=5, height=64, width=64), "stands for 2 x 32 x 32 of them; allowed: multiples in"),
    (dict(tube_size=16, frames=4, height=48, width=48), "stands for 2 x 32 x 32 of them; allowed: multiples in"),
]


@pytest.mark.parametrize("sizes, message", WRONG)
def test_tubes_that_do_not_fit(sizes, message):
    with pytest.raises(UserError, match=message):
        check_tubes(SWIN, sizes.pop("tube_size"), **sizes)


def test_a_network_that_cannot_be_masked_names_those_that_can():
    cfg = default_cfg()
    cfg.MODEL.MODEL_NAME, cfg.DATA.INPUT_CHANNEL_NUM, cfg.TRAIN.OBJECTIVE = "TSM", [3], "masked"
    with pytest.raises(
        UserError,
        match="hidden from TSM; allowed: Fragrant, FragrantV2, UniFormerV2, Uniformer, VideoSwin, VisionTransformer",
    ):
        build_objective(cfg, build_model(cfg))
