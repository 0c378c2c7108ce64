"""Precise BatchNorm: the running statistics become the mean over batches, nothing else changes."""

import torch
from torch import nn

from fragrant.data.clips import Batch
from fragrant.engine.precise_bn import update_batch_norm


def test_statistics_are_the_mean_over_the_batches():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4)).train()
    weights = [parameter.clone() for parameter in model.parameters()]
    zeros = torch.zeros(2)
    batches = [
        Batch(torch.randint(0, 256, (2, 1, 3, 2, 4, 4), dtype=torch.uint8), zeros, zeros, zeros, zeros[:, None])
        for _ in range(4)
    ]
    prepare = lambda clips: clips.float() / 255  # noqa: E731
    update_batch_norm(model, batches, prepare, torch.device("cpu"), num_batches=3)
    with torch.no_grad():
        # (4, n)
        maps = [model[0](prepare(batch.clips.flatten(0, 1))).transpose(0, 1).flatten(1) for batch in batches[:3]]
    torch.testing.assert_close(model[1].running_mean, torch.stack([m.mean(1) for m in maps]).mean(0))
    # of all positions of all batches together: the running estimate is of single batches
    torch.testing.assert_close(model[1].running_var, torch.cat(maps, 1).var(1, correction=0), rtol=1e-2, atol=0)
    assert not torch.allclose(model[1].running_var, torch.stack([m.var(1) for m in maps]).mean(0), rtol=1e-5, atol=0)
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True)) and model.training
