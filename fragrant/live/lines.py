"""What a live run prints: lines for a person, or JSON lines."""

import sys
import time
from datetime import datetime, timezone
from typing import TextIO

import simplejson

from fragrant.live.messages import ActionEvent, Listener, LiveWindow, News
from fragrant.texts import printable


def clock_text(clock: float) -> str:
    """A time as in ISO 8601, to the millisecond, in UTC: ``"2026-05-04T12:00:00.250Z"``"""
    return datetime.fromtimestamp(clock, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def window_fields(window: LiveWindow) -> dict:
    """The fields of a window's JSON line."""
    fields = {
        "type": "window",
        "clock": clock_text(window.clock),
        "start": round(window.start, 3),
        "end": round(window.end, 3),
        "frames": [window.first, window.last],
        "top": [{**ranked._asdict(), "window_prob": float(window.probs[ranked.number])} for ranked in window.top],
        "luma": round(window.luma, 4),
        "latency_ms": round(1e3 * window.latency, 1),
        "dropped_frames": window.dropped,
        "skipped_windows": window.skipped,
    }
    return fields | ({"choices": window.choices} if window.choices else {})


def event_fields(event: ActionEvent) -> dict:
    """The fields of an event's JSON line."""
    fields = {
        "type": event.kind,
        "clock": clock_text(event.clock),
        "time": round(event.time, 3),
        "name": event.name,
        "number": event.number,
        "prob": event.prob,
    }
    if event.kind == "leave":
        fields |= {"since": round(event.since, 3), "seconds": round(event.time - event.since, 3)}
    return fields


def news_fields(news: News) -> dict:
    """The fields of a JSON line about the source."""
    fields: dict = {"type": news.kind, "clock": clock_text(news.clock)}
    fields |= {"reason": news.reason} if news.reason else {}
    name = {"lost": "next_try_seconds", "back": "gap_seconds"}.get(news.kind)
    return fields | ({name: round(news.seconds, 3)} if name else {})


def news_text(news: News) -> str:
    """The same for a person."""
    if news.kind == "lost":
        return f"lost: {news.reason}; the next try in {news.seconds:g} s"
    if news.kind == "back":
        return f"back after {news.seconds:.1f} s"
    return f"the end{f': {news.reason}' if news.reason else ''}"


class Printer(Listener):
    """Prints every message as one line, at once.

    Args:
        source: as it is shown.
        form: "text" or "json".
        out, err: for messages; for what happens to the source in text form, which is no answer. None = the standard
            streams.
    """

    def __init__(self, source: str, form: str, *, out: TextIO | None = None, err: TextIO | None = None):
        self.source, self.form = source, form
        self.out, self.err = out or sys.stdout, err or sys.stderr

    def window(self, window: LiveWindow) -> None:
        if self.form == "json":
            return self._json(window_fields(window))
        ranks = ", ".join(f"{ranked.name} {100 * ranked.prob:.1f} %" for ranked in window.top)
        more = "".join(f"; {name} {value:.3g}" for name, value in window.choices.items())
        self._say(self.out, f"  {window.start:8.2f} .. {window.end:8.2f} s: {ranks}{more}")

    def event(self, event: ActionEvent) -> None:
        if self.form == "json":
            return self._json(event_fields(event))
        clock = time.strftime("%H:%M:%S", time.localtime(event.clock))
        if event.kind == "enter":
            what = f"{event.name} begins ({100 * event.prob:.0f} %)"
        else:
            what = f"{event.name} ends after {event.time - event.since:.2f} s"
        self._say(self.out, f"{clock} {event.time:8.2f} s: {what}")

    def news(self, news: News) -> None:
        if self.form == "json":
            self._json(news_fields(news))
        if news.kind != "end":
            self._say(self.err, f"source '{self.source}' {news_text(news)}")

    def _json(self, fields: dict) -> None:
        self._write(self.out, simplejson.dumps(fields, ignore_nan=True))

    def _say(self, stream: TextIO, text: str) -> None:
        self._write(stream, printable(text))

    def _write(self, stream: TextIO, line: str) -> None:
        stream.write(f"{line}\n")  # one call: a line is whole or not there
        stream.flush()
