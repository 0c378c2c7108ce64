"""The results of a study in words: lines, Markdown tables, files."""

import itertools
from pathlib import Path

import numpy as np
import simplejson

from fragrant.files import save_file
from fragrant.metrics import Share


def describe_results(results: list[dict], class_names: list[str] | None = None) -> list[str]:
    """Describes results in lines of text: one per result, means over seeds, the confusion matrix of each classifier's
    first seed."""
    lines = [results[0]["protocol"]] if results else []
    for name, of_one in itertools.groupby(results, key=lambda result: result["classifier"]):
        group = list(of_one)
        for result in group:
            chosen = "".join(f" {key}={value}" for key, value in result["hyper_parameters"].items())
            seed = "" if result["seed"] is None else f" seed {result['seed']}"
            lines.append(f"{name}{seed}{chosen}: test {Share(**result['test'])}, train {Share(**result['train'])}")
        if len(group) > 1:
            percents = [result["test"]["percent"] for result in group]
            lines.append(
                f"{name}: mean of {len(group)} seeds {np.mean(percents):.2f} %, {min(percents):.2f} to "
                f"{max(percents):.2f} %"
            )
        lines += confusion_lines(group[0]["confusion"], class_names)
    return lines


def confusion_lines(matrix: list[list[int]], class_names: list[str] | None) -> list[str]:
    """Confusion matrix as lines of text: rows are true classes, columns predicted ones, in the same order."""
    names = class_names or [f"class {number}" for number in range(len(matrix))]
    width, digits = max(map(len, names)), max(len(str(count)) for row in matrix for count in row)
    return [
        f"  {name:{width}} " + " ".join(f"{count:{digits}}" for count in row)
        for name, row in zip(names, matrix, strict=True)
    ]


def table_lines(rows: list[dict]) -> list[str]:
    """The report's tables in Markdown: top-1 here beside the published top-1, for 96 test and 150 training videos."""
    lines = []
    for table, group in itertools.groupby(rows, key=lambda row: row["table"]):
        lines += [
            "",
            f"Table {table}",
            "",
            "| | seed | test | train | published test / train | |",
            "|---|---|---|---|---|---|",
        ]
        for row in group:
            test, train, (published_test, published_train) = (
                Share(**row["test"]),
                Share(**row["train"]),
                row["published"],
            )
            seed = "" if row["seed"] is None else row["seed"]
            lines.append(
                f"| {row['row']} | {seed} | {test} | {train} | {published_test:.2f} / {published_train:.2f} | "
                f"{row['protocol']} |"
            )
    return lines


def save_results(folder: Path, name: str, results: list[dict], lines: list[str]) -> Path:
    """Writes ``<name>.json`` with every number and ``<name>.md`` with the lines; returns the latter's path."""
    save_file(folder / f"{name}.json", simplejson.dumps(results, indent=1, ignore_nan=True))
    save_file(folder / f"{name}.md", "\n".join(lines) + "\n")
    return folder / f"{name}.md"
