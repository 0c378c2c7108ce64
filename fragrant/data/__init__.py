"""Data: list files and video files to batches of clips."""

from fragrant.data.build import build_dataset, build_loader, build_records, build_source
from fragrant.data.video.frames import VideoError, open_frames

__all__ = ["VideoError", "build_dataset", "build_loader", "build_records", "build_source", "open_frames"]
