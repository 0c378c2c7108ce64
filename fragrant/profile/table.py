"""Tables of model costs: the parts of one config's model, or one line per config."""

from collections.abc import Sequence
from typing import NamedTuple

from tabulate import tabulate

from fragrant.profile.stages import Stage

ABOUT = """\
# The shipped configs

Made by `python tools/model_info.py --write configs/README.md configs/*/*.yaml`.

Clip: frames x side x side as in training. GMACs: 1e9 multiply-adds of one forward pass of one clip, attention counted
(fvcore); papers call them GFLOPs. Activations: what the backward pass of one clip keeps in float32, parameters not
among them.

"""


class ModelCost(NamedTuple):
    """The cost of one config's model."""

    path: str  # "configs/arid/uniformer_s.yaml"
    model: str
    clip_shape: tuple[int, ...]  # (C, T, H, W)
    parts: list[Stage]

    @property
    def parameters(self) -> int:
        return sum(part.parameters for part in self.parts)

    @property
    def gmacs(self) -> float:
        return sum(part.gmacs for part in self.parts)

    @property
    def kept_bytes(self) -> int:
        return sum(part.kept_bytes for part in self.parts)


def part_table(cost: ModelCost) -> str:
    """Table of a model's cost with a row per part, the whole model last."""
    rows = [
        [part.name, part.parameters / 1e6, part.gmacs, part.kept_bytes / 2**20, _by(part.output) if part.output else ""]
        for part in cost.parts
    ]
    rows.append(["whole", cost.parameters / 1e6, cost.gmacs, cost.kept_bytes / 2**20, ""])
    headers = ["part", "parameters / M", "GMACs", "activations / MiB", "output"]
    title = f"{cost.path}: {cost.model}, one clip of {_by(cost.clip_shape)}"
    return f"{title}\n{tabulate(rows, headers, floatfmt=('', '.3f', '.3f', '.1f', ''))}"


def config_table(costs: Sequence[ModelCost]) -> str:
    """Table of model costs in Markdown with a row per config."""
    rows = [
        [
            f"[{name}]({name})",
            cost.model,
            _by(cost.clip_shape[1:]),
            cost.parameters / 1e6,
            cost.gmacs,
            cost.kept_bytes / 2**20,
        ]
        for cost in costs
        for name in [cost.path.removeprefix("configs/")]
    ]
    headers = ["config", "model", "clip", "parameters / M", "GMACs", "activations / MiB"]
    return tabulate(rows, headers, tablefmt="github", floatfmt=("", "", "", ".2f", ".2f", ".0f"))


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
