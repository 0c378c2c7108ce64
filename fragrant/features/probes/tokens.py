"""The tokens of a list's videos: kept in memory as far as there is room, read from the cache where there is not."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fragrant.features.cache import FeatureError
from fragrant.layers.probe import mean_over_tokens

Sample = tuple[int, int]  # place of a video in its list, number of the view


class Shelf:
    """Tokens of videos (V, L, D), by their place in the list.

    Args:
        read: reads those of a video again.
        room: bytes that may be kept in memory.
    """

    def __init__(self, read: Callable[[int], np.ndarray | None], *, room: float):
        self.room = room
        self._read, self._left = read, room
        self._kept: dict[int, np.ndarray] = {}
        self.is_full = False

    def keep(self, video: int, tokens: np.ndarray) -> None:
        """Keeps the tokens of a video if there is room."""
        if tokens.nbytes <= self._left:
            self._left -= tokens.nbytes
            self._kept[video] = tokens
        else:
            self.is_full = True

    def __getitem__(self, video: int) -> np.ndarray:
        """The tokens of a video.

        Raises:
            FeatureError: its file is gone, or damaged.
        """
        tokens = self._kept[video] if video in self._kept else self._read(video)
        if tokens is None:
            raise FeatureError(
                "a file of FEATURES.CACHE_DIR has gone or was damaged while it was in use; run the command again"
            )
        return tokens


class TokenTable(NamedTuple):
    """Tokens and labels of a list's videos, in its order.

    Attributes:
        shelf: of each video (V, L, D), float16 or float32; L may differ between videos.
        labels: (n,) class numbers.
        views: V.
        paths: (n,) of the videos.
        class_names: K names, or None.
        settings: all settings that the tokens depend on.
        num_features: D.
    """

    shelf: Shelf
    labels: np.ndarray
    views: int
    paths: list[str]
    class_names: list[str] | None
    settings: dict
    num_features: int

    def samples(self, videos: Sequence[int]) -> list[Sample]:
        """All views of these videos."""
        return [(int(video), view) for video in videos for view in range(self.views)]

    def batch(self, samples: Sequence[Sample], device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Tokens (N, L, D) float32, and which of them there are (N, L) where the views differ in number; else None."""
        rows = [torch.from_numpy(self.shelf[video][view]).to(device, torch.float32) for video, view in samples]
        if len({len(row) for row in rows}) == 1:
            return torch.stack(rows), None
        lengths = torch.tensor([len(row) for row in rows], device=device)
        present = torch.arange(int(lengths.max()), device=device) < lengths.unsqueeze(1)
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), present

    def each(self, change: Callable[[Tensor], Tensor], videos: Sequence[int]) -> "TokenTable":
        """These videos with every token changed, float32: in memory as far as there is as much room again."""

        def changed(video: int) -> np.ndarray:
            return change(torch.from_numpy(self.shelf[video]).float()).numpy()

        shelf = Shelf(changed, room=self.shelf.room)
        for video in videos:
            if not shelf.is_full:
                shelf.keep(video, changed(video))
        return self._replace(shelf=shelf)

    def pooled(self) -> "TokenTable":
        """The same videos with a single token per view, the mean of all, in memory."""
        shelf = Shelf(lambda video: None, room=float("inf"))
        for video in range(len(self.labels)):
            tokens, present = self.batch(self.samples([video]), torch.device("cpu"))
            shelf.keep(video, mean_over_tokens(tokens, present).unsqueeze(1).numpy())  # (V, 1, D)
        return self._replace(shelf=shelf)
