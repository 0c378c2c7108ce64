"""Cache of video features on disk, one file each, found again only by exactly the settings that they were made with."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from fragrant.data.video.places import file_of
from fragrant.errors import UserError
from fragrant.files import open_plain, written_whole


class FeatureError(UserError):
    """Features that cannot be made, read or written."""


class FeatureCache:
    """Feature files of videos: ``numpy.load(file)`` gives features (V, D) float32, one row per view, or tokens
    (V, L, D) float16; video; settings (JSON text).

    The name of a file is the video's and a hash of all settings and of the video (path, size, time of change): other
    settings never find it, and nothing is ever overwritten by other settings. A file is there whole or not at all, so
    that an interrupted run goes on."""

    def __init__(self, folder: str | Path, settings: dict, *, remote: str = ""):
        self.remote = remote  # as of ``open_frames``
        self.folder = Path(folder)
        self.settings = json.dumps(settings, sort_keys=True)

    def path(self, video: str, *, draw: str = "") -> Path:
        """Path of the file of a video's features.

        Args:
            draw: the seed text that the random draws of this video follow from; "" where nothing is drawn.
        """
        facts = os.stat(file_of(video, remote=self.remote))  # of a member of a shard: the shard
        identity = [self.settings, os.path.abspath(video), facts.st_size, facts.st_mtime_ns, draw]
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
        return self.folder / f"{Path(video).stem}-{digest}.npz"

    def read(self, path: Path) -> np.ndarray | None:
        """Reads features (V, D) or tokens (V, L, D); None where the file is missing, damaged, or of other settings."""
        try:
            with open_plain(path) as file, np.load(file, allow_pickle=False) as stored:
                return stored["features"] if str(stored["settings"]) == self.settings else None
        except Exception:  # a damaged archive can fail in any way
            return None

    def write(self, path: Path, features: np.ndarray, *, video: str) -> None:
        """Writes the features of a video.

        Raises:
            FeatureError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with written_whole(path, own_name=str(os.getpid()), durable=False) as file:
                np.savez(file, features=features, video=np.array(video), settings=np.array(self.settings))
        except OSError as error:
            raise FeatureError(
                f"FEATURES.CACHE_DIR '{self.folder}' cannot be written: {error.strerror or error}"
            ) from error
