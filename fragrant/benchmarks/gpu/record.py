"""The record of what has been measured so far: one JSON file, whole after every row, so that an end by force loses one
row at most."""

import json
import time
from pathlib import Path

from fragrant.files import written_whole


class Record:
    """Record of a measurement: ``facts``, ``ceilings`` and a list of ``rows``: name, status (done, failed, left out),
    seconds it took, result or error.

    Args:
        folder: where gpu.json and gpu.md are written; an existing gpu.json is continued.
    """

    def __init__(self, folder: Path):
        self.folder, self.path = folder, folder / "gpu.json"
        self.data: dict = {"command": "", "facts": {}, "ceilings": {}, "rows": [], "running": None}
        if self.path.is_file():
            self.data = json.loads(self.path.read_text(encoding="utf-8"))

    def begin(self, name: str) -> None:
        """Notes which row runs, for readers of the file after a crash."""
        self.data["running"] = {"name": name, "since": time.time()}
        self.write()

    def end(self, name: str, status: str, seconds: float, content: dict) -> None:
        """Records the end of a row. ``content``: {"result": ...} or {"error": ...}."""
        self.data["rows"].append({"name": name, "status": status, "seconds": round(seconds, 2), **content})
        self.data["running"] = None
        self.write()

    def names(self) -> set[str]:
        """Names of the rows that are done, failed or left out."""
        return {row["name"] for row in self.data["rows"]}

    def write(self) -> None:
        """Writes gpu.json and gpu.md, each whole or not at all."""
        from fragrant.benchmarks.gpu.report import page

        for path, text in ((self.path, json.dumps(self.data, indent=1)), (self.folder / "gpu.md", page(self.data))):
            with written_whole(path) as file:
                file.write(text.encode())
