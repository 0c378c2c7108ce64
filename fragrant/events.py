"""TensorBoard's event files: scalars and pictures of a run, written at once and whole."""

import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from fragrant.appended import Appended


class EventFile:
    """One file of events in a folder, which is made; several of them in one folder are shown as one run.

    torch's SummaryWriter is not used: its writing thread dies of the first full disk, and takes the run with it.

    Raises:
        OSError: the folder or the file cannot be made.
    """

    def __init__(self, folder: str | Path, *, tell: Callable[[str], object]):
        folder = Path(folder)
        self.run_id, self.link = "", str(folder)
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}"
        self._file = Appended(folder / name, tell=tell)
        self._records = RecordWriter(self._file)  # length, checksum, bytes, checksum: one write
        self._write(Event(wall_time=now, file_version="brain.Event:2"))

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())

    def _add(self, value: Summary.Value, step: int) -> None:
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))

    def scalar(self, name: str, value: float, step: int) -> None:
        self._add(Summary.Value(tag=name, simple_value=float(value)), step)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.scalar(name, value, step)

    def result(self, values: Mapping[str, object]) -> None:
        """Nothing: TensorBoard shows a test by its scalars."""

    def picture(self, name: str, data: bytes, size: tuple[int, int], step: int) -> None:
        """An encoded picture of this (width, height)."""
        image = Summary.Image(width=size[0], height=size[1], colorspace=3, encoded_image_string=data)
        self._add(Summary.Value(tag=name, image=image), step)

    def close(self, *, failed: bool = False) -> None:
        self._file.close()
