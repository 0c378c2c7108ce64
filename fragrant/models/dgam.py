"""DGAM (Jeong et al., ELLAR, ACCV 2024): gamma experts in front of any backbone, and a classifier for each of them
behind it."""

import re
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from fragrant.config import changed
from fragrant.layers.frame_statistics import STATISTICS
from fragrant.layers.gamma_experts import GAMMAS, Choice, GammaExperts
from fragrant.models.backbone import Backbone, ModelError
from fragrant.models.build import MODELS
from fragrant.models.parts import HEAD, Parts
from fragrant.models.resizing import ClipSize, spread
from fragrant.models.wrapper import Wrapper

HEADS = ("matched", "shared")
PARTS = ("backbone", "heads", "gate")
PUBLISHED_HEADS = ("", "_15", "_20", "_25", "_30")  # behind "fc_cls", in the order of the gammas


class DGAM(Wrapper):
    """DGAM: a gate picks a gamma for every clip by the frames' statistics; the backbone sees the brightened clip.

    Args:
        backbone: a model built without classes, which gives pooled features.
        num_frames: frames of a clip, for which the gate is made.
        heads: "matched" = a classifier for each gamma, "shared" = one for all.
        gammas, select, tau, statistics, fixed: see ``GammaExperts``.
        frozen: which of "backbone", "heads", "gate" keep their weights, in evaluation mode.
        backbone_lr_scale, gate_lr_scale: their learning rates over that of the run, which the heads have.

    Raises:
        ModelError, UserError: arguments that do not fit together.
    """

    head_name = "heads"

    def __init__(
        self,
        backbone: Backbone,
        *,
        num_classes: int,
        num_frames: int,
        heads: str = "matched",
        gammas: Sequence[float] = GAMMAS,
        select: str = "st_gumbel",
        tau: float = 1.0,
        statistics: Sequence[str] = STATISTICS,
        fixed: float | None = None,
        gate_dropout: float = 0.1,
        frozen: Sequence[str] = (),
        backbone_lr_scale: float = 1.0,
        gate_lr_scale: float = 1.0,
    ):
        super().__init__()
        for name, values, known in (("DGAM.HEADS", [heads], HEADS), ("DGAM.FREEZE", frozen, PARTS)):
            if unknown := [value for value in values if value not in known]:
                raise ModelError(f"{name} '{unknown[0]}' is not known; allowed: {', '.join(known)}")
        self.experts = GammaExperts(
            num_frames, gammas=gammas, select=select, tau=tau, statistics=statistics, fixed=fixed, dropout=gate_dropout
        )
        self.gammas = tuple(gammas)
        self.backbone = backbone
        self.num_features = backbone.num_features
        self.heads = nn.ModuleList(
            nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
            for _ in (gammas if heads == "matched" else [1])
        )
        for head in self.heads:
            if isinstance(head, nn.Linear):
                nn.init.normal_(head.weight, std=0.01)
                nn.init.zeros_(head.bias)
        self.lr_scales = {"backbone": backbone_lr_scale, "gate": gate_lr_scale}
        self.frozen = tuple(frozen)
        for part in self._frozen():
            part.requires_grad_(False)
        self.train()

    @property
    def head(self) -> nn.Linear:  # type: ignore[override]  # one of several: nobody sets it
        """The classifier of the first gamma."""
        return cast(nn.Linear, self.heads[0])

    def _frozen(self) -> list[nn.Module]:
        parts = {"backbone": self.backbone, "heads": self.heads, "gate": self.experts.gating}
        return [parts[name] for name in self.frozen]

    def train(self, mode: bool = True) -> "DGAM":
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def compile(self, *args, **settings) -> None:
        """Compiles the backbone alone, where the time goes: so ``decide`` and ``score`` are compiled too, not just
        ``forward``."""
        self.backbone.compile(*args, **settings)

    @property
    def choices(self) -> dict[str, Sequence[float]]:
        return {"gamma": self.gammas}

    def score(self, clips: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        logits, choice = self.decide(clips)
        return logits, {"gamma": self.experts.gammas[choice.expert]}

    def forward(self, clips: Tensor) -> Tensor:
        """Classifies clips: (N, C, T, H, W) -> logits (N, K)"""
        return self.decide(clips)[0]

    def decide(self, clips: Tensor, expert: Tensor | None = None) -> tuple[Tensor, Choice]:
        """Classifies clips (N, C, T, H, W): returns logits (N, K) and the gate's choice; ``expert`` (N,) overrides the
        gate."""
        clips, choice = self.experts(clips, expert=expert)
        return self.classify(self.backbone(clips), choice), choice

    def logits_and_pooled(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        clips, choice = self.experts(clips)
        pooled = self.backbone(clips)
        return self.classify(pooled, choice), pooled.unsqueeze(1)

    def classify(self, pooled: Tensor, choice: Choice) -> Tensor:
        """Logits by the classifier of each clip's expert, (N, D) -> (N, K); a mixture of experts has a mixture of
        classifiers.

        All classifiers take part in every step, those that no clip has taken with a gradient of zero, not none: nothing
        waits for the GPU to tell which, and all processes have gradients of the same tensors. So AdamW decays them too,
        by 1 - rate * decay per step, which the published code, where they have none, does not."""
        if len(self.heads) == 1:
            return self.heads[0](pooled)
        logits = torch.stack([head(pooled) for head in self.heads], 1)  # (N, E, K)
        return (choice.weights.unsqueeze(-1).to(logits.dtype) * logits).sum(1)

    def forward_features(self, clips: Tensor) -> Tensor:
        """Feature map of the brightened clips: (N, C, T, H, W) -> (N, D, T', H', W')"""
        return self.backbone.forward_features(self.experts(clips)[0])

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits from a feature map, where one classifier serves all gammas: (N, D, T', H', W') -> (N, K)

        Raises:
            ModelError: the classifier belongs to the expert, which features do not tell.
        """
        if len(self.heads) > 1:
            raise ModelError(
                "DGAM with a classifier for each gamma has no logits of features alone; call the model, or take "
                "DGAM.HEADS shared"
            )
        return self.heads[0](self.backbone.forward_head(features))

    def part_names(self) -> Parts:
        """The gate, the parts of the backbone, the classifiers; ``backbone`` is the network without the gate, as in
        DGAM.FREEZE."""
        inner = self.backbone.part_names()
        named = {name: tuple(f"backbone.{start}" for start in inner[name]) for name in inner if name != HEAD}
        return {"gate": ("experts.",), "backbone": ("backbone.",), **named, HEAD: ("heads.",)}

    def resized(
        self, name: str, value: Tensor, shape: Sequence[int], state: Mapping[str, Tensor], clip: ClipSize | None
    ) -> Tensor | None:
        """The gate's first layer has a column for every statistic of every frame: it is resampled along time."""
        if name == "experts.gating.linear1.weight":
            number = len(self.experts.statistics)
            if value.ndim != 2 or len(value) != shape[0] or value.shape[1] % number:
                return None
            by_frame = value.unflatten(1, (-1, number))  # (128, T, S)
            return spread(by_frame, 1, self.experts.num_frames).flatten(1)
        return super().resized(name, value, shape, state, clip)

    @property
    def wrapped(self) -> dict[str, Backbone]:
        return {"backbone.": self.backbone}

    def timed_parts(self) -> dict[str, list[nn.Module]]:
        return {"frame statistics, gate, experts": [self.experts]}

    # -------------------------------------------------------------------------------- published weights, learning rates
    def optimizer_groups(self) -> list[dict]:
        """Parameter groups of backbone, classifiers and gate; vectors and tables of position biases do not decay."""
        members: dict[tuple[str, bool], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            part = {"backbone": "backbone", "heads": "heads"}.get(name.split(".")[0], "gate")
            decays = parameter.ndim > 1 and not name.endswith("relative_position_bias_table")
            members.setdefault((part, decays), []).append(parameter)
        return [
            {
                "name": part if decays else f"{part} without decay",
                "params": parameters,
                "lr_scale": float(self.lr_scales.get(part, 1.0)),
                "decay_scale": float(decays),
            }
            for (part, decays), parameters in members.items()
        ]

    def layout_of(self, state: Mapping[str, Tensor]) -> str:
        if any(".my_MoE." in key for key in state):
            return "DGAM of ELLAR"
        return "" if any(key.startswith("experts.") for key in state) else self.backbone.layout_of(state)

    def rename_published(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Renames the state dicts of ELLAR's DGAM and of its backbones, whose classifier then serves every gamma."""
        if any(key.startswith("experts.") for key in state):
            return state
        ours, rest = {}, {}
        for key, value in state.items():
            if match := re.fullmatch(r"backbone\.my_MoE\.gating\.(.+)", key):
                ours[f"experts.gating.{match[1]}"] = value
            elif match := re.fullmatch(r"cls_head\.fc_cls(_\d\d)\.(weight|bias)", key):
                ours[f"heads.{PUBLISHED_HEADS.index(match[1])}.{match[2]}"] = value
            else:
                rest[key] = value
        is_dgam = bool(ours)
        for key, value in self.backbone.rename_published(rest).items():
            if key.startswith(f"{self.backbone.head_name}."):
                name = key.removeprefix(f"{self.backbone.head_name}.")
                ours |= {f"heads.{number}.{name}": value for number in range(1 if is_dgam else len(self.heads))}
            else:
                ours[f"backbone.{key}"] = value
        return ours


@MODELS.register("DGAM")
def dgam(cfg: CfgNode) -> DGAM:
    options = cfg.DGAM
    if options.BACKBONE in ("DGAM", "DualStream"):
        raise ModelError(
            f"DGAM.BACKBONE {options.BACKBONE}: gamma experts stand in front of another model of one stream; name that "
            "one"
        )
    return DGAM(
        MODELS.get(options.BACKBONE, key="DGAM.BACKBONE")(changed(cfg, {"MODEL.NUM_CLASSES": 0})),
        num_classes=cfg.MODEL.NUM_CLASSES,
        num_frames=cfg.DATA.NUM_FRAMES,
        heads=options.HEADS,
        gammas=options.GAMMAS,
        select=options.SELECT,
        tau=options.TAU,
        statistics=options.STATISTICS,
        fixed=options.FIXED,
        frozen=options.FREEZE,
        backbone_lr_scale=options.BACKBONE_LR_SCALE,
        gate_lr_scale=options.GATE_LR_SCALE,
    )
