"""Log of a run: lines and a progress bar on the console, one JSON line per record on disk, TensorBoard scalars."""

import datetime
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import simplejson
from tqdm import tqdm

LOGGER = logging.getLogger("fragrant")
LINE = "[%(asctime)s][%(levelname)s] %(filename)s: %(lineno)3d: %(message)s"


def json_stats(stats: dict) -> str:
    """Formats a log line that SlowFast's parsers read: sorted keys, every float with five decimals.

    Five decimals lose small learning rates; ``metrics.jsonl`` keeps every digit."""
    texts = (f"{simplejson.dumps(key)}: {_five_decimals(value)}" for key, value in sorted(stats.items()))
    return f"json_stats: {{{', '.join(texts)}}}"


def _five_decimals(value) -> str:
    return f"{value:.5f}" if isinstance(value, float) else simplejson.dumps(value)


def duration(seconds: float) -> str:
    """Formats a duration as ``"1:02:03"``, from a day on as ``"1 day, 1:02:03"``."""
    return str(datetime.timedelta(seconds=int(seconds)))


def host_memory() -> str:
    """Used and total main memory, ``"10.00/20.00G"``; empty where the system does not tell."""
    try:
        page, total, free = (os.sysconf(name) for name in ("SC_PAGE_SIZE", "SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return ""
    return f"{(total - free) * page / 2**30:.2f}/{total * page / 2**30:.2f}G"


class _ConsoleHandler(logging.Handler):
    """Console handler that writes lines above a running progress bar instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        with tqdm.external_write_mode(file=sys.stdout):
            sys.stdout.write(self.format(record) + "\n")
            sys.stdout.flush()


class RunLog:
    """The log of one run; files are appended to, so that a resumed run continues them.

    Args:
        output_dir: where ``stdout.log`` and ``metrics.jsonl`` go; None = console only.
        tensorboard_dir: where TensorBoard's event files go; None = none are written.
        main: False on ranks other than 0, which stay silent.
    """

    def __init__(
        self, output_dir: str | Path | None = None, *, tensorboard_dir: str | Path | None = None, main: bool = True
    ):
        self.terminal = main and sys.stdout.isatty()
        self._handlers: list[logging.Handler] = []
        self._metrics = self._board = None
        LOGGER.setLevel(logging.INFO)
        LOGGER.propagate = False  # other libraries put handlers on the root
        if not main:
            self._keep(logging.NullHandler())
            return
        self._keep(_ConsoleHandler())
        if output_dir is not None:
            output_dir = Path(output_dir)
            self._keep(logging.FileHandler(output_dir / "stdout.log", encoding="utf-8"))
            self._metrics = open(output_dir / "metrics.jsonl", "a", encoding="utf-8", buffering=1)
        if tensorboard_dir is not None:
            from torch.utils.tensorboard import SummaryWriter  # imported late: it takes a second

            self._board = SummaryWriter(str(tensorboard_dir))

    def _keep(self, handler: logging.Handler) -> None:
        handler.setFormatter(
            logging.Formatter("%(message)s" if self._plain(handler) else LINE, datefmt="%m/%d %H:%M:%S")
        )
        LOGGER.addHandler(handler)
        self._handlers.append(handler)

    def _plain(self, handler: logging.Handler) -> bool:
        return self.terminal and isinstance(handler, _ConsoleHandler)  # people read it: no time stamp, no file name

    def say(self, text: str) -> None:
        """Writes one line for people, on the console and in stdout.log."""
        LOGGER.info(text, stacklevel=2)

    def warn(self, text: str) -> None:
        LOGGER.warning(text, stacklevel=2)

    def record(self, stats: dict, *, text: str = "", more: dict | None = None) -> None:
        """Writes one record: a ``json_stats`` line in the log, a JSON line in ``metrics.jsonl``.

        Args:
            stats: the values that the line shows.
            text: shown on a terminal instead of the line; empty = nothing (the progress bar shows it).
            more: further values for ``metrics.jsonl`` only.
        """
        line = LOGGER.makeRecord(LOGGER.name, logging.INFO, __file__, 99, json_stats(stats), (), None)
        for handler in self._handlers:
            if not self._plain(handler):
                handler.handle(line)
            elif text:
                handler.handle(LOGGER.makeRecord(LOGGER.name, logging.INFO, __file__, 99, text, (), None))
        if self._metrics is not None:
            self._metrics.write(simplejson.dumps({**stats, **(more or {})}, sort_keys=True, ignore_nan=True) + "\n")

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Writes scalars to TensorBoard; nothing when it is off."""
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    @property
    def has_board(self) -> bool:
        """Whether TensorBoard is on."""
        return self._board is not None

    def picture(self, name: str, data: bytes, size: tuple[int, int], step: int) -> None:
        """Writes an encoded picture of this (width, height), or an animated GIF, to TensorBoard; nothing when it is
        off."""
        if self._board is not None:
            from tensorboard.compat.proto.summary_pb2 import Summary

            image = Summary.Image(width=size[0], height=size[1], colorspace=3, encoded_image_string=data)
            writer = self._board.file_writer
            assert writer is not None  # SummaryWriter makes it at once, and takes it away in close()
            writer.add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), step)

    def bar(self, steps: Iterator, *, total: int, title: str) -> tqdm:
        """A progress bar on a terminal; elsewhere an iterator that prints nothing."""
        return tqdm(
            steps, total=total, desc=title, disable=not self.terminal, leave=False, dynamic_ncols=True, file=sys.stdout
        )

    def close(self) -> None:
        for handler in self._handlers:
            LOGGER.removeHandler(handler)
            handler.close()
        self._handlers = []
        LOGGER.propagate = True
        for sink in (self._metrics, self._board):
            if sink is not None:
                sink.close()
        self._metrics = self._board = None

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()
