"""Errors as the user sees them: one line, and the exit code."""

import sys
import warnings
from collections.abc import Callable, Sequence

from fragrant.errors import RunStopped, UserError
from fragrant.plugins import load_plugins


def exit_code(main: Callable[[], int | None], *, debug: bool, plugins: Sequence[str] = ()) -> int:
    """Imports the plug-ins, runs ``main`` and returns the exit code: what ``main`` returns, or 0; 2 after one line on
    stderr for wrong input, 1 for a run that had to stop."""
    # fvcore's, not the user's
    warnings.filterwarnings("ignore", message=".*torch.jit.script.* is deprecated", category=FutureWarning)
    try:
        load_plugins(plugins)
        return main() or 0
    except (UserError, RunStopped) as error:
        if debug:
            raise
        print(
            f"{'error' if isinstance(error, UserError) else 'stopped'}: {' '.join(str(error).splitlines())}",
            file=sys.stderr,
        )
        return 2 if isinstance(error, UserError) else 1
    except KeyboardInterrupt:
        print("stopped: interrupted from the keyboard; the last checkpoint stays", file=sys.stderr)
        return 130
