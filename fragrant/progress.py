"""How far a training is: the bar of the run on a terminal, above that of the epoch."""

import datetime
import os
import sys
import time
from collections.abc import Callable, Iterable

from tqdm import tqdm

REDRAW = 0.2  # seconds between two drawings of the run's bar
ECHO = 3  # columns: ^C, and the cursor
RUN = "{desc} {percentage:3.0f}%|{bar}| {facts}"


def duration(seconds: float) -> str:
    """Formats a duration as ``"1:02:03"``; any number gives a text, also one that is not finite."""
    return str(datetime.timedelta(seconds=int(seconds)))


def bars_fit() -> bool:
    """Whether stdout is a terminal that can move its cursor up."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


class _Bar(tqdm):
    """A bar with words of ours behind it, since tqdm's own postfix begins with a comma. It leaves room at the end of
    the line: the ^C with which a terminal echoes Ctrl-C would else begin a new one, and leave a bar behind."""

    facts = ""

    @property
    def format_dict(self) -> dict:
        told = super().format_dict
        columns = told["ncols"] and max(1, told["ncols"] - ECHO)
        return {**told, "ncols": columns, "facts": self.facts}


class RunProgress:
    """Progress of a training, in epochs: how much is done, how long the rest takes, what it has reached.

    Args:
        epochs: of the whole run.
        done: of them when this process begins; an interrupted epoch counts in part.
        shown: draws the bar.
        clock: seconds, rising.
    """

    def __init__(
        self, epochs: float, *, done: float = 0.0, shown: bool, clock: Callable[[], float] = time.perf_counter
    ):
        self.epochs, self.done, self._first, self._clock = epochs, done, done, clock
        self._began = clock()
        self._drawn = float("-inf")
        self.facts: dict[str, str] = {}
        options = {"disable": not shown, "leave": False, "dynamic_ncols": True, "file": sys.stdout}
        self._bar = _Bar(total=epochs, initial=done, desc="run", position=0, bar_format=RUN, **options)
        self.at(done)

    def eta(self) -> str:
        """Duration of the rest at the pace of this process so far, validation and saving included; "" before there is
        a pace."""
        gone = self.done - self._first
        if gone <= 0:
            return ""
        return duration((self._clock() - self._began) / gone * (self.epochs - self.done))

    def at(self, done: float, **facts: str) -> None:
        """``done`` epochs are over; ``facts`` are shown as they are, under their names, until they are told anew."""
        self.done = done
        self.facts |= facts
        now = self._clock()
        if not self._bar.disable and (facts or now - self._drawn >= REDRAW):
            self._drawn, self._bar.n, self._bar.facts = now, done, self.in_words()
            self._bar.refresh()

    def in_words(self) -> str:
        """``"2/50 epochs, ETA 0:12:31, loss 0.5321, val top-1 61.20 %, best 63.00 %"``"""
        rest = [f"ETA {eta}"] if (eta := self.eta()) else []
        named = [f"{name} {value}" for name, value in self.facts.items()]
        return ", ".join([f"{int(self.done)}/{self.epochs:g} epochs", *rest, *named])

    def close(self) -> None:
        self._bar.close()


def step_bar(steps: Iterable, *, total: int, title: str, shown: bool, below: bool) -> tqdm:
    """A bar over the steps of an epoch or an evaluation; prints nothing where it is not ``shown``.

    Args:
        below: of the run's bar.
    """
    options = {"disable": not shown, "leave": False, "dynamic_ncols": True, "file": sys.stdout}
    return _Bar(steps, total=total, desc=title, unit="batch", position=1 if below else 0, **options)
