"""The arguments of a live run; importing them takes no time."""

import argparse
from collections.abc import Callable

from fragrant.files import is_address


def source_argument(path: Callable[[str], str]) -> Callable[[str], str]:
    """The ``type`` of --source: addresses and camera numbers stay as they are, all else is a path."""

    def read(text: str) -> str:
        return text if is_address(text) or text.isdecimal() else path(text)

    return read


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port; allowed: 0 to 65535, 0 = any that is free")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' must be a number above 0")
    return value


def add_live_arguments(parser: argparse.ArgumentParser, path: Callable[[str], str]) -> None:
    """Adds --source and what belongs to it; ``path`` is the ``type`` of arguments that name files."""
    live = parser.add_argument_group("live video", "--sliding and --step as above; the step is 0.25 s")
    add = live.add_argument
    text = "camera 0, 1, ..., an address (rtsp://, http://, ...), a file as a stream, or a folder with --watch"
    add("--source", type=source_argument(path), metavar="SOURCE", help=text)
    add("--watch", action="store_true", help="predict new videos of the folder, each once when it is complete")
    add("--smooth", type=float, default=0.5, metavar="SECONDS", help="memory of the mean over windows; default 0.5")
    add("--enter", type=float, default=0.6, metavar="P", help="an action begins at this probability; default 0.6")
    add("--leave", type=float, default=0.4, metavar="P", help="and ends below this one; default 0.4")
    add("--annotate", type=path, default="", metavar="MP4", help="the video with the answers below the picture")
    add("--serve", type=_port, metavar="PORT", help="a page with picture, actions and timeline; 0 = any free port")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="where the page is served; default: this machine alone")
    add("--realtime", action="store_true", help="a file at its own speed, as a camera")
    add("--for", dest="seconds", type=_positive, default=0.0, metavar="SECONDS", help="end after so long")
    add("--timeout", type=_positive, default=10.0, metavar="SECONDS", help="a stream silent for so long is lost")
    add("--tries", type=int, default=0, metavar="N", help="give up a lost stream after N tries; default: never")
    add("--settle", type=_positive, default=2.0, metavar="SECONDS", help="a file unchanged for so long is complete")
