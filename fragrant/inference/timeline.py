"""Timelines of videos that are predicted in windows."""

from collections.abc import Iterator, Sequence

from fragrant.errors import UserError
from fragrant.files import refuse_as_output
from fragrant.inference.predictor import Prediction, Predictor, Window
from fragrant.report.timeline import Piece, check_suffix, save_timeline


def check_timeline(out: str | None, paths: Sequence[str], *, sliding: bool) -> None:
    """Looks at a request for a timeline before anything is predicted.

    Raises:
        UserError: it is not one video in windows, or the file cannot be written.
    """
    if out is None:
        return
    if not sliding:
        raise UserError("--timeline needs the windows of --sliding")
    if len(paths) != 1:
        raise UserError(f"--timeline shows one video, got {len(paths)}")
    check_suffix(out)
    refuse_as_output(out)


def with_timeline(
    predictor: Predictor, paths: Sequence[str], out: str | None, *, top: int, **windows
) -> Iterator[Prediction]:
    """``predictor.windows_of_all``, whose other arguments are ``windows``; the timeline of the one video is written.

    Args:
        out: its file, see ``save_timeline``; None = no timeline.
    """
    if out is None:
        yield from predictor.windows_of_all(paths, top=top, **windows)
        return
    classes = len(predictor.class_names)
    for prediction in predictor.windows_of_all(paths, top=classes, **windows):
        if not prediction.error:
            pieces = [_piece(window, classes) for window in prediction.windows]
            text = f"{len(pieces)} windows, {prediction.windows[-1].end:.1f} s; the whole: " + ", ".join(
                f"{ranked.name} {100 * ranked.prob:.0f} %" for ranked in prediction.top[:3]
            )
            save_timeline(out, prediction.path, pieces, predictor.class_names, subtitle=text)
        shorter = [window._replace(top=window.top[:top]) for window in prediction.windows]
        yield prediction._replace(top=prediction.top[:top], windows=shorter)


def _piece(window: Window, classes: int) -> Piece:
    probs = [0.0] * classes
    for ranked in window.top:
        probs[ranked.number] = ranked.prob
    return Piece(window.start, window.end, probs, window.luma)
