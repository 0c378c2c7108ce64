"""The runs of trackers that belong to a folder, so that a resumed run goes on in them: OUTPUT_DIR/trackers.json."""

import json
import threading
from pathlib import Path

from fragrant.files import read_plain, write_whole

FILE = "trackers.json"
_lock = threading.Lock()  # trackers begin in threads of their own


def read_runs(folder: str | Path) -> dict[str, dict[str, str]]:
    """Name of the service -> {"run_id", "link"}; empty where nothing, or nothing that can be understood, is there."""
    try:
        found = json.loads(read_plain(Path(folder, FILE)))
        return {str(name): {str(k): str(v) for k, v in run.items()} for name, run in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def keep_run(folder: str | Path, name: str, *, run_id: str, link: str) -> None:
    """Notes the run of a service.

    Raises:
        OSError: the file cannot be written.
    """
    with _lock:
        runs = read_runs(folder) | {name: {"run_id": run_id, "link": link}}
        write_whole(Path(folder, FILE), json.dumps(runs, indent=1))
