"""How many streams of a clip a network gets, for every room that makes clips or asks what they look like."""

from fvcore.common.config import CfgNode

DUAL = "DualStream"  # MODEL.MODEL_NAME of the network with two


def has_two_streams(cfg: CfgNode) -> bool:
    """Whether the network of a config gets a second clip beside the decoded one."""
    return cfg.MODEL.MODEL_NAME == DUAL


def clip_channels(cfg: CfgNode) -> int:
    """Channels of a clip as the network gets it: those of its streams, one behind the other."""
    return cfg.DATA.INPUT_CHANNEL_NUM[0] * (2 if has_two_streams(cfg) else 1)
