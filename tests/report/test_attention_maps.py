"""Attention maps are the blocks' own attention weights at the places where they belong."""

import pytest
import torch

from fragrant.models.uniformer import UniFormer
from fragrant.report.attention_maps import attention_maps
from fragrant.report.maps import MapError

SMALL = dict(num_classes=5, embed_dim=(8, 16, 32, 32), depth=(1, 1, 2, 1), head_dim=16)


@pytest.fixture
def model() -> UniFormer:
    torch.manual_seed(0)
    return UniFormer(**SMALL).eval()


@pytest.fixture
def clip() -> torch.Tensor:
    return torch.randn(1, 3, 4, 64, 96, generator=torch.Generator().manual_seed(1))


def test_weights_are_those_that_forward_uses(model):
    attention = model.blocks3[0].attn
    x = torch.randn(2, 6, 32)
    weights = attention.weights(x)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 6))
    mixed = (weights @ attention.queries_keys_values(x)[2]).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention.proj(mixed), attention(x))


def test_the_last_block_by_default(model, clip):
    seen = []
    hook = model.blocks4[0].attn.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    (map_,) = attention_maps(model, clip)
    hook.remove()
    assert map_.title == "blocks4.0: attention of all places, times its even share" and map_.values.shape == (2, 2, 3)
    wanted = model.blocks4[0].attn.weights(seen[0])[0].mean((0, 1)) * 12  # (L,): what each token gets
    torch.testing.assert_close(map_.values.flatten(), wanted)
    assert map_.values.mean().item() == pytest.approx(1)


def test_of_one_place_and_of_all_blocks_of_a_stage(model, clip):
    first, second = attention_maps(model, clip, layer="blocks3", at=(1, 0.3, 0))
    assert (
        first.title == "blocks3.0: attention of frame 2, row 2, column 1, times its even share"
        and "blocks3.1" in second.title
    )
    seen = []
    model.blocks3[0].attn.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    (again,) = attention_maps(model, clip, layer="blocks3.0", at=(1, 0.3, 0))
    row = model.blocks3[0].attn.weights(seen[0])[0].mean(0)[1 * 4 * 6 + 1 * 6 + 0]  # 2 x 4 x 6 places
    torch.testing.assert_close(again.values, row.unflatten(0, (2, 4, 6)) * 48)


def test_what_cannot_be_shown(model, clip):
    with pytest.raises(
        MapError, match="layer 'blocks1' has no attention over space and time; there is blocks3.0, blocks3.1, blocks4.0"
    ):
        attention_maps(model, clip, layer="blocks1")
    with pytest.raises(MapError, match=r"place \(2, 0, 0\) is outside of the clip"):
        attention_maps(model, clip, at=(2, 0, 0))
    with pytest.raises(MapError, match="UniFormer has no AttentionBlock to look at; take grad-cam"):
        attention_maps(UniFormer(**SMALL, split=True), clip)
