"""The registry of models, and the building of a model from a config."""

from collections.abc import Sequence

from fvcore.common.config import CfgNode

from fragrant.models.backbone import Backbone
from fragrant.registry import Registry

MODELS = Registry("MODEL.MODEL_NAME")  # name -> function(cfg) -> Backbone; filled by the model files


def recompute_blocks(cfg: CfgNode) -> Sequence[int]:
    """Number of blocks of each of the four stages to recompute: MODEL.CHECKPOINT_NUM with MODEL.USE_CHECKPOINT."""
    return cfg.MODEL.CHECKPOINT_NUM if cfg.MODEL.USE_CHECKPOINT else (0, 0, 0, 0)


def build_model(cfg: CfgNode) -> Backbone:
    """Builds the model that ``MODEL.MODEL_NAME`` names, freshly initialised: float32, contiguous, on the CPU, without
    stored weights."""
    return MODELS.get(cfg.MODEL.MODEL_NAME)(cfg)
