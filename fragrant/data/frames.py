"""The former place of ``fragrant.data.video.frames``, for scripts that import from here."""

from fragrant.data.video.frames import VideoError, open_frames

__all__ = ["VideoError", "open_frames"]
