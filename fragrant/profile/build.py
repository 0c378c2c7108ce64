"""Measures the cost of a config's model."""

from fvcore.common.config import CfgNode

from fragrant.config.streams import clip_channels
from fragrant.models import build_model
from fragrant.profile.stages import stages
from fragrant.profile.table import ModelCost


def build_cost(cfg: CfgNode, path: str) -> ModelCost:
    """Cost of a config's model. ``path``: path of the config, for tables."""
    size = cfg.DATA.TRAIN_CROP_SIZE
    clip_shape = (clip_channels(cfg), cfg.DATA.NUM_FRAMES, size, size)
    return ModelCost(path, cfg.MODEL.MODEL_NAME, clip_shape, stages(build_model(cfg), clip_shape))
