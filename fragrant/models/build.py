"""The registry of models, and the building of a model from a config."""

from collections.abc import Sequence

from fvcore.common.config import CfgNode

from fragrant.config import changed
from fragrant.config.label_free import learns_without_labels
from fragrant.layers.probe import Probe
from fragrant.models.backbone import Backbone, ModelError
from fragrant.models.probed import Probed
from fragrant.registry import Registry

MODELS = Registry("MODEL.MODEL_NAME")  # name -> function(cfg) -> Backbone; filled by the model files


def recompute_blocks(cfg: CfgNode) -> Sequence[int]:
    """Number of blocks of each of the four stages to recompute: MODEL.CHECKPOINT_NUM with MODEL.USE_CHECKPOINT."""
    return cfg.MODEL.CHECKPOINT_NUM if cfg.MODEL.USE_CHECKPOINT else (0, 0, 0, 0)


def build_model(cfg: CfgNode) -> Backbone:
    """Builds the model that ``MODEL.MODEL_NAME`` names, freshly initialised: float32, contiguous, on the CPU, without
    stored weights; with the head that ``MODEL.HEAD`` names."""
    if cfg.MODEL.get("HEAD", "own") == "own" or not cfg.MODEL.NUM_CLASSES:
        return MODELS.get(cfg.MODEL.MODEL_NAME)(cfg)
    backbone = MODELS.get(cfg.MODEL.MODEL_NAME)(changed(cfg, {"MODEL.NUM_CLASSES": 0, "MODEL.HEAD": "own"}))
    return Probed(backbone, build_probe(cfg, cfg.MODEL.HEAD, backbone.num_features), grid=cfg.PROBE.GRID)


def build_probe(cfg: CfgNode, kind: str, num_features: int, *, count: int = 1) -> Probe:
    """Builds ``count`` probes beside each other, freshly initialised.

    Args:
        kind: "linear" or "attentive".
        num_features: width of the tokens.

    Raises:
        ModelError: the width of the attention is no multiple of its heads.
    """
    heads, width = cfg.PROBE.NUM_HEADS, cfg.PROBE.WIDTH or num_features
    if kind == "attentive" and width % heads:
        raise ModelError(
            f"PROBE.NUM_HEADS {heads} does not divide the width {width} of the attention "
            f"({'PROBE.WIDTH' if cfg.PROBE.WIDTH else 'that of the features'}); allowed: a divisor, or another "
            "PROBE.WIDTH"
        )
    return Probe(kind, num_features, cfg.MODEL.NUM_CLASSES, count=count, num_heads=heads, width=width)


def build_encoder(cfg: CfgNode) -> Backbone:
    """Builds the model of a training: as ``build_model``, but without classes where it learns without labels."""
    return build_model(changed(cfg, {"MODEL.NUM_CLASSES": 0}) if learns_without_labels(cfg) else cfg)


def names_with(method: str) -> list[str]:
    """Names of the registered models whose class writes a method of ``Backbone`` itself, as far as their adapters say
    which class they build."""
    classes = {name: getattr(adapter, "__annotations__", {}).get("return") for name, adapter in MODELS}
    base = getattr(Backbone, method)
    return sorted(name for name, built in classes.items() if getattr(built, method, base) is not base)
