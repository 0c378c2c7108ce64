"""Tensors against golden entries: all numbers, or a probe of them."""

import numpy as np
import torch
from torch import Tensor


def assert_golden(actual: Tensor, expected: dict | list, *, tolerance: float = 2e-5) -> None:
    """max |difference| <= tolerance x standard deviation of the expected numbers (at least 5e-2 of their size).

    ``expected``: the numbers themselves, ``{shape, flat}``, or a probe ``{shape, mean, std, first8}`` with ``dot`` or
    ``strided16``.
    """
    found = actual.detach().cpu().double().contiguous().flatten()
    if isinstance(expected, list):
        expected = {"shape": list(np.shape(expected)), "flat": np.ravel(expected).tolist()}
    assert list(actual.shape) == expected["shape"]
    if "flat" in expected:
        wanted = torch.tensor(expected["flat"], dtype=torch.float64)
        std = wanted.std(correction=0)
    elif "strided16" in expected:
        some = found[:: max(found.numel() // 16, 1)][:16]
        found = torch.cat([torch.stack([found.mean(), found.std(correction=0)]), found[:8], some])
        numbers = [expected["mean"], expected["std"], *expected["first8"], *expected["strided16"]]
        wanted, std = torch.tensor(numbers, dtype=torch.float64), torch.tensor(expected["std"], dtype=torch.float64)
    else:
        along = torch.from_numpy(np.random.RandomState(99).standard_normal(found.numel()))
        dot = (found * along).sum() / found.numel() ** 0.5
        found = torch.stack([found.mean(), found.std(correction=0), dot, *found[:8]])
        wanted = torch.tensor(
            [expected["mean"], expected["std"], expected["dot"], *expected["first8"]], dtype=torch.float64
        )
        std = torch.tensor(expected["std"], dtype=torch.float64)
    scale = max(std.item(), 5e-2 * wanted.abs().max().item())
    worst = (found - wanted).abs().max().item()
    assert worst <= tolerance * scale, f"off by {worst / scale:.1e} of the standard deviation, allowed {tolerance:.0e}"
