"""From list files and video files to batches of clips."""

from fragrant.data.build import build_loader, read_clip
from fragrant.data.frames import VideoError, open_frames

__all__ = ["VideoError", "build_loader", "open_frames", "read_clip"]
