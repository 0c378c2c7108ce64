"""Attention written out: softmax(q k^T * scale) v per head."""

import pytest
import torch

from fragrant.layers.attention import Attention


def written_out(attention: Attention, x: torch.Tensor, scale: float) -> torch.Tensor:
    batch, length, dim = x.shape
    # (N, heads, L, d)
    q, k, v = attention.qkv(x).reshape(batch, length, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    weights = (q @ k.transpose(-2, -1) * scale).softmax(-1)
    return attention.proj((weights @ v).transpose(1, 2).reshape(batch, length, dim))


@pytest.mark.parametrize("qk_scale, scale", [(None, 8**-0.5), (0, 8**-0.5), (0.3, 0.3)])
@pytest.mark.parametrize("qkv_bias", [True, False])
def test_attention_is_softmax_of_the_scaled_products(qk_scale, scale, qkv_bias):
    torch.manual_seed(0)
    attention = Attention(24, num_heads=3, qk_scale=qk_scale, qkv_bias=qkv_bias)
    x = torch.randn(2, 11, 24)
    torch.testing.assert_close(attention(x), written_out(attention, x, scale), rtol=1e-5, atol=1e-6)


def test_dropouts_work_in_training_only():
    torch.manual_seed(0)
    x = torch.randn(2, 11, 24)
    for rates in (dict(attention_dropout=0.5), dict(dropout=0.5)):
        attention = Attention(24, num_heads=3, **rates)
        assert not torch.equal(attention(x), attention(x))
        attention.eval()
        assert torch.equal(attention(x), attention(x))
        torch.testing.assert_close(attention(x), written_out(attention, x, 8**-0.5), rtol=1e-5, atol=1e-6)
