"""Models as the golden files describe them."""

from functools import lru_cache

import torch
from conftest import fill_v1, golden
from torch import Tensor, nn

from fragrant.models.uniformer import UniFormer

FORMATS = {"contiguous": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}


def published_model(build: dict, kind: type[UniFormer] = UniFormer, **options) -> UniFormer:
    """The model of a golden file's ``build`` entry."""
    return kind(
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


def outputs_by_name(model: nn.Module, names, clips: Tensor) -> dict[str, Tensor]:
    """The logits, the outputs of the named modules ("name#2": of its second call), and what enters the head
    ("head_in")."""
    seen, hooks = {}, []

    def remember(name: str, output: Tensor) -> None:
        calls = sum(key.split("#")[0] == name for key in seen)
        seen[f"{name}#{calls + 1}" if calls else name] = output

    for name in {name.split("#")[0] for name in names} - {"head_in"}:
        module = model.get_submodule(name)
        hooks.append(module.register_forward_hook(lambda module, args, output, name=name: remember(name, output)))
    hooks.append(model.head.register_forward_pre_hook(lambda module, args: remember("head_in", args[0])))
    with torch.no_grad():
        seen["logits"] = model(clips)
    for hook in hooks:
        hook.remove()
    return seen


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
