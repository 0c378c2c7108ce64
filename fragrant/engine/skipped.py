"""Reports of videos that cannot be read."""

import torch

from fragrant.data.loader import ClipLoader
from fragrant.distributed import gather_rows
from fragrant.logs import RunLog


class SkipReport:
    """Names every unreadable video of a loader once, and counts them after every pass."""

    def __init__(self, log: RunLog, loader: ClipLoader):
        self.log = log
        self.loader = loader
        self.told: set[int] = set()

    def report(self, title: str, *, device: torch.device) -> list[str]:
        """Reports the skipped videos after a pass over the loader, and returns their paths on all ranks; every rank
        must call it."""
        rows = torch.tensor(sorted(self.loader.skipped), dtype=torch.long, device=device)
        ids = sorted(gather_rows(rows).unique().tolist())
        paths = [self.loader.dataset.records[i].path for i in ids]
        for i, path in zip(ids, paths, strict=True):
            if i not in self.told:
                self.log.warn(self.loader.skipped.get(i) or f"video '{path}' cannot be read (found by another process)")
        self.told.update(ids)
        if ids:
            done = "replaced by others of their class" if self.loader.dataset.replace else "left out"
            text = f"{title}: {len(ids)} of {len(self.loader.dataset)} videos cannot be read and were {done}"
            self.log.record({"_type": "skipped", "pass": title, "videos": len(ids)}, text=text, more={"paths": paths})
        return paths
