"""Live prediction as a command: checks what was asked for, puts the parts together, and ends them in order."""

import os
import sys
from collections.abc import Sequence

import torch

from fragrant.errors import RunStopped, UserError
from fragrant.files import refuse_as_output
from fragrant.inference.formats import WRITERS
from fragrant.inference.predictor import Prediction, Predictor
from fragrant.live.board import Board
from fragrant.live.frame_queue import FrameQueue
from fragrant.live.lines import Printer
from fragrant.live.loop import TIME_OVER, LiveLoop, Settings, Summary
from fragrant.live.messages import Listener
from fragrant.live.page import live_page
from fragrant.live.pictures import Pictures
from fragrant.live.reader import Reader
from fragrant.live.server import PageServer
from fragrant.live.source import FILE, FOLDER, Opened, kind_of, open_source, shown
from fragrant.live.stop import Stop
from fragrant.live.watch import Arrivals, arriving
from fragrant.texts import printable
from fragrant.workers import usable_cores

SPARE = 32  # frames that the queue holds beyond a window


def say(text: str) -> None:
    """A line about the run itself: on stderr, where it is no answer."""
    print(printable(text), file=sys.stderr, flush=True)


def check(arguments, kind: str) -> None:
    """What can be known before a network is loaded.

    Raises:
        UserError: arguments that do not go together, or a source or place that is not there.
    """
    name = f"--source '{shown(arguments.source)}'"
    if arguments.form == "csv":
        raise UserError("--csv is for files; a live run prints lines for people, or --json")
    if kind == FOLDER:
        if not arguments.watch:
            raise UserError(f"{name} is a folder: give --watch for the videos that will arrive in it, or name it alone")
        given = {"annotate": arguments.annotate, "serve": arguments.serve is not None, "realtime": arguments.realtime}
        for flag, is_given in given.items():
            if is_given:
                raise UserError(f"--{flag} is for one stream; {name} is a folder")
        return
    if arguments.watch:
        raise UserError(f"--watch is for folders; {name} is {'not there' if kind == FILE else f'a {kind}'}")
    if kind == FILE and not os.path.exists(arguments.source):
        raise UserError(f"{name} cannot be opened: no such file")
    if arguments.realtime and kind != FILE:
        raise UserError(f"--realtime is for files; {name} is a {kind}")
    if arguments.annotate:
        if not arguments.annotate.lower().endswith(".mp4"):
            raise UserError(f"--annotate '{arguments.annotate}' must end in .mp4")
        if (
            kind == FILE
            and os.path.exists(arguments.annotate)
            and os.path.samefile(arguments.annotate, arguments.source)
        ):
            raise UserError(f"--annotate '{arguments.annotate}' is the source itself")
        refuse_as_output(arguments.annotate)


def run_live(arguments, load) -> None:
    """The whole command; ``load()`` loads the predictor.

    Raises:
        UserError, RunStopped, KeyboardInterrupt, EndedBySignal
    """
    kind = kind_of(arguments.source)
    check(arguments, kind)
    with Stop() as stop:
        if kind == FOLDER:
            _watch(arguments, load, stop)
        else:
            server = PageServer(arguments.host, arguments.serve) if arguments.serve is not None else None
            try:
                _stream(arguments, load, stop, server)
            finally:
                if server:
                    server.close()
        stop.raise_if_heard()


def spare_a_core(device: torch.device) -> None:
    """On the CPU the network leaves a core to reading and drawing: with a thread too many, all of its threads wait."""
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, usable_cores() - 1))


# --------------------------------------------------------------------------------------------------------------- stream
def _stream(arguments, load, stop: Stop, server: PageServer | None) -> None:
    predictor: Predictor = load()
    spare_a_core(predictor.device)
    name = shown(arguments.source)
    label = os.path.basename(name) if kind_of(arguments.source) == FILE else name  # on pictures
    limits = predictor.source.limits
    opened = open_source(arguments.source, limits=limits, timeout=arguments.timeout)
    lossless = opened.finite and not arguments.realtime
    queue = FrameQueue(SPARE, lossless=lossless)
    listeners: list[Listener] = [Printer(name, arguments.form)]
    board, pictures = None, None
    loop = LiveLoop(predictor, queue, _settings(arguments), listeners)
    if server:
        board = Board(label, predictor.class_names)
        listeners.append(board)
        server.start(live_page(label), board.snapshot)
        say(f"page: {server.address}")
    if server or arguments.annotate:
        pictures = Pictures(
            record=arguments.annotate, shown=server.picture if server else None, lossless=lossless, source=label
        )
        listeners.append(pictures)
    reader = Reader(
        opened,
        queue,
        reopen=lambda: open_source(arguments.source, limits=limits, timeout=arguments.timeout),
        paced=arguments.realtime,
        tries=arguments.tries,
    )
    say(_introduction(name, opened, predictor, arguments))
    try:
        reader.start()
        summary = loop.run(stop.asked.is_set)
    finally:
        reader.stop()
        if pictures:
            pictures.close()
        if board:
            board.over()
    _conclude(arguments, summary, reader, pictures, predictor, opened, stopped=stop.asked.is_set(), loop=loop)


