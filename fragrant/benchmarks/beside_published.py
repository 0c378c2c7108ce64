"""Rows of a table that compares forms of a computation with the published one."""

from torch import Tensor

from fragrant.benchmarks.timing import Measured


def heading(title: str) -> str:
    return _row(title, "form", "seconds [min, max]", "faster", "extra MiB", "smaller", "difference")


def rows(title: str, results: dict[str, Measured], outputs: dict[str, Tensor]) -> list[str]:
    """Table rows, one per form. Faster, smaller: the published form's time and memory over this one's; difference: the
    largest of the outputs, over their standard deviation."""
    first, expected = results["published"], outputs["published"].float()
    lines = []
    for name, result in results.items():
        seconds = f"{result.median:.4f} [{min(result.seconds):.4f}, {max(result.seconds):.4f}]"
        cells = [name, seconds, f"{first.median / result.median:.1f}x"]
        if name in outputs:
            difference = ((outputs[name].float() - expected).abs().max() / expected.std()).item()
            smaller = first.peak_bytes / max(result.peak_bytes, 1)
            cells += [f"{result.peak_bytes / 2**20:.0f}", f"{smaller:.1f}x", f"{difference:.0e}"]
        lines.append(_row(title, *cells))
        title = ""
    return lines


def _row(title: str, *cells: str) -> str:
    widths = (10, 28, 9, 10, 9, 11)
    return f"{title:<50}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=False))
