"""Log of a run: lines and progress bars on the console, one JSON line per record on disk, TensorBoard scalars."""

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import simplejson
from tqdm import tqdm

from fragrant.appended import Appended
from fragrant.errors import RunStopped, UserError
from fragrant.progress import RunProgress, bars_fit, step_bar
from fragrant.progress import duration as duration
from fragrant.texts import give_up, printable
from fragrant.trackers.quiet import Quiet
from fragrant.trackers.tracker import Tracker

LOGGER = logging.getLogger("fragrant")
LINE = "[%(asctime)s][%(levelname)s] %(filename)s: %(lineno)3d: %(message)s"


def json_stats(stats: dict) -> str:
    """Formats a log line that SlowFast's parsers read: sorted keys, every float with five decimals.

    Five decimals lose small learning rates; ``metrics.jsonl`` keeps every digit."""
    texts = (f"{simplejson.dumps(key)}: {_five_decimals(value)}" for key, value in sorted(stats.items()))
    return f"json_stats: {{{', '.join(texts)}}}"


def _five_decimals(value) -> str:
    return f"{value:.5f}" if isinstance(value, float) else simplejson.dumps(value)


def host_memory() -> str:
    """Used and total main memory, ``"10.00/20.00G"``; empty where the system does not tell."""
    try:
        page, total, free = (os.sysconf(name) for name in ("SC_PAGE_SIZE", "SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return ""
    return f"{(total - free) * page / 2**30:.2f}/{total * page / 2**30:.2f}G"


def into_files(text: str) -> None:
    """A line into the stdout.log of the run that goes on, for what the console is told by other means."""
    record = LOGGER.makeRecord(LOGGER.name, logging.ERROR, __file__, 0, text, (), None)
    for handler in LOGGER.handlers:
        if isinstance(handler, _FileHandler):
            handler.handle(record)


class _Line(logging.Formatter):
    """A message as one line: a name from anywhere in it begins no line of its own, and moves no cursor."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        return printable(super().formatMessage(record))


class _ConsoleHandler(logging.Handler):
    """Writes lines above running progress bars instead of through them; one that cannot be written is left out."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            with tqdm.external_write_mode(file=sys.stdout):
                sys.stdout.write(self.format(record) + "\n")
                sys.stdout.flush()
        except OSError:  # a full disk, or a reader that has gone (run_net.py | head): files have the line, too
            pass

    def close(self) -> None:
        """What cannot be written now must not end the process with an error of its own."""
        try:
            sys.stdout.flush()
        except OSError:
            give_up(sys.stdout)
        super().close()


class _FileHandler(logging.Handler):
    """Appends lines to a file; a full disk keeps them waiting."""

    def __init__(self, file: Appended):
        super().__init__()
        self.file = file

    def emit(self, record: logging.LogRecord) -> None:
        self.file.write(f"{self.format(record)}\n".encode(errors="backslashreplace"))

    def close(self) -> None:
        self.file.close()
        super().close()


def _last_words(error: BaseException) -> str:
    """Why a run ends early: in a line where the error says it, else with its traceback."""
    if isinstance(error, UserError | RunStopped) or not isinstance(error, Exception):
        return f"stopped: {str(error) or type(error).__name__}"
    return "".join(traceback.format_exception(error))


class RunLog:
    """The log of one run; files are appended to, so that a resumed run continues them. A full disk, or whatever else
    hinders writing, is said once and never ends the run: what could not be written is written when there is room.

    Args:
        output_dir: where ``stdout.log`` and ``metrics.jsonl`` go; None = console only.
        tensorboard_dir: where TensorBoard's event files go; None = none are written.
        main: False on ranks other than 0, which stay silent.

    Raises:
        UserError: a file cannot be made at all, or a folder or a named pipe has its name.
    """

    def __init__(
        self, output_dir: str | Path | None = None, *, tensorboard_dir: str | Path | None = None, main: bool = True
    ):
        self.terminal = main and sys.stdout.isatty()
        self._bars = main and bars_fit()
        self.progress: RunProgress | None = None  # of a training at work
        self._handlers: list[logging.Handler] = []
        self._metrics = self._board = None
        self._trackers: list[Tracker | Quiet] = []
        self._failed = False
        LOGGER.setLevel(logging.INFO)
        LOGGER.propagate = False  # other libraries put handlers on the root
        if not main:
            self._keep(logging.NullHandler())
            return
        self._keep(_ConsoleHandler())
        if output_dir is not None:
            self._keep(_FileHandler(self._appended(Path(output_dir, "stdout.log"))))
            self._metrics = self._appended(Path(output_dir, "metrics.jsonl"))
        if tensorboard_dir is not None:
            from fragrant.events import EventFile  # imported late: it takes a while

            with self._opening(tensorboard_dir):
                self._board = EventFile(tensorboard_dir, tell=self.warn)
            self._trackers.append(self._board)

    @contextlib.contextmanager
    def _opening(self, path: str | Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.close()
            raise UserError(f"'{error.filename or path}' cannot be written: {error.strerror or error}") from error

    def _appended(self, path: Path) -> Appended:
        with self._opening(path):
            return Appended(path, tell=self.warn)

    def _keep(self, handler: logging.Handler) -> None:
        handler.setFormatter(_Line("%(message)s" if self._plain(handler) else LINE, datefmt="%m/%d %H:%M:%S"))
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
            text: shown on a terminal instead of the line; empty = nothing (a progress bar shows it, or a line that
                follows).
            more: further values for ``metrics.jsonl`` only.
        """
        line = LOGGER.makeRecord(LOGGER.name, logging.INFO, __file__, 99, json_stats(stats), (), None)
        for handler in self._handlers:
            if not self._plain(handler):
                handler.handle(line)
            elif text:
                handler.handle(LOGGER.makeRecord(LOGGER.name, logging.INFO, __file__, 99, text, (), None))
        if self._metrics is not None:
            text = simplejson.dumps({**stats, **(more or {})}, sort_keys=True, ignore_nan=True)
            self._metrics.write(f"{text}\n".encode(errors="backslashreplace"))

    def track(self, tracker: Quiet) -> None:
        """From here on this service gets scalars and results, too; it is closed with the log."""
        self._trackers.append(tracker)

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Writes scalars to TensorBoard and to every other tracker; nothing where there is none."""
        for tracker in self._trackers if values else ():
            tracker.scalars(values, step)

    def result(self, values: dict[str, object]) -> None:
        """Tells the trackers what a test has found."""
        for tracker in self._trackers:
            tracker.result(values)

    @property
    def has_board(self) -> bool:
        """Whether TensorBoard is on."""
        return self._board is not None

    def picture(self, name: str, data: bytes, size: tuple[int, int], step: int) -> None:
        """Writes an encoded picture of this (width, height), or an animated GIF, to TensorBoard; nothing when it is
        off."""
        if self._board is not None:
            self._board.picture(name, data, size, step)

    def bar(self, steps: Iterator, *, total: int, title: str) -> tqdm:
        """A progress bar on a terminal; elsewhere an iterator that prints nothing."""
        return step_bar(steps, total=total, title=title, shown=self._bars, below=self.progress is not None)

    @contextlib.contextmanager
    def run_bar(self, epochs: int, *, done: float) -> Iterator[RunProgress]:
        """Within it there is a progress of the run, on a terminal as a bar above the others; see ``RunProgress``."""
        self.progress = RunProgress(epochs, done=done, shown=self._bars)
        try:
            yield self.progress
        finally:
            self.progress.close()
            self.progress = None

    def at(self, done: float, **facts: str) -> None:
        """Tells the progress of the run, where there is one."""
        if self.progress is not None:
            self.progress.at(done, **facts)

    def eta(self) -> str:
        """Duration of what is left of the run; "" where that is not known."""
        return self.progress.eta() if self.progress is not None else ""

    def close(self) -> None:
        if self._metrics is not None:  # before the lines: what fails now is still said
            self._metrics.close()
        for tracker in self._trackers:
            tracker.close(failed=self._failed)
        self._metrics = self._board = None
        self._trackers = []
        for handler in reversed(self._handlers):  # the console last, for the same reason
            LOGGER.removeHandler(handler)
            handler.close()
        self._handlers = []
        LOGGER.propagate = True

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace) -> None:
        if error is not None:
            self._failed = True
            into_files(_last_words(error))
        self.close()
