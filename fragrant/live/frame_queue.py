"""The queue between the thread that reads a source and the loop that looks at its frames: bounded, whatever happens."""

import threading
from collections import deque

from fragrant.live.messages import LiveFrame, News

MOST_NEWS = 1000  # that nobody has taken


class FrameQueue:
    """Frames and news in their order.

    Args:
        capacity: frames that it holds.
        lossless: ``put`` waits for room, as files are read; else the oldest frame is dropped, as of a camera.
    """

    def __init__(self, capacity: int, *, lossless: bool):
        self.capacity = capacity
        self.lossless = lossless
        self.dropped = 0
        self._frames: deque[LiveFrame] = deque()
        self._news: deque[tuple[int, News]] = deque(maxlen=MOST_NEWS)  # with the number of frames put before
        self._put = self._taken = 0
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: LiveFrame) -> bool:
        """Adds a frame; False when nobody takes frames any more."""
        with self._changed:
            while self.lossless and len(self._frames) >= self.capacity and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            if len(self._frames) >= self.capacity:
                self._frames.popleft()
                self._taken += 1
                self.dropped += 1
            self._frames.append(frame)
            self._put += 1
            self._changed.notify_all()
            return True

    def tell(self, news: News) -> None:
        with self._changed:
            self._news.append((self._put, news))
            self._changed.notify_all()

    def take(self, timeout: float) -> list[LiveFrame | News]:
        """All that is there, in its order; waits for something up to ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._news or self._closed, timeout)
            items: list[LiveFrame | News] = []
            while self._frames or self._news:
                if self._news and (self._news[0][0] <= self._taken or not self._frames):
                    items.append(self._news.popleft()[1])
                else:
                    items.append(self._frames.popleft())
                    self._taken += 1
            self._changed.notify_all()
            return items

    def close(self) -> None:
        """Nobody takes any more: whoever waits to put something goes on."""
        with self._changed:
            self._closed = True
            self._frames.clear()
            self._changed.notify_all()
