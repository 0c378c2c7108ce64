"""Errors as the user sees them: one line, and the exit code."""

import io
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from fragrant.distributed.signals import SIGNALS, EndedBySignal, end_at_once, follows_parent, handled
from fragrant.early import INTERRUPTED, last_line
from fragrant.errors import LostContact, RunStopped, UserError
from fragrant.plugins import load_plugins
from fragrant.texts import give_up, printable
from fragrant.torchrun import tell

PACKAGE = str(Path(__file__).resolve().parents[1])
LONGEST = 600  # letters of an error that was not written for the user


def exit_code(main: Callable[[], int | None], *, debug: bool, plugins: Sequence[str] = ()) -> int:
    """Imports the plug-ins and runs ``main``: what it returns, 0 when done, 2 after one line on stderr for wrong input,
    1 for a run that had to stop, whatever stopped it; 130 after Ctrl-C.

    Args:
        debug: errors are raised, with their traceback.
    """
    # fvcore's, not the user's
    warnings.filterwarnings("ignore", message=".*torch.jit.script.* is deprecated", category=FutureWarning)
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal's encoding cannot show ends nothing
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with handled(end_at_once, [*SIGNALS, signal.SIGINT]):
            load_plugins(plugins)
            return main() or 0
    except KeyboardInterrupt:
        if follows_parent():  # which says it for all
            return INTERRUPTED
        return _told(last_line(signal.SIGINT), INTERRUPTED)
    except EndedBySignal as end:
        return _told(last_line(end.number), 1)
    except (Exception, SystemExit) as error:  # sys.exit(0) of a plug-in in the middle of a run is no success
        if debug and not isinstance(error, SystemExit):
            raise
        if isinstance(error, UserError):
            return _told(f"error: {_in_one_line(error)}", 2)
        code = error.code if isinstance(error, SystemExit) else 1
        follows = isinstance(error, LostContact)
        return _told(f"stopped: {in_words(error)}", code if isinstance(code, int) and code else 1, follows=follows)


def in_words(error: BaseException) -> str:
    """One line; of an error that was not written for the user also its kind and where it was raised."""
    if isinstance(error, UserError | RunStopped):
        return _in_one_line(error)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    ours = [frame for frame in frames if frame.filename.startswith(PACKAGE)] or frames
    at = f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""
    text = _in_one_line(error)
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
    return f"{type(error).__name__}{': ' * bool(text)}{text}{at}; --debug shows the traceback"


def _in_one_line(error: BaseException) -> str:
    return printable(" ".join(str(error).splitlines()).strip())


def _told(line: str, code: int, *, follows: bool = False) -> int:
    """Says it where anybody still listens."""
    tell(line, follows=follows)
    for stream, text in ((sys.stdout, ""), (sys.stderr, line + "\n")):
        try:
            stream.write(text)
            stream.flush()
        except (OSError, ValueError):  # the terminal is closed, the pipe or the disk behind it is gone
            give_up(stream)
    return code
