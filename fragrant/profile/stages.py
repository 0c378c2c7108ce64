"""A model's parameters, multiply-adds and activation memory by part."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fragrant.layers.fused_attention import AttentionAs
from fragrant.models.complexity import count_macs


class Stage(NamedTuple):
    name: str
    parameters: int
    gmacs: float  # 1e9 multiply-adds per clip
    kept_bytes: int  # tensors that the backward pass of one clip needs, parameters not among them
    output: tuple[int, ...] | None  # shape after the part, without the clip dimension; None where it returns no tensor


class _FusedAttention(torch.autograd.Function):
    """Attention that keeps what the fused kernel keeps: on the meta device PyTorch takes the plain form, whose
    attention matrices a real run never stores."""

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        *batch, heads, length, _ = q.shape
        # the kernels' layout: joining the heads copies nothing
        out = q.new_empty(*batch, length, heads, v.shape[-1]).transpose(-3, -2)
        # the last: log of the softmax's sums
        ctx.save_for_backward(q, k, v, out, q.new_empty(q.shape[:-1], dtype=torch.float32))
        return out


def _fused_attention(q: Tensor, k: Tensor, v: Tensor, *_, **__) -> Tensor:
    return _FusedAttention.apply(q, k, v)


def stages(model: nn.Module, clip_shape: Sequence[int]) -> list[Stage]:
    """Measures a model by part: one row per direct child in the order of use, what belongs to none last as "(rest)";
    the rows add up to the model.

    Costs one forward pass for the multiply-adds; what is kept is counted on PyTorch's meta device, where nothing is
    computed. The model is moved there and is of no further use."""
    macs = count_macs(model, clip_shape).by_module()
    model = model.to("meta").train()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    parts = [name for name, _ in model.named_children()]
    kept, outputs = _forward(model, torch.zeros(1, *clip_shape, device="meta"), parts)
    rows = []
    for name in sorted(parts, key=lambda part: list(outputs).index(part) if part in outputs else len(parts)):
        child = model.get_submodule(name)
        parameters = sum(parameter.numel() for parameter in child.parameters())
        rows.append(Stage(name, parameters, _of_part(macs, name) / 1e9, kept.get(name, 0), outputs.get(name)))
    rest = Stage(
        "(rest)",
        sum(parameter.numel() for parameter in model.parameters()) - sum(row.parameters for row in rows),
        macs[""] / 1e9 - sum(row.gmacs for row in rows),
        kept.get("", 0),
        None,
    )
    return rows + [rest] if rest.parameters or rest.gmacs > 1e-6 or rest.kept_bytes else rows


def _of_part(macs: dict[str, int], name: str) -> int:
    """Multiply-adds of a part: of a module that is called itself, or of the entries of a list, which is not."""
    if macs.get(name):
        return macs[name]
    depth = name.count(".") + 1
    return sum(count for other, count in macs.items() if other.startswith(f"{name}.") and other.count(".") == depth)


def _forward(
    model: nn.Module, clips: Tensor, parts: Sequence[str], *, attention: Callable = _fused_attention
) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """Runs a forward pass: bytes kept for the backward pass, and the shape of the output, by part ("" = outside of
    all)."""
    kept: dict[str, int] = {}
    outputs: dict[str, tuple[int, ...]] = {}
    current = [""]
    alive = []  # a freed storage would give its identity to the next
    seen = {parameter.untyped_storage()._cdata for parameter in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in seen:
            seen.add(storage._cdata)
            alive.append(storage)
            kept[current[-1]] = kept.get(current[-1], 0) + storage.nbytes()
        return tensor

    watched, counted = (
        _watched(model, parts, current, outputs),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept),
    )
    with torch.enable_grad(), AttentionAs(attention), watched, counted:
        model(clips)
    return kept, outputs


@contextmanager
def _watched(
    model: nn.Module, parts: Sequence[str], current: list[str], outputs: dict[str, tuple[int, ...]]
) -> Iterator[None]:
    """A context that follows a forward pass: ``current[-1]`` is the part that runs, ``outputs`` gets the shape of each
    part's last output."""
    hooks = []

    def leave(part: str, output) -> None:
        current.pop()
        if isinstance(output, Tensor):
            outputs.pop(part, None)
            outputs[part] = tuple(output.shape[1:])

    for part in parts:
        child = model.get_submodule(part)
        for called in child.children() if isinstance(child, (nn.ModuleList, nn.ModuleDict)) else [child]:
            hooks.append(called.register_forward_pre_hook(lambda *_, part=part: current.append(part)))
            hooks.append(called.register_forward_hook(lambda *args, part=part: leave(part, args[-1])))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
