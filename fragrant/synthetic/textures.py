"""Textures of surfaces: brightness patterns over two coordinates, in body heights."""

import numpy as np


def _joint(x: np.ndarray, pitch: float, wide: float) -> np.ndarray:
    """1 on lines every ``pitch``, ``wide`` of it, else 0; soft."""
    away = np.abs(x / pitch - np.round(x / pitch))
    return np.clip(1.5 - 2 * away / wide, 0, 1)


def noise(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, pitch: float) -> np.ndarray:
    """Smooth random values, about -1 .. 1, that change over ``pitch``; they repeat after 64 of them."""
    table = rng.standard_normal((64, 64)).astype(np.float32) * np.float32(0.7)
    x, y = u / np.float32(pitch), v / np.float32(pitch)
    i, j = np.floor(x), np.floor(y)
    fx, fy = x - i, y - j
    i, j = i.astype(np.int32) & 63, j.astype(np.int32) & 63
    i1, j1 = (i + 1) & 63, (j + 1) & 63
    top = table[j, i] * (1 - fx) + table[j, i1] * fx
    return top * (1 - fy) + (table[j1, i] * (1 - fx) + table[j1, i1] * fx) * fy


def fade(pixel: np.ndarray, pitch: float) -> np.ndarray:
    """How much of a pattern is left where a pixel is so large: what is finer than two pixels blurs away."""
    return np.clip(1.4 - 1.6 * pixel / pitch, 0, 1)


KINDS = ("plain", "ribs", "planks", "tiles", "bricks", "blotches", "panels", "grass")


def texture(rng: np.random.Generator, kind: str, u: np.ndarray, v: np.ndarray, pixel: np.ndarray) -> np.ndarray:
    """Brightness, about 1, of a surface.

    Args:
        kind: one of KINDS.
        u, v: along and up the surface.
        pixel: how large a pixel is there.
    """
    pitch, depth = rng.uniform(0.05, 0.3), rng.uniform(0.15, 0.6)
    rough = 1 + rng.uniform(0.05, 0.3) * noise(rng, u, v, rng.uniform(0.2, 0.9))
    rough += rng.uniform(0.0, 0.2) * noise(rng, u, v, 0.06) * fade(pixel, 0.06)
    if kind == "ribs":
        wave = np.sin(2 * np.pi * u / pitch)
        return rough * (1 - depth * fade(pixel, pitch) * (0.5 + 0.5 * np.sign(wave) * np.abs(wave) ** 0.4))
    if kind == "planks":
        return rough * (1 - depth * fade(pixel, pitch) * _joint(v, pitch, 0.2))
    if kind in ("tiles", "panels"):
        size = pitch if kind == "tiles" else 4 * pitch
        return rough * (1 - depth * fade(pixel, size) * np.maximum(_joint(u, size, 0.1), _joint(v, 0.8 * size, 0.1)))
    if kind == "bricks":
        row = np.floor(v / (0.5 * pitch)) % 2
        lines = np.maximum(_joint(v, 0.5 * pitch, 0.2), _joint(u + 0.5 * pitch * row, pitch, 0.12))
        return rough * (1 - 0.6 * depth * fade(pixel, pitch) * lines)
    if kind == "blotches":
        return rough * (1 + 0.35 * noise(rng, u, v, 4 * pitch))
    if kind == "grass":
        return rough * np.clip(
            1 + 0.6 * noise(rng, u, v, 0.07) * fade(pixel, 0.1) + 0.4 * noise(rng, u, v, 0.4), 0.2, 3
        )
    return rough
