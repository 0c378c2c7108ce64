"""What trained models look at in a video, as a figure: one model, or several below each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from fragrant.errors import UserError
from fragrant.inference.predictor import Predictor, Ranked
from fragrant.report.figure_style import INK, RIGHT, WRONG, Look, refuse_unknown_kind, shortened
from fragrant.report.grad_cam import class_number
from fragrant.report.map_figure import Note, Row, frame_rows, save_map_figure, text_row
from fragrant.report.maps import FeatureMap, frames_of, save_playing
from fragrant.report.maps_by_name import maps_of
from fragrant.report.run_tables import run_names

SURE = 0.5  # probability from which a class of several counts as named


class Question(NamedTuple):
    """What to draw of a video: see ``maps_of``; ``true``: name or number of its class, None = as the lists say."""

    what: str
    layer: str | None = None
    class_name: str | None = None
    at: Sequence[float] | None = None
    true: str | None = None
    frames: int | None = None


class Seen(NamedTuple):
    """A model's clip of a video, (C, T, H, W) of 0..255, its maps and its answer."""

    clip: Tensor
    maps: Sequence[FeatureMap]
    answer: list[Ranked]


def see(predictor: Predictor, video: str, asked: Question) -> Seen:
    """Lets a model look at the middle clip of a video."""
    clip = predictor.middle_clip(video)  # (1, C, T, S, S)
    maps = maps_of(
        asked.what,
        predictor.model,
        predictor.prepare(clip),
        class_names=predictor.class_names,
        layer=asked.layer,
        class_name=asked.class_name,
        at=asked.at,
    )
    return Seen(clip[0], maps, predictor.answer(clip))


def true_names(predictor: Predictor, video: str, true: str | None) -> list[str]:
    """Names of the true classes of a video: as given, else of the lists; [] where nobody says."""
    if true is not None:
        number = class_number(true, predictor.class_names)
        assert number is not None
        return [predictor.class_names[number]]
    known = range(len(predictor.class_names))
    return [predictor.class_names[number] for number in predictor.labels_of(video) if number in known]


def said(predictor: Predictor, answer: list[Ranked], true: Sequence[str]) -> Note:
    """The prediction with its probability, in the colour of right or wrong where the true class is known."""
    named = [one for one in answer if one.prob >= SURE] if predictor.multi_label else []
    named = named or answer[:1]
    text = ", ".join(f"{shortened(one.name, 24)} ({100 * one.prob:.1f} %)" for one in named)
    color = INK if not true else RIGHT if all(one.name in true for one in named) else WRONG
    return Note(f"predicted: {text}", color)


def title_of(video: str, true: Sequence[str]) -> str:
    """The video and its true class."""
    name = shortened(Path(video).name, 40)
    return f"{name}; true class: {', '.join(shortened(one, 24) for one in true)}" if true else name


def draw_one(out: Path, predictor: Predictor, video: str, asked: Question, look: Look) -> None:
    """Writes the figure of one model, and an mp4 beside it in which frames and maps play."""
    refuse_unknown_kind(out)
    true = true_names(predictor, video, asked.true)  # first: a wrong name is told at once
    seen = see(predictor, video, asked)
    head = text_row(title_of(video, true), said(predictor, seen.answer, true))
    save_map_figure(out, [head, *frame_rows(frames_of(seen.clip), seen.maps)], look=look, frames=asked.frames)
    save_playing(out.with_suffix(".mp4"), seen.clip, seen.maps)


def draw_several(
    out: Path, predictors: Sequence[tuple[str, Predictor]], video: str, asked: Question, look: Look
) -> None:
    """Writes the figure of several models, by name: the frames once where all get the same, then the maps of each with
    its answer.

    Raises:
        UserError: a map cannot be made, with the name of the model.
    """
    refuse_unknown_kind(out)
    first = predictors[0][1]
    true = true_names(first, video, asked.true)
    rows: list[Row] = [text_row(title_of(video, true))]
    shown: Tensor | None = None
    for name, predictor in predictors:
        try:
            seen = see(predictor, video, asked)
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
        frames = frames_of(seen.clip)
        every = frame_rows(frames, seen.maps)
        maps = [row for row in every if row.heat]
        if shown is None or shown.shape != frames.shape or not bool((shown == frames).all()):
            rows += [row for row in every if not row.heat]
        shown = frames
        note = said(predictor, seen.answer, true)
        rows += [
            row._replace(title=f"{name}: {row.title}", note=note if at == 0 else Note(""))
            for at, row in enumerate(maps)
        ]
    save_map_figure(out, rows, look=look, frames=asked.frames)


def compared_names(files: Sequence[str], names: Sequence[str] | None, *, mixed: bool) -> list[tuple[str, str]]:
    """Name and file of each model: as given, else by the run folders that the files lie in.

    Raises:
        UserError: there are more or fewer names than files, or several models for one mix.
    """
    if mixed and len(files) > 1:
        raise UserError(f"--what mix is of one model, got {len(files)} with --compare")
    if names is not None and len(names) != len(files):
        raise UserError(f"{len(names)} names for {len(files)} models; allowed: one for each, in the same order")
    folders = [Path(file).parent.parent if Path(file).parent.name == "checkpoints" else Path(file) for file in files]
    return list(zip(names or run_names(folders), files, strict=True))
