"""What the user sees when something is wrong: one line, and the exit code."""

import io
import sys
import warnings
from collections.abc import Callable, Sequence

from fragrant.errors import RunStopped, UserError
from fragrant.plugins import load_plugins
from fragrant.texts import printable


def exit_code(main: Callable[[], int | None], *, debug: bool, plugins: Sequence[str] = ()) -> int:
    """Imports the plug-ins and runs ``main``: what it returns, 0 when done, 2 after one line on stderr for wrong input,
    1 for a run that had to stop."""
    # fvcore's, not the user's
    warnings.filterwarnings("ignore", message=".*torch.jit.script.* is deprecated", category=FutureWarning)
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal's encoding cannot show ends nothing
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        load_plugins(plugins)
        return main() or 0
    except (UserError, RunStopped) as error:
        if debug:
            raise
        print(
            f"{'error' if isinstance(error, UserError) else 'stopped'}: {printable(' '.join(str(error).splitlines()))}",
            file=sys.stderr,
        )
        return 2 if isinstance(error, UserError) else 1
    except KeyboardInterrupt:
        print("stopped: interrupted from the keyboard; the last checkpoint stays", file=sys.stderr)
        return 130
