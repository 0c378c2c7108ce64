"""The inputs and the weights of DGAM's golden files, made as their recipes say."""

import math
from pathlib import Path

import numpy as np
import torch
from conftest import fill_v1, golden
from torch import Tensor

MEAN, STD = (
    np.array(values, np.float32).reshape(1, 3, 1, 1, 1)
    for values in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
)
BY_PLACE = {  # what stands at place i of the tensor
    "edge_bins": lambda i: (i % 257) / 256,
    "constant": lambda i: np.full(i.shape, 0.5),
    "two_values": lambda i: (i % 3 == 0).astype(float),
}


def dgam_input(seed: int, shape: list[int], dist: str) -> Tensor:
    """(N, 3, T, H, W), views (N, V, 3, T, H, W) folded into the batch."""
    shape = (shape[0] * shape[1], *shape[2:]) if len(shape) == 6 else tuple(shape)
    if dist in BY_PLACE:
        values = BY_PLACE[dist](np.arange(math.prod(shape))).reshape(shape)
    elif dist == "dark_u8":
        u, scale = (
            np.random.RandomState(seed).random_sample(shape),
            np.random.RandomState(seed + 1).random_sample((shape[0], 1, 1, 1, 1)),
        )
        values = (np.floor(255 * (0.05 + 0.95 * scale) * u * u * u).astype(np.float32) - MEAN) / STD
    else:
        values = np.random.RandomState(seed).standard_normal(shape)
        if dist == "frames":
            rng, per_frame = np.random.RandomState(seed + 1), (shape[0], 1, shape[2], 1, 1)
            contrast = 0.05 + 2.5 * rng.random_sample(per_frame)
            values = contrast * values + (4 * rng.random_sample(per_frame) - 2)
    return torch.from_numpy(values.astype(np.float32))


def published_state(name: str) -> dict[str, Tensor]:
    """The weights of a golden file under the published names; whole numbers, which the recipe leaves as built, are left
    out."""
    expected = golden(f"dgam/{name}")
    state = {key: value for key, value in fill_v1(expected["state"]).items() if value.is_floating_point()}
    return state | {key: torch.tensor(value) for key, value in expected["override"].items()}


def published_file(path: Path, name: str) -> None:
    """A checkpoint as ELLAR's code writes it, with everything that it has; window (8, 7, 7)."""
    state = fill_v1(golden(f"dgam/{name}")["state"])
    places = torch.cartesian_prod(*map(torch.arange, (8, 7, 7)))
    index = (places[:, None] - places + torch.tensor([7, 6, 6])) @ torch.tensor([13 * 13, 13, 1])
    state |= {key: index for key in state if key.endswith("relative_position_index")}
    torch.save({"meta": {"epoch": 100}, "state_dict": state | published_state(name)}, path)
