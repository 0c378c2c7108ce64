"""The residual blocks of an image network of any family: which there are, in what order, and where a clip enters them.

Found by watching one forward pass, in which nothing is computed (PyTorch's meta device)."""

import copy
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from fragrant.models.backbone import ModelError

NUM_STAGES = 4


class Block(NamedTuple):
    """A block of an image network.

    Attributes:
        name: of the module.
        entry: name of the first module with parameters within, which reads what the block reads; "" where none does.
        channels: of what it puts out, and the axis that they are on.
        axis: 1 in (N, C, H, W), the last in (N, H, W, C) and (N, L, C).
        size: places of its map, H * W or L.
        around: whether its input also goes around its layers.
    """

    name: str
    entry: str
    channels: int
    axis: int
    size: int
    around: bool


class Anatomy(NamedTuple):
    """The blocks of an image network in the order of their use, and its layers.

    Attributes:
        tokens: whether its features are tokens (N, L, D) rather than a map.
        blocks: in the order of their use.
        layers: full names of parameters: what embeds the pixels, then one entry for each block, which has what lies
            between it and the next as well; what comes behind the last block is in none.
    """

    tokens: bool
    blocks: list[Block]
    layers: list[tuple[str, ...]]

    def stages(self) -> list[list[Block]]:
        """The blocks in four stages: by the size of their maps where there are four sizes or more (what comes before
        the last four sizes is in the first), else by quarters."""
        sizes = sorted({block.size for block in self.blocks}, reverse=True)
        count = len(self.blocks)
        if len(sizes) < NUM_STAGES:
            return [
                self.blocks[stage * count // NUM_STAGES : (stage + 1) * count // NUM_STAGES]
                for stage in range(NUM_STAGES)
            ]
        last = sizes[-NUM_STAGES:]
        stage_of = [max(last.index(block.size), 0) if block.size in last else 0 for block in self.blocks]
        return [
            [block for block, at in zip(self.blocks, stage_of, strict=True) if at == stage]
            for stage in range(NUM_STAGES)
        ]


def candidates(network: nn.Module) -> list[str]:
    """Names of modules that may be blocks: entries of a list of modules, or what timm itself takes for a layer, with
    two matrices of their own or more, and no such entry within."""
    matcher = cast(Any, network).group_matcher(coarse=False) if hasattr(network, "group_matcher") else {}
    rules = matcher.get("blocks", []) if isinstance(matcher, dict) else []
    patterns = [rules] if isinstance(rules, str) else [pattern for pattern, _ in rules]
    entries = [
        name
        for name, module in network.named_modules()
        if any(re.fullmatch(pattern, name) for pattern in patterns) and len(_with_weights(module)) >= 2
    ]
    entries += [
        f"{name}.{key}".lstrip(".")
        for name, module in network.named_modules()
        if isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)
        for key, child in module.named_children()
        if len(_with_weights(child)) >= 2 and not isinstance(child, nn.Sequential | nn.ModuleList | nn.ModuleDict)
    ]
    entries = list(dict.fromkeys(entries))
    return [name for name in entries if not any(other.startswith(f"{name}.") for other in entries)]


def _with_weights(module: nn.Module) -> list[nn.Module]:
    """Convolutions and linear layers within, by their matrices."""
    return [
        part for part in module.modules() if any(parameter.ndim >= 2 for parameter in part.parameters(recurse=False))
    ]


class _Watch:
    """What happens in a forward pass: when each module is first called, and what the blocks read and put out."""

    def __init__(self, network: nn.Module, names: Sequence[str], *, channels_last: bool):
        self.names, self.channels_last = set(names), channels_last
        self.order: dict[str, int] = {}
        self.read: dict[str, Tensor] = {}
        self.entry: dict[str, str] = {}
        self.found: dict[str, Block] = {}
        self.inside: list[str] = []
        for name, module in network.named_modules():
            module.register_forward_pre_hook(lambda module, args, name=name: self.enter(name, module, args))
            if name in self.names:
                module.register_forward_hook(lambda module, args, out, name=name: self.leave(name, module, out))

    def enter(self, name: str, module: nn.Module, args: tuple) -> None:
        self.order.setdefault(name, len(self.order))
        given = args[0] if args and isinstance(args[0], Tensor) else None
        if name in self.names and given is not None:
            self.inside.append(name)
            self.read[name] = given
        elif self.inside and given is self.read[self.inside[-1]] and next(module.parameters(), None) is not None:
            self.entry.setdefault(self.inside[-1], name)

    def leave(self, name: str, module: nn.Module, out: object) -> None:
        if not self.inside or self.inside[-1] != name:
            return
        self.inside.pop()
        if isinstance(out, Tensor) and out.ndim in (3, 4):
            axis = out.ndim - 1 if out.ndim == 3 or self.channels_last else 1
            channels = out.shape[axis]
            size = out[0].numel() // channels
            around = bool(getattr(module, "has_skip", True))
            self.found.setdefault(name, Block(name, self.entry.get(name, ""), channels, axis, size, around))


def anatomy(network: nn.Module, image_size: tuple[int, int]) -> Anatomy:
    """Finds the blocks and layers of an image network of timm, in a copy of it; there may be none.

    Args:
        image_size: height and width of a picture that it takes.

    Raises:
        ModelError: it does not take pictures of this size.
    """
    twin: Any = copy.deepcopy(network).to("meta").eval()
    channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC"
    watch = _Watch(twin, candidates(twin), channels_last=channels_last)
    try:
        with torch.no_grad():
            features = twin.forward_features(torch.zeros(2, 3, *image_size, device="meta"))
            twin.forward_head(features)
    except (AssertionError, RuntimeError, ValueError) as error:
        height, width = image_size
        raise ModelError(
            f"{type(network).__name__} does not take pictures of {height} x {width} pixels: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error
    blocks = list(watch.found.values())
    return Anatomy(features.ndim == 3, blocks, _layers(network, blocks, watch.order) if blocks else [])


def _layers(network: nn.Module, blocks: Sequence[Block], order: dict[str, int]) -> list[tuple[str, ...]]:
    starts = [order[block.name] for block in blocks]
    layers: list[list[str]] = [[] for _ in range(len(blocks) + 1)]
    end = starts[-1] + sum(name == blocks[-1].name or name.startswith(f"{blocks[-1].name}.") for name in order)
    for name, _ in network.named_parameters():
        within = [at for at, block in enumerate(blocks) if name.startswith(f"{block.name}.")]
        place = order.get(name.rpartition(".")[0], 0)  # of the network itself: positions and tokens, the stem
        if within:
            layers[within[0] + 1].append(name)
        elif place < end:
            layers[sum(start <= place for start in starts)].append(name)
    return [tuple(names) for names in layers]
