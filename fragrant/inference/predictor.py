"""Predicts the action in a video: a trained model with everything that its checkpoint holds about clips and classes."""

import math
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fragrant.data import VideoError
from fragrant.data.build import ClipSource
from fragrant.data.clips import Batch, Unreadable, VideoClips, VideoFrames, make_batch, mean_luma
from fragrant.data.lists.locations import VIDEO_EXTENSIONS
from fragrant.data.reader_pool import read_in_order
from fragrant.data.video.row_of_frames import Frames
from fragrant.data.video.sweep import Sweep
from fragrant.data.video.timing import end_of
from fragrant.data.views import Part, parts_by_count, parts_by_time, views_of_windows
from fragrant.errors import RunStopped, UserError
from fragrant.metrics import not_finite
from fragrant.runtime.evaluate import Scored, score_videos
from fragrant.scores.ensemble import probabilities

MOST_PARTS = 100_000  # of a video, and a hundred for each of its frames


class Ranked(NamedTuple):
    name: str
    number: int  # of the class
    prob: float


class Window(NamedTuple):
    """The prediction for a part of a long video, with its start and end in seconds (None where the file has no frame
    rate: then in frames / 30); and the mean brightness 0..1 of the frames that were looked at."""

    start: float
    end: float
    top: list[Ranked]
    choices: dict[str, float] = {}
    luma: float = math.nan


class Prediction(NamedTuple):
    """The prediction for a video, the most likely classes first; or the error. ``choices``: see ``Predictor.choices``,
    mean over the clips."""

    path: str
    top: list[Ranked] = []
    probs: Tensor | None = None  # (K,)
    windows: list[Window] = []
    num_clips: int = 0
    error: str = ""
    choices: dict[str, float] = {}
    not_finite: bool = False  # the error: the model gives no numbers

    @property
    def name(self) -> str:
        return self.top[0].name


def without_numbers(path: str) -> Prediction:
    return Prediction(
        path,
        error=f"video '{path}': the model's scores are NaN or infinite, so nothing can be said; its weights or the "
        "number format (TEST.PRECISION) are at fault",
        not_finite=True,
    )


class _OneVideo(list[Batch]):
    """A loader of one batch."""

    def __init__(self, batch: Batch):
        super().__init__([batch])
        self.num_views = batch.views.shape[1]
        self.skipped: dict[int, str] = {}


def _luma_of_views(video: VideoFrames) -> list[float]:
    """The mean brightness of the frames of each view."""
    of_frame = dict(zip(video.numbers, (mean_luma(frame.unsqueeze(0)) for frame in video.frames), strict=True))
    shown = [{*view.frames} for view in video.views]
    return [sum(of_frame[number] for number in numbers) / len(numbers) for numbers in shown]


