"""What a model's parts cost: sums are the model's, and what is kept for the backward pass is what a real one keeps."""

import pytest
import torch
from torch import nn

from fragrant.models.complexity import measure
from fragrant.models.fragrant import Fragrant
from fragrant.models.uniformer import UniFormer
from fragrant.profile.stages import _forward, stages

SHAPE = (3, 4, 32, 32)


def small(**options) -> UniFormer:
    return UniFormer(
        num_classes=5, embed_dim=(8, 8, 16, 16), depth=(1, 2, 2, 1), head_dim=8, drop_path_rate=0.0, **options
    )


def test_the_sums_are_the_models():
    complexity = measure(small(), SHAPE)
    parts = stages(small(), SHAPE)
    assert sum(part.parameters for part in parts) == complexity.parameters
    assert abs(sum(part.gmacs for part in parts) - complexity.gmacs) < 1e-12
    assert all(part.gmacs > 0 for part in parts if part.name.startswith(("blocks", "patch", "head")))


def test_parts_come_in_the_order_of_use_with_their_outputs():
    parts = {part.name: part.output for part in stages(small(), SHAPE)}
    assert list(parts)[:4] == ["patch_embed1", "pos_drop", "blocks1", "patch_embed2"] and list(parts)[-2:] == [
        "norm",
        "head",
    ]
    assert parts["blocks2"] == (8, 2, 4, 4) and parts["norm"] == (16, 2, 1, 1) and parts["head"] == (5,)


def small_fragrant() -> Fragrant:
    return Fragrant(
        num_classes=5,
        embed_dim=(8, 8, 16, 16),
        depth=(1, 1, 1, 1),
        head_dim=8,
        ram={"heads": 2, "kernel_size": (3, 3, 3)},
    )


@pytest.mark.parametrize("make", [small, small_fragrant])
def test_what_is_kept_is_what_a_real_forward_pass_keeps(make):
    """On the meta device nothing is computed; a real pass with PyTorch's own attention keeps the same bytes.

    Its last map, 5 x 5 x 5, is as large as the filters: the CPU would keep padded copies of smaller ones.
    """
    model, shape = make().train(), (3, 10, 160, 160)
    names = [name for name, _ in model.named_children()]
    kept = {part.name: part.kept_bytes for part in stages(make(), shape)}
    attention = torch.nn.functional.scaled_dot_product_attention
    real, _ = _forward(model, torch.zeros(1, *shape), names, attention=attention)
    assert {name: kept[name] for name in names} == {name: real.get(name, 0) for name in names}
    assert kept["blocks3"] > 5_000


def test_recomputed_blocks_keep_less():
    models = small(), small(recompute_blocks=(0, 0, 2, 0))
    kept, less = ({part.name: part.kept_bytes for part in stages(model, SHAPE)} for model in models)
    assert less["blocks3"] < kept["blocks3"] / 4 and less["blocks2"] == kept["blocks2"]


class Loose(nn.Module):
    """A parameter and an operation that belong to no part."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.unused = nn.Linear(2, 2)
        self.linear = nn.Linear(3, 5)

    def forward(self, clips):
        """(N, C, T, H, W) -> (N, 5)"""
        return self.linear(clips.mean((2, 3, 4)) * self.scale)


def test_what_belongs_to_no_part_is_the_rest():
    parts = {part.name: part for part in stages(Loose(), SHAPE)}
    assert list(parts) == ["linear", "unused", "(rest)"]
    assert parts["(rest)"].parameters == 3 and parts["unused"].parameters == 6 and parts["unused"].kept_bytes == 0
