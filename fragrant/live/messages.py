"""What the parts of a live run tell each other: frames, answers, events, and news of the source."""

from typing import NamedTuple

import av
from torch import Tensor

from fragrant.inference.predictor import Ranked


class LiveFrame(NamedTuple):
    """A decoded frame.

    Attributes:
        image: as the decoder gives it; None of a frame whose pixels nobody needs.
        time: seconds since the first frame of the run.
        number: frames of the run before it, dropped ones among them.
        connection: how often the source was opened before; frames of two connections are no neighbours.
        arrived: ``time.perf_counter()`` when its bytes came, before they were decoded.
        clock: ``time.time()`` of the same moment.
        fps: of the source, None where nothing says.
    """

    image: av.VideoFrame
    time: float
    number: int
    connection: int
    arrived: float
    clock: float
    fps: float | None


class News(NamedTuple):
    """The source is lost, back, or at its end.

    Attributes:
        kind: "lost", "back" or "end".
        reason: in words.
        seconds: until the next try ("lost"), of the gap ("back").
    """

    kind: str
    clock: float
    reason: str = ""
    seconds: float = 0.0


class LiveWindow(NamedTuple):
    """The answer for the newest frames.

    Attributes:
        start, end: seconds since the first frame of the run.
        clock: of the newest frame, seconds since 1970.
        first, last: numbers of the frames of the window.
        logits, probs, smooth: (K,); the probabilities of this window alone, and smoothed.
        top: the best classes by ``smooth``, with their smoothed probabilities.
        luma: mean brightness 0..1 of the clip's frames.
        latency: seconds from the arrival of the newest frame to this answer.
        dropped, skipped: frames and windows that were left out so far, since nobody had time for them.
        choices: what the network chose, by name.
    """

    start: float
    end: float
    clock: float
    first: int
    last: int
    logits: Tensor
    probs: Tensor
    smooth: Tensor
    top: list[Ranked]
    luma: float
    latency: float
    dropped: int
    skipped: int
    choices: dict[str, float]


class ActionEvent(NamedTuple):
    """An action begins or ends.

    Attributes:
        kind: "enter" or "leave".
        time, clock: as of the window at which that was seen.
        prob: the smoothed probability there.
        since: when it began, in seconds.
    """

    kind: str
    name: str
    number: int
    time: float
    clock: float
    prob: float
    since: float


class Listener:
    """Hears what happens in a live run; all methods are called by its loop, one after the other."""

    def frame(self, frame: LiveFrame) -> None:
        """Every frame that was not dropped."""

    def window(self, window: LiveWindow) -> None:
        """Every answer."""

    def event(self, event: ActionEvent) -> None:
        """Every action that begins or ends, after the window that shows it."""

    def news(self, news: News) -> None:
        """What happens to the source."""
