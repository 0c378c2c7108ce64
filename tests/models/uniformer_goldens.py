"""Models as the golden files describe them."""

from functools import lru_cache

import torch
from conftest import fill_v1, golden
from torch import Tensor

from fragrant.models.uniformer import UniFormer

TINY = dict(num_classes=5, embed_dim=(8, 16, 32, 32), depth=(1, 2, 1, 2), head_dim=16, drop_path_rate=0.0)


def published_model(build: dict, **options) -> UniFormer:
    """The model of a golden file's ``build`` entry."""
    return UniFormer(
        num_classes=build["NUM_CLASSES"],
        in_channels=build["INPUT_CHANNEL_NUM"][0],
        embed_dim=build["EMBED_DIM"],
        depth=build["DEPTH"],
        head_dim=build["HEAD_DIM"],
        mlp_ratio=build["MLP_RATIO"],
        qkv_bias=build["QKV_BIAS"],
        qk_scale=build["QKV_SCALE"],
        split=build["SPLIT"],
        std=build["STD"],
        **options,
    ).eval()


@lru_cache(maxsize=2)  # a fill takes half a second and up to 200 MB
def published_state(name: str) -> dict[str, Tensor]:
    return fill_v1(golden(f"uniformer/{name}")["state"])


def assert_close(actual: Tensor, expected, *, std: float, tolerance: float = 2e-5) -> None:
    """max |difference| <= tolerance x std, as shared with the golden files."""
    expected = torch.as_tensor(expected)
    assert actual.shape == expected.shape
    worst = (actual.detach().double() - expected.double()).abs().max().item()
    assert worst <= tolerance * std, f"off by {worst / std:.1e} x std, allowed {tolerance:.0e}"


def assert_probe(tensor: Tensor, probe: dict, *, tolerance: float = 2e-5) -> None:
    """Shape, mean, standard deviation and first numbers of a tensor."""
    assert list(tensor.shape) == probe["shape"]
    values = tensor.detach().contiguous().flatten().double()
    found = torch.stack([values.mean(), values.std(correction=0), *values[:8]])
    assert_close(found, [probe["mean"], probe["std"], *probe["first8"]], std=probe["std"], tolerance=tolerance)
