"""What the parts of a Video Swin put out, beside the probes of its golden files."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from fragrant.models.video_swin import VideoSwin


def assert_near(actual: Tensor, expected, scale: float, tolerance: float = 2e-5) -> None:
    expected = torch.as_tensor(expected, dtype=torch.float64)
    assert actual.shape == expected.shape
    worst = (actual.detach().double() - expected).abs().max().item()
    assert worst <= tolerance * scale, f"off by {worst / scale:.1e} of the scale"


def module_of(model: VideoSwin, name: str) -> nn.Module:
    """Our part for a published name; a published stage ends with the merging of patches."""
    if name == "patch_embed":
        return model.patch_embed
    if name == "backbone":
        return model.norm
    stage = int(name.split(".")[1])
    if ".blocks." in name:
        return model.features[2 * stage][int(name.split(".")[3])]
    return model.features[2 * stage + 1] if stage < 3 else model.features[6][-1]


def outputs_by_name(model: VideoSwin, names: Iterable[str], call: Callable):
    """What ``call()`` returns, without a gradient; by published name, what the parts put out meanwhile."""
    seen, hooks = {}, []
    for name in names:
        keep = lambda module, args, output, name=name: seen.__setitem__(name, output)  # noqa: E731
        hooks.append(module_of(model, name).register_forward_hook(keep))
    with torch.no_grad():
        result = call()
    for hook in hooks:
        hook.remove()
    return result, seen


def assert_probe(output: Tensor, wanted: dict, name: str) -> None:
    """``wanted``: {shape, mean, std, first8} of the published tensor, channels first."""
    output = output if list(output.shape) == wanted["shape"] else output.permute(0, 4, 1, 2, 3)
    assert list(output.shape) == wanted["shape"], name
    values = output.contiguous().flatten().double()
    found = torch.stack([values.mean(), values.std(correction=0), *values[:8]])
    assert_near(found, [wanted["mean"], wanted["std"], *wanted["first8"]], scale=max(wanted["std"], 1.0))
