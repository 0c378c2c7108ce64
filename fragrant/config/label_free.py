"""The objectives that learn from clips alone, for every room that reads labels or builds classifiers for the others."""

from fvcore.common.config import CfgNode

LABEL_FREE = ("masked", "contrastive", "darkener")  # values of TRAIN.OBJECTIVE


def learns_without_labels(cfg: CfgNode) -> bool:
    """Whether the training of a config needs no labels: it pre-trains an encoder, without classes."""
    return cfg.TRAIN.OBJECTIVE in LABEL_FREE
