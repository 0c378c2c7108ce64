"""A hash of pictures that stays near itself when they are coded, scaled or exposed anew."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

SIDE = 8  # a frame is reduced to SIDE x (SIDE + 1) areas, neighbours are compared: SIDE * SIDE bits
FRAMES = 3  # of a video


def picture_hash(luma: Tensor) -> str:
    """The difference hash of some frames, (T, H, W) luma -> hexadecimal digits of T * SIDE**2 bits.

    A bit says whether an area is brighter than its neighbour to the left, whatever the exposure; coding, size and a
    little noise leave most bits as they are. "" for pictures without any difference.
    """
    areas = F.adaptive_avg_pool2d(luma[:, None], (SIDE, SIDE + 1))[:, 0]  # (T, SIDE, SIDE + 1)
    bits = (areas[:, :, 1:] > areas[:, :, :-1]).flatten().numpy()
    return np.packbits(bits).tobytes().hex() if bits.any() else ""
