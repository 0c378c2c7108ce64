"""How many streams of a clip a network gets, and where they come from, for every room that makes clips or asks what
they look like."""

from fvcore.common.config import CfgNode

DUAL = "DualStream"  # MODEL.MODEL_NAME of the network with two
COLOR, THERMAL = "COLOR_PATH_TO_DATA_DIR", "THERMAL_PATH_TO_DATA_DIR"  # of DATA: the lists of pairs, in this order
MODALITIES = ("color", "thermal")  # what TEST.MODALITY calls them


def has_two_streams(cfg: CfgNode) -> bool:
    """Whether the network of a config gets a second clip beside the decoded one."""
    return cfg.MODEL.MODEL_NAME == DUAL


def has_pairs(cfg: CfgNode) -> bool:
    """Whether the second clip is of another video, of the paired list, and no copy of the first."""
    return bool(cfg.DATA[COLOR] and cfg.DATA[THERMAL])


def alone_in_test(cfg: CfgNode) -> int | None:
    """The one stream that a test of pairs has, 0 = visible, 1 = infrared; None = it has both, or there are no pairs."""
    if not has_pairs(cfg) or cfg.TEST.MODALITY == "both":
        return None
    return MODALITIES.index(cfg.TEST.MODALITY)


def tests_pairs(cfg: CfgNode) -> bool:
    """Whether a test has both videos of pairs."""
    return has_pairs(cfg) and alone_in_test(cfg) is None


def lists_folder(cfg: CfgNode, stream: int = 0) -> str:
    """The folder of the lists, of pairs that of one stream."""
    return cfg.DATA[(COLOR, THERMAL)[stream]] if has_pairs(cfg) else cfg.DATA.PATH_TO_DATA_DIR


def clip_channels(cfg: CfgNode) -> int:
    """Channels of a training clip as the network gets it: those of its streams, one behind the other."""
    return cfg.DATA.INPUT_CHANNEL_NUM[0] * (2 if has_two_streams(cfg) else 1)


def test_channels(cfg: CfgNode) -> int:
    """Channels of a test clip: of pairs maybe those of one stream alone."""
    return clip_channels(cfg) if alone_in_test(cfg) is None else cfg.DATA.INPUT_CHANNEL_NUM[0]
