"""The interface and base class of all models."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from fragrant.errors import UserError
from fragrant.layers.tube_mask import TubeMask
from fragrant.models.parts import Parts, parts_of_names
from fragrant.models.resizing import ClipSize


class ModelError(UserError):
    """Model arguments that do not fit together, or a clip that the model cannot take."""


def blocks_to_recompute(recompute_blocks: Sequence[int]) -> tuple[int, ...]:
    """Checks how many of the first blocks of each of the four stages are computed again in the backward pass instead of
    kept.

    Raises:
        ModelError: not four numbers.
    """
    if len(recompute_blocks) != 4:
        raise ModelError(f"MODEL.CHECKPOINT_NUM {list(recompute_blocks)} needs one value for each of the 4 stages")
    return tuple(recompute_blocks)


def recomputed_by_quarter(blocks: int, recompute_blocks: Sequence[int]) -> set[int]:
    """Which of so many blocks to compute again where their quarters are the stages; a count beyond its quarter goes on
    in the next."""
    starts = [quarter * blocks // 4 for quarter in range(4)]
    return {start + place for start, count in zip(starts, recompute_blocks, strict=True) for place in range(count)}


class Masking(NamedTuple):
    """How parts of a clip can be hidden from a network.

    Attributes:
        hides: rows and columns of pixels of the smallest square that it can hide by itself.
        sees: frames, rows and columns of pixels behind one place of its feature map.
        token_width: width of the learned vector that stands for what is hidden.
    """

    hides: int
    sees: tuple[int, int, int]
    token_width: int


class Backbone(nn.Module):
    """A video classifier: feature maps, their mean over space and time, a linear head.

    A subclass sets ``num_features`` and ``head`` and writes ``forward_features``.

    Attributes:
        num_features: D, the width of what the head sees.
        head: D -> K, or Identity for a model without classes.
        head_name: prefix of the keys in the state dict that depend on the number of classes.
        frozen_parts: modules that stay in evaluation mode, see ``models.parts.freeze``.
        behind_map: names of modules with parameters, beside the head, that come after the feature map.
    """

    num_features: int
    head: nn.Module
    head_name = "head"
    frozen_parts: tuple[nn.Module, ...] = ()
    behind_map: tuple[str, ...] = ()

    def train(self, mode: bool = True) -> "Backbone":
        """Sets the mode of all but ``frozen_parts``."""
        super().train(mode)
        for part in self.frozen_parts:
            part.eval()
        return self

    def forward_features(self, clips: Tensor) -> Tensor:
        """Feature map of clips: (N, C, T, H, W) -> (N, D, T', H', W')"""
        raise NotImplementedError

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits from a feature map: (N, D, T', H', W') -> (N, K)"""
        return self.head(features.mean(dim=(2, 3, 4)))

    def forward(self, clips: Tensor) -> Tensor:
        """Classifies clips: (N, C, T, H, W) -> logits (N, K), no softmax in training nor in evaluation."""
        return self.forward_head(self.forward_features(clips))

    def logits_and_pooled(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K) and, of each stream that a clip consists of, the pooled features (N, S, D); of clips (N, C, T,
        H, W), in one pass. Most models have one stream."""
        features, pooled = self.map_and_pooled(clips)
        return self.forward_head(features), pooled

    def map_and_pooled(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """The feature map (N, D, T', H', W') and the pooled features of each stream (N, S, D) of clips (N, C, T, H, W),
        in one pass."""
        features = self.forward_features(clips)
        return features, features.mean(dim=(2, 3, 4)).unsqueeze(1)

    @property
    def choices(self) -> dict[str, Sequence[float]]:
        """Names and possible values of what the model decides for every clip: {"gamma": (1.0, 1.5)}; most models decide
        nothing."""
        return {}

    def score(self, clips: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores clips for a score table: (N, C, T, H, W) -> logits (N, K), and of each of ``choices`` the value taken
        for every clip (N,)."""
        return self(clips), {}

    def layout_of(self, state: Mapping[str, Tensor]) -> str:
        """Origin of a state dict, told by its key names, for the load report: "mmaction2"; "" where there is one layout
        only, or it is not known."""
        return ""

    def take_layout(self, state: Mapping[str, Any]) -> None:
        """Takes on what the shapes of a file's tensors say about the network, before they are loaded; by default
        nothing.

        Args:
            state: with the names of the file.
        """

    def is_new(self, name: str, layout: str) -> bool:
        """Whether files of a layout lack this tensor by their nature: an image network's have no filters over time of
        their own. It then does not count in whether a file fits."""
        return False

    def rename_published(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Renames the state dict of a published file to the names that this model uses; values in, values out."""
        return state

    def resized(
        self, name: str, value: Tensor, shape: Sequence[int], state: Mapping[str, Tensor], clip: ClipSize | None
    ) -> Tensor | None:
        """A tensor of a file that was trained on other clips, brought to the shape that it has here: position
        embeddings, tables of position biases. Temporal filters are resized for every network, without this.

        Args:
            name: by the names of this model; value: what the file has there; shape: what this model has.
            state: all of the file, renamed.
            clip: the clips that the file says it was trained on; None = it does not say.

        Returns:
            None where this network knows no way.
        """
        return None

    @property
    def masking(self) -> Masking | None:
        """How parts of a clip can be hidden from this network; None where they cannot. A network that has an answer
        writes ``forward_masked`` too."""
        return None

    def forward_masked(self, clips: Tensor, mask: TubeMask, token: Tensor) -> Tensor:
        """Feature map of clips of which tubes are hidden: (N, C, T, H, W) -> (N, D, T', H', W').

        No number of it may depend on a hidden pixel.

        Args:
            mask: tubes whose sides are multiples of ``masking.hides``.
            token: (token_width,), what stands in place of the hidden parts.
        """
        raise NotImplementedError

    @property
    def detail_layer(self) -> str:
        """Name of the part whose feature map still shows where things are, at an eighth of the picture's sides or so;
        "" = the last map is the best there is."""
        return ""

    @property
    def map_layer(self) -> str:
        """Name of the part whose output, (N, D, T', H', W') or more clips behind these, shows where the network looks;
        "" = what ``forward_features`` puts out."""
        return ""

    def layer_names(self) -> list[tuple[str, ...]]:
        """Layers in the order in which a clip meets them, each as beginnings of parameter names: what embeds the
        pixels, then one entry per block. Norms and heads behind the last block are in none. An empty list: this network
        does not say, and SOLVER.LAYER_DECAY is refused."""
        return []

    def part_names(self) -> Parts:
        """Parts by name, in the order in which a clip meets them, each as beginnings of the names of its parameters and
        modules; every parameter is in one. MODEL.FREEZE names them, and ``backbone`` for all but the head.

        By default: stem, block1, block2, ... where ``layer_names`` says the layers, else the modules by their own
        names; then the head. A network with stages says stem, stage1, ..."""
        names = [name for name, _ in self.named_parameters()]
        return parts_of_names(names, self.layer_names(), self.head_name)

    def timed_parts(self) -> dict[str, list[nn.Module]]:
        """Parts of the model, name -> modules, whose share of a training step tools/benchmark.py shows; none by
        default."""
        return {}
