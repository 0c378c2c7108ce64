"""TensorBoard images of a run: the confusion matrix, and a few clips as animated pictures."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from fragrant.data.clips import ClipDataset, Unreadable
from fragrant.logs import RunLog
from fragrant.metrics import confusion_matrix, predicted
from fragrant.report.matrix import bars_picture, matrix_picture
from fragrant.report.strips import GAP, WHITE, evenly, is_lifted, lift
from fragrant.scores import VideoScores

FPS = 8


class ClassPictures(NamedTuple):
    """What TensorBoard shows of the classes at every validation.

    Attributes:
        matrix: the confusion matrix.
        groups: title -> classes of further matrices.
        side: pixels of a matrix, about.
        top: bars of the classes that the videos of one are most often taken for; 0 = none.
        bars_of: the classes that have them; none = all.
        bars_size: width and height in pixels.
    """

    matrix: bool
    groups: dict[str, list[str]]
    side: int
    top: int
    bars_of: list[str]
    bars_size: tuple[int, int]


def show_confusion(log: RunLog, scores: VideoScores, step: int) -> None:
    """Logs the confusion matrix of the videos whose class is known; nothing where videos have several labels."""
    if scores.labels.ndim > 1:
        return
    num_classes = scores.scores.shape[1]
    names = scores.class_names or [str(k) for k in range(num_classes)]
    picture = matrix_picture(confusion_matrix(predicted(scores.scores), scores.labels, num_classes), names)
    log.picture("Test/confusion", _bytes(picture, "PNG"), picture.size, step)


def spread_clips(dataset: ClipDataset, number: int = 4) -> list[Tensor]:
    """Training clips (T, H, W, 3) as the network gets them in the first epoch, of a few videos spread evenly over the
    list."""
    videos = (dataset.clips_of((0, video)) for video in evenly(len(dataset), number))
    # of the others the training itself will say
    return [video.clips[0] for video in videos if not isinstance(video, Unreadable)]


def show_clips(log: RunLog, name: str, clips: Sequence[Tensor], step: int) -> None:
    """Logs clips (T, H, W, 3) of 0..255 as animated pictures: each as it is on the left and, where it is dark,
    brightened on the right."""
    for number, clip in enumerate(clips, 1):
        frames = clip.clamp(0, 255).byte()
        lifted, gamma = lift(frames)
        pairs = zip(frames, lifted, strict=True)
        pictures = [_pair(*pair) if is_lifted(gamma) else Image.fromarray(pair[0].numpy()) for pair in pairs]
        options = {"save_all": True, "append_images": pictures[1:], "duration": round(1000 / FPS), "loop": 0}
        log.picture(f"{name}/{number}", _bytes(pictures[0], "GIF", **options), pictures[0].size, step)


def _pair(left: Tensor, right: Tensor) -> Image.Image:
    """Sets two pictures (H, W, 3) side by side."""
    gap = torch.full((len(left), GAP, 3), WHITE, dtype=torch.uint8)
    return Image.fromarray(torch.cat([left, gap, right], dim=1).numpy())


def show_classes(
    log: RunLog, predictions: Tensor, labels: Tensor, names: Sequence[str], wanted: ClassPictures, step: int
) -> None:
    """Logs the pictures of a validation, see ``ClassPictures``: predicted and true classes (n,), -1 = not known."""
    counts = confusion_matrix(predictions, labels, len(names))
    groups = {"Val/confusion": list(names), **wanted.groups} if wanted.matrix else {}
    for title, members in groups.items():
        rows = [names.index(member) for member in members]
        picture = matrix_picture(counts[rows][:, rows], members, wanted.side)
        log.picture(title, _bytes(picture, "PNG"), picture.size, step)
    for name in (wanted.bars_of or names) if wanted.top else ():
        most = counts[names.index(name)].topk(min(wanted.top, len(names)))
        taken_for = [names[at] for at in most.indices.tolist()]
        picture = bars_picture(most.values.tolist(), taken_for, name, wanted.bars_size)
        log.picture(f"Val/taken for/{name}", _bytes(picture, "PNG"), picture.size, step)


def _bytes(picture: Image.Image, kind: str, **options) -> bytes:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return data.getvalue()
