"""Which parts of DGAM a config freezes: DGAM.FREEZE names them, and so does MODEL.FREEZE."""

from fvcore.common.config import CfgNode

IN_DGAM = {"backbone": "backbone", "head": "heads", "gate": "gate"}  # name in MODEL.FREEZE -> in DGAM.FREEZE


def frozen_in_dgam(cfg: CfgNode) -> set[str]:
    """backbone, heads, gate: those that keep their weights."""
    return {*cfg.DGAM.FREEZE, *(IN_DGAM[name] for name in cfg.MODEL.FREEZE if name in IN_DGAM)}
