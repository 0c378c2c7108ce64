"""Decoded videos kept on disk: written when a video is read for the first time, read back as a mapped file ever
after."""

import contextlib
import hashlib
import os
from pathlib import Path

import torch
from filelock import FileLock

from fragrant.data.video.frames import OpenFrames
from fragrant.data.video.places import file_of
from fragrant.data.video.row_of_frames import LIMITS, CannotRead, Frames, Limits, VideoError
from fragrant.data.video.tensor_file import TensorFile
from fragrant.errors import UserError
from fragrant.files import made_whole, read_plain, written_whole

FORMAT = 2  # of an entry; those of before lack times, and may hold other colors


class CachedFrames:
    """Opens videos as ``open_frames`` does, from the cache where they are in it.

    Several processes, also of several machines, may share the folder: files appear whole or not at all, and the room
    they take is counted under a lock. When the folder is full nothing is thrown out, since every epoch reads all
    videos: throwing out the oldest would let none stay until it is needed again. A file that changes (size or time) is
    a new entry.

    Args:
        open_frames: reads what is not in the cache; what it returns is what is kept, so reduce frames here.
        settings: what else the pixels depend on; caches of different settings may share a folder.
        max_bytes: room for the entries; a video that needs more than a tenth of it is not kept.
        remote: as of ``open_frames``.
        limits: those of ``open_frames``; a video that is too large to be read as a whole is not kept.

    Raises:
        UserError: the folder cannot be made or written.
    """

    def __init__(
        self,
        open_frames: OpenFrames,
        folder: str | os.PathLike,
        *,
        settings: str = "",
        max_bytes: float = 50e9,
        limits: Limits = LIMITS,
        remote: str = "",
    ):
        self.open_frames = open_frames
        self.folder = Path(folder)
        self.settings = settings
        self.max_bytes = max_bytes
        self.limits = limits
        self.remote = remote
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self.folder, os.W_OK):
                raise PermissionError(0, "no permission to write")
        except OSError as error:
            raise UserError(f"DATA.CACHE_DIR '{folder}' cannot be written: {error.strerror or error}") from error

    def __call__(self, path: str) -> Frames:
        entry = self._entry(path)
        if entry is not None and entry.exists():
            try:
                return TensorFile(str(entry), limits=self.limits)
            except VideoError:  # torn by a full disk or a crash of the machine
                entry.unlink(missing_ok=True)
        frames = self.open_frames(path)
        if entry is not None and not isinstance(frames, TensorFile):
            self._keep(frames, entry)
        return frames

    def _entry(self, path: str) -> Path | None:
        """Path of this video's cache entry; None where there is no such video."""
        try:
            state = os.stat(file_of(path, remote=self.remote))  # of a member of a shard: the shard
        except (OSError, ValueError, CannotRead):  # ValueError: a NUL in its name
            return None
        text = f"{FORMAT}\n{os.path.abspath(path)}\n{state.st_size}\n{state.st_mtime_ns}\n{self.settings}"
        name = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]
        return self.folder / name[:2] / f"{name}.pt"

    def _keep(self, frames: Frames, entry: Path) -> None:
        """Stores a video in the cache, unless it does not decode to its end, or there is no room."""
        try:
            size = frames.read([0]).numel() * len(frames)
            if size > self.max_bytes / 10 or self._used() + size > self.max_bytes:
                return
            pixels = frames.read(range(len(frames)))
        except VideoError:
            return
        times = None if frames.times is None else torch.from_numpy(frames.times)
        # no room, or the disk is full (torch says RuntimeError): go on without
        with contextlib.suppress(OSError, RuntimeError):
            entry.parent.mkdir(parents=True, exist_ok=True)
            with made_whole(entry, own_name=str(os.getpid())) as unfinished:
                torch.save({"frames": pixels, "fps": frames.fps, "times": times}, unfinished)
                if not self._reserve(unfinished.stat().st_size, entry):
                    raise OSError("no room")

    def _reserve(self, size: int, entry: Path) -> bool:
        """Counts ``size`` bytes in, unless they do not fit or another process was faster."""
        with FileLock(self.folder / "size.lock"):
            used = self._used()
            fits = used + size <= self.max_bytes and not entry.exists()
            if fits:
                with written_whole(self.folder / "size", own_name=str(os.getpid()), durable=False) as file:
                    file.write(str(used + size).encode())
        return fits

    def _used(self) -> int:
        """Bytes of all entries: what the count says; where it is missing or damaged they are counted anew."""
        try:
            used = int(read_plain(self.folder / "size")[:30])
            if 0 <= used < 2**63:
                return used
        except (OSError, ValueError):
            pass
        total = 0
        for entry in self.folder.glob("??/[!.]*.pt"):
            with contextlib.suppress(OSError):
                total += entry.stat().st_size
        return total
