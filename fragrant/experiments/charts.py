"""Small charts as SVG text, in the colours of the page: runs as dots on a line, a value against a key, curves."""

import html
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

Scale = Callable[[float], float]
LOG_FROM = 20.0  # values of a key whose largest is so many times the smallest are drawn on a logarithmic axis


class Line(NamedTuple):
    """A curve: its points, what it is called, whether it stands out."""

    name: str
    xs: list[float]
    ys: list[float]
    strong: bool


def between(low: float, high: float, start: float, end: float) -> Scale:
    """Maps low..high onto start..end; equal ends onto the middle."""
    if high <= low:
        return lambda value: (start + end) / 2
    return lambda value: start + (end - start) * (value - low) / (high - low)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers within low..high, about ``count`` of them."""
    rough = (high - low) / count
    if rough <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def shown(value: float) -> str:
    return f"{value:.3g}"


def _svg(width: float, height: float, parts: Sequence[str], label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{html.escape(label)}">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "middle", soft: bool = True) -> str:
    kind = ' class="soft"' if soft else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{html.escape(text)}</text>'


def _dot(x: float, y: float, tip: str, *, strong: bool = False) -> str:
    kind = "dot strong" if strong else "dot"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="{kind}"><title>{html.escape(tip)}</title></circle>'


def dot_row(
    values: Sequence[tuple[str, float]], mean: float, low: float, high: float, *, strong: bool, width: int = 260
) -> str:
    """The runs of a setting as dots on the line low..high, which all settings share, and their mean as a bar."""
    x = between(low, high, 7, width - 7)
    parts = [f'<line x1="7" x2="{width - 7}" y1="11" y2="11" class="axis"/>']
    parts += [_dot(x(value), 11, f"{name}: {shown(value)}", strong=strong) for name, value in values]
    if math.isfinite(mean):
        parts.append(f'<rect x="{x(mean) - 1.5:.1f}" y="2" width="3" height="18" class="mean"/>')
    return _svg(width, 22, parts, "runs as dots, the mean as a bar")


def whisker(low: float, mean: float, high: float, *, width: int = 188) -> str:
    """0 to 100 % as a line, the interval as a bar on it, the value as a tick."""
    x = between(0, 100, 4, width - 4)
    parts = [
        f'<rect x="4" y="7" width="{width - 8}" height="2" class="ground"/>',
        f'<rect x="{x(low):.1f}" y="5" width="{max(x(high) - x(low), 2):.1f}" height="6" rx="3" class="interval"/>',
        f'<rect x="{x(mean) - 1.5:.1f}" y="2" width="3" height="12" class="value"/>',
    ]
    return _svg(width, 16, parts, f"{shown(mean)} %, interval {shown(low)} to {shown(high)} %")


def key_chart(key: str, points: Sequence[tuple[str, float, bool]], label: str) -> str:
    """What every setting has reached, against the value that a key has in it: (value, height, chosen)."""
    width, height, left, bottom, top = 340.0, 220.0, 46.0, 42.0, 26.0
    numbers = _numbers([value for value, _, _ in points])
    heights = [reached for _, reached, _ in points]
    y = between(*_padded(heights), height - bottom, top)
    parts = [*_rows(y, *_padded(heights), left, width), _text(left, 14, label, anchor="start")]
    if numbers is None:
        names = list(dict.fromkeys(value for value, _, _ in points))
        places = between(0, max(len(names) - 1, 1), left + 24, width - 24)
        xs = [places(names.index(value)) for value, _, _ in points]
        marks = {name: places(at) for at, name in enumerate(names)}
    else:
        log = min(numbers) > 0 and max(numbers) / min(numbers) >= LOG_FROM
        on_axis = [math.log10(number) for number in numbers] if log else numbers
        x = between(min(on_axis), max(on_axis), left + 18, width - 26)
        xs = [x(value) for value in on_axis]
        marks = {shown(10**tick if log else tick): x(tick) for tick in _marks(on_axis, log)}
    parts += [_text(at, height - bottom + 18, name[:12]) for name, at in marks.items()]
    parts.append(_text((left + width) / 2, height - 6, key, soft=False))
    for at, (value, reached, chosen) in zip(xs, points, strict=True):
        parts.append(_dot(at, y(reached), f"{key} {value}: {label} {shown(reached)}", strong=chosen))
    return _svg(width, height, parts, f"{label} against {key}")


def _numbers(values: Sequence[str]) -> list[float] | None:
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def _marks(on_axis: Sequence[float], log: bool) -> list[float]:
    low, high = min(on_axis), max(on_axis)
    if len(set(on_axis)) <= 4:
        return sorted(set(on_axis))
    if log:
        whole = [float(power) for power in range(math.ceil(low), math.floor(high) + 1)]
        return whole if len(whole) > 1 else [low, high]
    return ticks(low, high)


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return low - pad, high + pad


def _rows(y: Scale, low: float, high: float, left: float, width: float) -> list[str]:
    parts = []
    for tick in ticks(low, high):
        parts.append(f'<line x1="{left}" x2="{width - 6}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" class="axis"/>')
        parts.append(_text(left - 6, y(tick) + 4, shown(tick), anchor="end"))
    return parts


def line_chart(lines: Sequence[Line], label: str) -> str:
    """Curves over epochs; those that stand out are drawn last."""
    width, height, left, bottom, top = 1000.0, 320.0, 46.0, 40.0, 10.0
    xs, ys = [x for line in lines for x in line.xs], [y for line in lines for y in line.ys]
    x, y = between(min(xs), max(xs), left + 8, width - 12), between(*_padded(ys), height - bottom, top)
    parts = _rows(y, *_padded(ys), left, width)
    whole = sorted({round(tick) for tick in ticks(min(xs), max(xs), 8)})
    parts += [_text(x(tick), height - bottom + 18, str(tick)) for tick in whole if min(xs) <= tick <= max(xs)]
    parts.append(_text((left + width) / 2, height - 4, "epoch", soft=False))
    for line in sorted(lines, key=lambda line: line.strong):
        kind = "curve strong" if line.strong else "curve"
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(line.xs, line.ys, strict=True))
        parts.append(f'<polyline points="{path}" class="{kind}"><title>{html.escape(line.name)}</title></polyline>')
        if len(line.xs) <= 30:
            for a, b in zip(line.xs, line.ys, strict=True):
                parts.append(_dot(x(a), y(b), f"{line.name}, epoch {a:g}: {shown(b)}", strong=line.strong))
    return _svg(width, height, parts, label)
