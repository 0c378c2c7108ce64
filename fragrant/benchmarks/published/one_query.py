"""Attention of one query over many tokens in the published order: keys and values of all tokens first."""

import torch.nn.functional as F
from torch import Tensor

from fragrant.layers.global_uniblock import OneQueryAttention


class PublishedOneQuery(OneQueryAttention):
    """What UniFormerV2's published global block computes by nn.MultiheadAttention, here by PyTorch's fused attention;
    parameters as of ``OneQueryAttention``."""

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        """(N, C), (N, L, C) -> (N, C)"""
        dim = query.shape[1]
        weight, bias = self.qkv.weight, self.qkv.bias
        q = F.linear(query[:, None], weight[:dim], bias[:dim]).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        kv = F.linear(tokens, weight[dim:], bias[dim:]).unflatten(2, (2, self.num_heads, -1))  # (N, L, 2, heads, d)
        k, v = (part.transpose(1, 2) for part in kv.unbind(2))
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(1))
