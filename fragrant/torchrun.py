"""What torchrun is told when one of its processes ends: the line that the user reads, in the place of a traceback.

torchrun ends with a list of its processes that failed, and of each shows what it has left in its error file; exit codes
of its processes it does not hand on, its own is 1."""

import json
import os
import time

LATER = 1  # seconds: torchrun compares whole ones


def tell(line: str, *, follows: bool = False) -> None:
    """Leaves the last line of this process to torchrun; does nothing for a process that it did not start, or where an
    earlier line lies.

    Args:
        follows: that another process ended is the reason: torchrun is to name that one as the first.
    """
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if not path:
        return
    when = int(time.time()) + (LATER if follows else 0)
    message = {"message": line, "extraInfo": {"py_callstack": line, "timestamp": str(when)}}
    try:
        if not os.path.exists(path):
            with open(f"{path}.part", "w", encoding="utf-8") as file:
                json.dump({"message": message}, file)
            os.replace(f"{path}.part", path)  # half a file would be an error of torchrun's own
    except OSError:  # no room: the line stands on stderr anyway
        pass
