"""Gray of many bits, as infrared cameras record it, as gray of 8 bits: a range of values on a line."""

import numpy as np

GrayRange = tuple[float, float]  # the values that become 0 and 255


def scaled_gray(values: np.ndarray, limits: GrayRange) -> np.ndarray:
    """Puts values (H, W) on the line from ``limits`` to 0..255, (H, W, 3) uint8: rounded to the nearest whole number (a
    half to the even one), what lies outside is cut, and what is no number is 0.

    Computed in float64, which holds every number of 32 bits."""
    low, high = limits
    share = (values.astype(np.float64) - low) / (high - low)
    gray = np.rint(np.clip(np.nan_to_num(share, nan=0.0), 0, 1) * 255).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)
