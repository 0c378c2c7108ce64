"""What is hidden from a network stays hidden: no number of what it predicts depends on a hidden pixel."""

import pytest
import torch
from models_by_row import CLIP, MODELS_BY_ROW, name_of

from fragrant.layers.pixel_decoder import PixelDecoder
from fragrant.layers.tube_mask import draw_tubes
from fragrant.models import MODELS
from fragrant.models.backbone import Backbone
from fragrant.models.build import names_with
from fragrant.objectives.masked import MaskedTubes

CAN_BE_MASKED = ("Fragrant", "FragrantV2", "UniFormerV2", "Uniformer", "VideoSwin", "VisionTransformer")
MASKABLE = [row for row in MODELS_BY_ROW if name_of(row) in CAN_BE_MASKED]
FAST = [
    pytest.param(row, marks=[pytest.mark.slow] * (row.split(":")[-1] in ("split", "std", "comments")))
    for row in MASKABLE
]
KEYS = ["a", "b"]


def masked(row: str, depth: int = 1) -> MaskedTubes:
    torch.manual_seed(0)
    model = MODELS_BY_ROW[row]()
    model.head = torch.nn.Identity()
    decoder = PixelDecoder(model.num_features, model.masking.sees, width=16, depth=depth)
    return MaskedTubes(model, decoder, ratio=0.75, tube_size=16)


def some_clips() -> torch.Tensor:
    return torch.randn(2, *CLIP, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("row", FAST)
def test_hidden_pixels_change_nothing(row, training):
    objective, clips = masked(row).train(training), some_clips()
    mask = draw_tubes(2, 4, 4, 0.75, keys=KEYS)
    hidden = mask.on_grid(*CLIP[2:])[:, None, None].expand_as(clips)
    other = torch.where(hidden, 100 * torch.randn(clips.shape), clips)
    with torch.no_grad():
        before, after = objective.paint(clips, mask), objective.paint(other, mask)
        visible = objective.paint(torch.where(hidden, clips, clips + 0.1 * torch.randn(clips.shape)), mask)
    assert before.shape == clips.shape and torch.equal(before, after)
    assert not torch.allclose(before, visible)  # what is not hidden counts


@pytest.mark.parametrize("row", FAST)
def test_no_gradient_reaches_a_hidden_pixel(row):
    objective, clips = masked(row, depth=0).train(), some_clips().requires_grad_()
    mask = draw_tubes(2, 4, 4, 0.75, keys=KEYS)
    objective.paint(clips, mask).square().sum().backward()
    hidden = mask.on_grid(*CLIP[2:])[:, None, None].expand_as(clips)
    assert not clips.grad[hidden].any() and clips.grad[~hidden].abs().sum() > 0


@pytest.mark.parametrize("row", [row for row in MASKABLE if ":" not in row])
def test_every_parameter_learns(row):
    objective, clips = masked(row).train(), some_clips()
    objective(clips, torch.full((2,), -1)).loss.backward()
    without = [name for name, parameter in objective.named_parameters() if parameter.grad is None]
    assert not without
    assert objective.token.grad.abs().sum() > 0


def test_the_encoder_of_a_transformer_works_on_visible_tokens_alone():
    objective, seen = masked("VisionTransformer:learned"), []
    objective.model.blocks[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape[1]))
    objective(some_clips(), torch.zeros(2))
    assert seen == [2 * 8 * 8 // 4]


def test_hidden_places_hold_the_token_behind_a_transformer():
    objective, clips = masked("VisionTransformer").eval(), some_clips()
    mask = draw_tubes(2, 4, 4, 0.75, keys=KEYS)
    features = objective.model.forward_masked(clips, mask, objective.token)  # (N, D, 2, 4, 4)
    hidden = mask.hidden[:, None].expand(-1, 2, -1, -1)
    places = features.permute(0, 2, 3, 4, 1)
    assert torch.equal(places[hidden], objective.token.expand(hidden.sum(), -1))
    one = objective.model.eval()(clips)  # nothing hidden: forward_masked with all visible is forward_features
    assert one.shape == (2, 24)


@pytest.mark.parametrize("row", FAST)
def test_with_nothing_hidden_it_is_the_feature_map(row):
    clips, mask = some_clips(), draw_tubes(2, 4, 4, 0.75, keys=KEYS)
    model: Backbone = MODELS_BY_ROW[row]().eval()
    nothing = mask._replace(hidden=torch.zeros_like(mask.hidden), num_visible=16)
    token = torch.zeros(model.masking.token_width)
    torch.testing.assert_close(model.forward_masked(clips, nothing, token), model.forward_features(clips))


def test_the_networks_that_can_be_masked_are_found_by_what_they_write():
    assert names_with("forward_masked") == sorted({name_of(row) for row in MASKABLE})
    assert set(names_with("forward_masked")) < set(MODELS.names())
    assert MODELS_BY_ROW["TSM"]().masking is None
