"""A predictor of random weights, so small that its answers cost next to nothing."""

import torch
from tiny import TINY

from fragrant.checkpoint import save_checkpoint
from fragrant.config import dump_cfg, load_cfg
from fragrant.inference.build import load_predictor
from fragrant.models import build_model

CLASSES = ["jump", "run", "sit", "stand", "turn", "walk"]


def tiny_checkpoint(path, *pairs: str):
    """Writes it; the clips are 4 frames, every second one: a window is 8 frames."""
    torch.manual_seed(0)
    cfg = load_cfg(None, [*TINY, *pairs])
    model = build_model(cfg)
    torch.nn.init.normal_(model.head.weight, std=1.0)  # so that windows get different answers
    save_checkpoint(path, {"model_state": dict(model.state_dict()), "cfg": dump_cfg(cfg), "class_names": CLASSES})
    return path


def tiny_predictor(path, *pairs: str):
    return load_predictor(path, pairs=pairs, device="cpu")
