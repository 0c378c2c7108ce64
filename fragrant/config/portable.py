"""The part of a config that another machine needs to use its weights."""

from collections.abc import Iterator

from fvcore.common.config import CfgNode

from fragrant.config.defaults import default_cfg, leaves
from fragrant.config.keys import KEYS
from fragrant.config.yaml_text import dump_cfg

OF_A_TRAINING = {"TRAIN.OBJECTIVE"}  # which other videos may have nothing for
OF_A_MACHINE = {"NUM_GPUS", "NUM_SHARDS", "SHARD_ID", "DATA_LOADER.NUM_WORKERS"}


def portable_text(cfg: CfgNode) -> str:
    """The yaml text of what differs from the defaults, but for paths and what is one machine's or one training's."""
    tree = CfgNode()
    for name, value in _portable(cfg):
        *blocks, last = name.split(".")
        node = tree
        for block in blocks:
            node = node.setdefault(block, CfgNode())
        node[last] = value
    return dump_cfg(tree)


def _portable(cfg: CfgNode) -> Iterator[tuple[str, object]]:
    usual = leaves(default_cfg())
    for name, value in leaves(cfg).items():
        if value != usual[name] and not KEYS[name].kind.is_path and name not in OF_A_MACHINE | OF_A_TRAINING:
            yield name, value