def _settings(arguments) -> Settings:
    step = {} if arguments.step is None else {"step": arguments.step}
    return Settings(
        window=arguments.sliding or None,
        smooth=arguments.smooth,
        enter=arguments.enter,
        leave=arguments.leave,
        top=arguments.top,
        most_seconds=arguments.seconds,
        **step,
    )


def _introduction(name: str, opened: Opened, predictor: Predictor, arguments) -> str:
    height, width = opened.size
    rate = f"{opened.fps:.4g} frames/s" if opened.fps else "unknown rate"
    seconds = arguments.sliding or predictor.source.window_frames(opened.fps) / (opened.fps or 30.0)
    return f"source '{name}': {width}x{height}, {rate}; windows of {seconds:.2f} s on {predictor.device}"


def _conclude(arguments, summary: Summary, reader, pictures, predictor, opened, *, stopped: bool, loop) -> None:
    """The last lines, and what went wrong."""
    if arguments.annotate and pictures and pictures.error is not None:
        why = getattr(pictures.error, "strerror", None) or str(pictures.error)
        raise UserError(f"'{arguments.annotate}' cannot be written: {why}")
    if reader.error is not None:
        raise reader.error
    rate = summary.frames / summary.seconds if summary.seconds else 0.0
    latency = (
        ""
        if not summary.latencies
        else (
            f"; to the answer {1e3 * summary.latency(0.5):.0f} ms (median), {1e3 * summary.latency(0.95):.0f} ms (95 %)"
        )
    )
    say(
        f"{summary.frames} frames in {summary.seconds:.1f} s ({rate:.1f} frames/s), {summary.windows} windows, "
        f"{summary.dropped} frames dropped{latency}"
    )
    if arguments.annotate:
        out = f", {pictures.left_out} frames left out" if pictures.left_out else ""
        say(f"{arguments.annotate}: the annotated video{out}" if summary.frames else "no frame came: no video")
    if summary.reason.startswith("given up"):
        raise RunStopped(f"source '{shown(arguments.source)}' {summary.reason}")
    name = f"source '{shown(arguments.source)}'"
    stopped = stopped or summary.reason == TIME_OVER
    if opened.finite and summary.frames and summary.reason and not stopped:
        say(f"{name} ends early: {summary.reason}")
    if opened.finite and not summary.frames and not stopped:
        raise UserError(f"{name} cannot be read: {summary.reason or 'no frame of it decodes'}")
    if opened.finite and not summary.windows and not stopped:
        raise UserError(
            f"{name} has {summary.frames} frames, fewer than a window of this network ({loop.length}); give "
            "--sliding SECONDS for shorter windows, or name the file without --source"
        )


# --------------------------------------------------------------------------------------------------------------- folder
def _watch(arguments, load, stop: Stop) -> None:
    arrivals = Arrivals(arguments.source, settle=arguments.settle)
    predictor: Predictor = load()
    there = f" {arrivals.known} that are there already are left out." if arrivals.known else ""
    say(f"watching '{arguments.source}' for new videos.{there}")
    count = failed = 0
    for path in arriving(arrivals, stop.asked.wait, seconds=arguments.seconds):
        prediction = _predicted(predictor, path, arguments)
        arrivals.done(path, again=bool(prediction.error))
        count, failed = count + 1, failed + bool(prediction.error)
        if prediction.error:
            say(f"error: {prediction.error}; it is tried again when it changes")
        if not prediction.error or arguments.form != "text":
            print(WRITERS[arguments.form](prediction), flush=True)
    say(f"{count} videos arrived, {failed} of them cannot be read")


def _predicted(predictor: Predictor, path: str, arguments) -> Prediction:
    paths: Sequence[str] = [path]
    if arguments.sliding is None:
        return next(predictor.predict_all(paths, top=arguments.top))
    how = {"seconds": arguments.sliding or None, "step": arguments.step, "top": arguments.top}
    return next(predictor.windows_of_all(paths, **how))