class Predictor:
    """A trained model that predicts the actions in videos: ``load_model("best.pyth").predict("video.mp4").name``

    Args:
        rule: how the views are ensembled, see ``fragrant.scores.ensemble_runs``.
        multi_label: a video may show several of the classes: every class has a probability of its own.
        labels_of: the classes of a video that is in the lists of the training, by number; () where it is not.
    """

    def __init__(
        self,
        model: nn.Module,
        source: ClipSource,
        *,
        class_names: Sequence[str],
        rule: str,
        prepare: Callable[[Tensor], Tensor],
        autocast: Callable[[], AbstractContextManager],
        clips_per_forward: int,
        device: torch.device,
        multi_label: bool = False,
        labels_of: Callable[[str], tuple[int, ...]] = lambda path: (),
    ):
        self.model = model.eval()
        self.source = source
        self.class_names = list(class_names)
        self.rule = rule
        self.prepare = prepare
        self.autocast = autocast
        self.clips_per_forward = clips_per_forward
        self.device = device
        self.multi_label = multi_label
        self.labels_of = labels_of
        # names of what the model decides for every clip: ("gamma",)
        self.choices = tuple(getattr(model, "choices", {}))

    def predict(self, path: str | os.PathLike, *, top: int = 5) -> Prediction:
        """Predicts the action in a video.

        Raises:
            VideoError: the video cannot be read. RunStopped: the model's scores are NaN or infinite.
        """
        prediction = next(self.predict_all([path], top=top))
        if prediction.error:
            raise (RunStopped if prediction.not_finite else VideoError)(prediction.error)
        return prediction

    def predict_all(
        self, paths: Sequence[str | os.PathLike], *, top: int = 5, num_workers: int = 0
    ) -> Iterator[Prediction]:
        """Yields one prediction per video, in order, while worker processes read the next ones; that of a video that
        cannot be read has an ``error``."""
        names = [os.fspath(path) for path in paths]
        dataset = self.source.dataset(names, self.source.whole)
        keys = [(0, number) for number in range(len(names))]
        items = read_in_order(dataset, keys, num_workers=num_workers, name=lambda key: names[key[1]])
        for path, item in zip(names, items, strict=True):
            if isinstance(item, Unreadable):
                yield Prediction(path, error=item.reason)
                continue
            scored = self.score_clips(item)
            if bool(not_finite(scored.logits).any()):
                yield without_numbers(path)
                continue
            probs = probabilities(scored.logits, self.rule, multi_label=self.multi_label)[0]
            choices = {name: float(taken.mean()) for name, taken in scored.choices.items()}
            yield Prediction(path, self.ranked(probs, top), probs, num_clips=scored.logits.shape[1], choices=choices)

    def predict_windows(
        self, path: str | os.PathLike, *, seconds: float | None = None, step: float | None = None, top: int = 5
    ) -> Prediction:
        """Predicts the action in a long video part by part; the prediction for the whole is the mean over the parts.
        Scores that are NaN or infinite anywhere give an ``error``.

        Args:
            seconds: length of a part; None = what one clip covers (frames from all over a video: 4 s).
            step: seconds from part to part; None = half a part.

        Raises:
            UserError: a length or a step that is none.
            VideoError: the video cannot be read.
        """
        for name, value in (("the length of windows", seconds), ("the step between windows", step)):
            if value is not None and not 0 < value < math.inf:
                raise UserError(f"{name} must be a number of seconds above 0, got {value:g}")
        path = os.fspath(path)
        with self.source.open_frames(path) as frames:
            found, mean = self._windows(frames, self._parts(frames, seconds, step), top)
        if not found:
            return without_numbers(path)
        choices = {name: sum(window.choices[name] for window in found) / len(found) for name in self.choices}
        return Prediction(path, self.ranked(mean, top), mean, found, num_clips=len(found), choices=choices)

    def _parts(self, frames: Frames, seconds: float | None, step: float | None) -> list[Part]:
        """Equally long in time; where the rate is constant a whole number of frames."""
        rate = frames.fps or 30.0
        length = max(1, round(seconds * rate) if seconds else self.source.window_frames(frames.fps))
        if frames.times is not None:
            seconds = seconds or length / rate
            step, end = step or seconds / 2, end_of(frames.times)
            if end / step > MOST_PARTS + 100 * len(frames):
                raise VideoError(f"video '{frames.path}' cannot be read: its {len(frames)} frames last {end:.3g} s")
            return parts_by_time(frames.times, end, seconds=seconds, step=step)
        step_frames = max(1, round(step * rate) if step else length // 2)
        return parts_by_count(len(frames), length=length, step=step_frames, fps=rate)

    def _windows(self, frames: Frames, parts: list[Part], top: int) -> tuple[list[Window], Tensor]:
        """The answer for each part, and their mean (K,); no part where one has NaN or infinite scores.

        A few at a time, since the video may not fit in memory."""
        groups = [parts[at : at + self.clips_per_forward] for at in range(0, len(parts), self.clips_per_forward)]
        plans = [views_of_windows(self.source.window, [part.frames for part in group]) for group in groups]
        views = [plan(len(frames), random.Random(0), fps=frames.fps) for plan in plans]
        numbers = [sorted({number for view in some for number in view.frames}) for some in views]
        in_one_pass = Sweep(frames, numbers)
        found, sums = [], torch.zeros(len(self.class_names), dtype=torch.float64)
        for group, some in zip(groups, views, strict=True):
            dataset = self.source.dataset(
                [frames.path], lambda *_, some=some, **__: some, open_frames=lambda _: in_one_pass
            )
            dataset.hand_over = math.inf
            item = dataset[(0, 0)]
            if isinstance(item, Unreadable):
                raise VideoError(item.reason)
            assert isinstance(item, VideoFrames)
            lumas = _luma_of_views(item)
            scored = self.score_clips(item.clips(self.source.transform))
            if bool(not_finite(scored.logits).any()):
                return [], sums
            for at, part in enumerate(group):
                probs = probabilities(scored.logits[:, at : at + 1], self.rule, multi_label=self.multi_label)[0]
                choices = {name: float(taken[0, at]) for name, taken in scored.choices.items()}
                sums += probs
                found.append(Window(part.start, part.end, self.ranked(probs, top), choices, lumas[at]))
        return found, sums / len(parts)

    def windows_of_all(self, paths: Sequence[str | os.PathLike], **options) -> Iterator[Prediction]:
        """Yields ``predict_windows`` of one video after the other; the prediction of a video that cannot be read has an
        ``error``."""
        for path in paths:
            try:
                yield self.predict_windows(path, **options)
            except VideoError as error:
                yield Prediction(os.fspath(path), error=str(error))

    def middle_clip(self, path: str | os.PathLike) -> Tensor:
        """Reads the validation clip of a video: (1, C, T, S, S), not normalised, on the model's device.

        Raises:
            VideoError: the video cannot be read.
        """
        item = self.source.dataset([os.fspath(path)], self.source.window).clips_of((0, 0))
        if isinstance(item, Unreadable):
            raise VideoError(item.reason)
        return make_batch([item]).clips[0].to(self.device)

    @torch.no_grad()
    def answer(self, clip: Tensor, *, top: int = 5) -> list[Ranked]:
        """The most likely classes of one clip (1, C, T, S, S) as ``middle_clip`` reads it.

        Raises:
            RunStopped: the model's scores are NaN or infinite.
        """
        with self.autocast():
            logits = self.model.eval()(self.prepare(clip)).float().cpu()
        if bool(not_finite(logits).any()):
            raise RunStopped(without_numbers("of this clip").error)
        return self.ranked(probabilities(logits[None], self.rule, multi_label=self.multi_label)[0], top)

    def logits(self, path: str | os.PathLike) -> Tensor:
        """Scores the views of a video: (1, V, K), before any rule ensembles them.

        Raises:
            VideoError: the video cannot be read.
        """
        item = self.source.dataset([os.fspath(path)], self.source.whole).clips_of((0, 0))
        if isinstance(item, Unreadable):
            raise VideoError(item.reason)
        return self.score_clips(item).logits

    def score_clips(self, item: VideoClips) -> Scored:
        """Scores the views of one video, on the model's device."""
        batch = make_batch([item._replace(id=0)])
        return score_videos(
            self.model,
            _OneVideo(batch),
            num_videos=1,
            num_classes=len(self.class_names),
            clips_per_forward=self.clips_per_forward,
            prepare=self.prepare,
            autocast=self.autocast,
            device=self.device,
        )

    def ranked(self, probs: Tensor, top: int) -> list[Ranked]:
        """The most likely classes of probabilities (K,), the best first."""
        best = probs.sort(descending=True, stable=True)
        pairs = zip(best.indices.tolist()[:top], best.values.tolist()[:top], strict=True)
        return [Ranked(self.class_names[number], number, prob) for number, prob in pairs]


def find_videos(paths: Sequence[str | os.PathLike]) -> list[str]:
    """Lists video files: files as given; of folders all videos in them, by their suffix, sorted.

    Raises:
        UserError: a folder holds no video.
    """
    found = []
    for path in map(Path, paths):
        if not path.is_dir() or path.suffix.lower() in VIDEO_EXTENSIONS:
            found.append(str(path))
            continue
        inside = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in VIDEO_EXTENSIONS)
        if not inside:
            raise UserError(f"folder '{path}' has no videos; known suffixes: {' '.join(sorted(VIDEO_EXTENSIONS))}")
        found += inside
    return found
