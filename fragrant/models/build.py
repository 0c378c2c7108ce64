"""The table of models, and the one door to it from a config."""

from fvcore.common.config import CfgNode

from fragrant.models.backbone import Backbone
from fragrant.registry import Registry

MODELS = Registry("MODEL.MODEL_NAME")  # name -> function(cfg) -> Backbone; filled by the model files


def build_model(cfg: CfgNode) -> Backbone:
    """The model that ``MODEL.MODEL_NAME`` names, freshly initialised: float32, contiguous, on the CPU, without stored
    weights."""
    return MODELS.get(cfg.MODEL.MODEL_NAME)(cfg)
