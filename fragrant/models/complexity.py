"""Size and cost of a model: parameters, and multiply-adds of one forward pass."""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from fragrant.models.compiling import as_written

with warnings.catch_warnings():  # fvcore scripts some losses on import, which newer PyTorch deprecates
    warnings.simplefilter("ignore")
    from fvcore.nn import FlopCountAnalysis


class Complexity(NamedTuple):
    parameters: int
    gmacs: float  # 1e9 multiply-adds per clip; published tables call them GFLOPs
    by_operator: dict[str, float]  # GMACs


def attention_macs(inputs: list, outputs: list) -> int:
    """Multiply-adds of fused attention: q k^T and the weighted sum of v."""
    (*batch, queries, width), (*_, keys, value_width) = (inputs[i].type().sizes() for i in (0, 2))
    return math.prod(batch) * queries * keys * (width + value_width)


def tap_macs(inputs: list, outputs: list) -> int:
    """Multiply-adds of RAM's sums over the neighbours of a position, and of the product with the filters (D, M) before
    or after them."""
    values, (num_filters, num_taps) = inputs[1].type().sizes(), inputs[2].type().sizes()
    *positions_and_heads, _ = inputs[0].type().sizes()
    return math.prod(positions_and_heads) * num_taps * (values[-1] + num_filters)


def contraction_macs(inputs: list, outputs: list) -> int:
    """Multiply-adds of RAM's convolutions to a matrix (A, B) at every position, and of the products with it."""
    *positions, heads, _ = inputs[0].type().sizes()
    rows, columns, *kernel = inputs[2].type().sizes()
    return math.prod(positions) * rows * columns * (math.prod(kernel) + heads)


def frequency_macs(inputs: list, outputs: list) -> int:
    """Multiply-adds of FAM's cosine and sine sums over T frames for T // 2 frequencies."""
    sizes = inputs[0].type().sizes()
    return math.prod(sizes) * (2 * (sizes[2] // 2))


def motion_map_macs(inputs: list, outputs: list) -> int:
    """Multiply-adds of PA by its definition, a convolution of every frame, as published tables count it; only those of
    the differences are computed."""
    (n, _, frames, *size), filters = inputs[0].type().sizes(), inputs[1].type().sizes()
    return n * frames * math.prod(size) * math.prod(filters)


UNSEEN = {  # by fvcore
    "aten::scaled_dot_product_attention": attention_macs,
    "prim::PythonOp.ApplyKernels": tap_macs,
    "prim::PythonOp.CorrelateValues": tap_macs,
    "prim::PythonOp.ContractConvolved": contraction_macs,
    "prim::PythonOp.FrequencyGain": frequency_macs,
    "fragrant::frequency_gain": frequency_macs,  # the same, by Triton
    "prim::PythonOp.ResponseDistance": motion_map_macs,
}


def count_macs(model: nn.Module, clip_shape: Sequence[int]) -> FlopCountAnalysis:
    """Counts multiply-adds for one clip of shape (C, T, H, W) and returns fvcore's counter. Costs one forward pass on
    the model's device."""
    parameter = next(model.parameters())
    counter = FlopCountAnalysis(model, torch.zeros(1, *clip_shape, device=parameter.device, dtype=parameter.dtype))
    counter.set_op_handle(**UNSEEN)
    counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    was_training = model.training
    try:
        model.eval()  # a forward pass in training mode would move the running statistics
        with torch.no_grad(), as_written(model):
            counter.total()
    finally:
        model.train(was_training)
    return counter


def measure(model: nn.Module, clip_shape: Sequence[int]) -> Complexity:
    """Measures a model's parameters and multiply-adds for one clip of shape (C, T, H, W); see ``count_macs``."""
    by_operator = {name: count / 1e9 for name, count in count_macs(model, clip_shape).by_operator().items()}
    return Complexity(sum(p.numel() for p in model.parameters()), sum(by_operator.values()), by_operator)


def describe(model: nn.Module, clip_shape: Sequence[int]) -> str:
    """Describes a model's size for the log: ``"21.40 M parameters, 41.76 GMACs for a clip of 3 x 16 x 224 x 224"``"""
    complexity = measure(model, clip_shape)
    size = " x ".join(map(str, clip_shape))
    return f"{complexity.parameters / 1e6:.2f} M parameters, {complexity.gmacs:.2f} GMACs for a clip of {size}"
