"""The record of a measured GPU as tables in Markdown."""

from collections.abc import Sequence

STEP_COLUMNS = ("network", "form", "clips", "ms", "clips/s", "MFU", "peak GiB", "times published")
KERNEL_COLUMNS = (
    "case",
    "ms",
    "published ms",
    "times faster",
    "cuDNN, same layout ms",
    "GB/s",
    "TFLOP/s",
    "floor ms",
    "over floor",
)


def page(data: dict) -> str:
    """Page in Markdown of everything that is in the record so far."""
    parts = ["# Measured on a GPU", _facts(data)]
    results = [(row["name"], row["result"]) for row in data["rows"] if row["status"] == "done"]
    if steps := [(name, result) for name, result in results if name.startswith("step ")]:
        parts.append(_steps(steps))
    for name, result in results:
        if name.startswith("kernels "):
            parts.append(_kernels(name, result["cases"]))
        elif name.startswith("tests"):
            parts.append("## Tests marked cuda\n\n" + _listed(result))
        elif name.startswith("loader"):
            parts.append(f"## {name.capitalize()}\n\n" + _listed(result))
    for name, result in steps:
        if result.get("kernels"):
            parts.append(_top(name, result["kernels"]))
    if lost := [row for row in data["rows"] if row["status"] != "done"]:
        parts.append(
            "## Not measured\n\n"
            + "\n".join(f"- {row['name']}: {row['status']}, {row.get('error', '')}" for row in lost)
        )
    return "\n\n".join(parts) + "\n"


def _facts(data: dict) -> str:
    lines = [f"`{data['command']}`", "", ", ".join(f"{name} {value}" for name, value in data["facts"].items())]
    if ceilings := data["ceilings"]:
        copied, product = ceilings["bytes_per_second"] / 1e12, ceilings["flops"] / 1e12
        lines += ["", f"Ceilings: copy {copied:.3g} TB/s (read + written), bf16 matrix product {product:.4g} TFLOP/s."]
    return "\n".join(lines)


def _steps(steps: Sequence[tuple[str, dict]]) -> str:
    published = {name.split(" | ")[0]: result["ms"] for name, result in steps if name.endswith("| published")}
    rows = []
    for name, result in steps:
        network = name.split(" | ")[0]
        ratio = published[network] / result["ms"] if network in published else None
        rows.append(
            (
                network.removeprefix("step "),
                result["form"],
                result["clips"],
                result["ms"],
                result["clips_per_second"],
                f"{result['mfu']:.1%}",
                result.get("peak_gib"),
                ratio,
            )
        )
    return "## Training step\n\n" + _table(STEP_COLUMNS, rows)


def _kernels(name: str, cases: Sequence[dict]) -> str:
    fields = (
        "ours_ms",
        "published_ms",
        "times_faster",
        "cudnn_channels_last_ms",
        "gb_per_second",
        "tflops",
        "floor_ms",
        "over_floor",
    )
    rows = [(case["case"], *(case.get(field, _error(case, field)) for field in fields)) for case in cases]
    return f"## {name.capitalize()}\n\n" + _table(KERNEL_COLUMNS, rows)


def _error(case: dict, field: str) -> str | None:
    return case.get(field.removesuffix("_ms") + "_error")


def _top(name: str, kernels: Sequence[dict]) -> str:
    rows = [(f"`{k['kernel']}`", k["ms"], f"{k['share']:.1%}", k["calls"]) for k in kernels]
    return f"## Kernels of {name}\n\n" + _table(("kernel", "ms of a step", "share", "calls"), rows)


def _listed(result: dict) -> str:
    return "\n".join(
        f"- {name}: {_cell(value) if not isinstance(value, list) else '; '.join(value)}"
        for name, value in result.items()
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(map(_cell, row)) + " |" for row in rows)])


def _cell(value) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/")
