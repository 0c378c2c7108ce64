"""Builds report.html, and pictures for TensorBoard, from the config and the score table of a test."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fvcore.common.config import CfgNode
from torch import Tensor

from fragrant.config import dump_cfg
from fragrant.config.streams import alone_in_test, lists_folder
from fragrant.data import build_source
from fragrant.data.clips import Unreadable
from fragrant.files import write_whole
from fragrant.logs import RunLog
from fragrant.metrics import predicted
from fragrant.report.board import ClassPictures, show_classes, show_clips, show_confusion
from fragrant.report.class_files import read_categories, read_class_numbers, read_subset
from fragrant.report.content import Mistake, Strip, confident_mistakes, report_content, thumbnail_rows
from fragrant.report.curves import read_records
from fragrant.report.page import render
from fragrant.report.strips import PictureError, evenly, is_lifted, jpeg_source, lift, scaled, strip
from fragrant.scores import ScoreTable, VideoScores, ensemble_views

NUM_MISTAKES = 12  # videos whose frames are shown
NUM_BOARD_CLIPS = 4
FRAMES, HEIGHT = 8, 128  # of a strip in the page: frames at most, pixels at most
NUM_THUMBNAILS = 96  # videos that the cells of the matrix show: some kilobytes each, and read at the end of a test
THUMBNAIL_FRAMES, THUMBNAIL_HEIGHT = 3, 72


# ---------------------------------------------------------------------------------------------------- of a validation
PIXELS_PER_INCH = 80  # of FIGSIZE: its 8 inches are a picture of usual size


def names_of_classes(cfg: CfgNode, listed: Sequence[str] | None) -> list[str]:
    """The names that pictures show: of TENSORBOARD.CLASS_NAMES_PATH, else of the list, else the numbers."""
    if cfg.TENSORBOARD.CLASS_NAMES_PATH:
        key = "TENSORBOARD.CLASS_NAMES_PATH"
        return read_class_numbers(cfg.TENSORBOARD.CLASS_NAMES_PATH, cfg.MODEL.NUM_CLASSES, key)
    return list(listed or map(str, range(cfg.MODEL.NUM_CLASSES)))


def class_pictures(cfg: CfgNode, names: Sequence[str]) -> ClassPictures:
    """What TENSORBOARD.CONFUSION_MATRIX and TENSORBOARD.HISTOGRAM ask for.

    Raises:
        ClassFileError: a file that they name is missing or wrong.
    """
    board, groups, bars_of = cfg.TENSORBOARD, dict[str, list[str]](), list[str]()
    matrix, histogram = board.CONFUSION_MATRIX, board.HISTOGRAM
    if matrix.SUBSET_PATH:
        subset = read_subset(matrix.SUBSET_PATH, names, "TENSORBOARD.CONFUSION_MATRIX.SUBSET_PATH")
        groups["Val/confusion of the subset"] = subset
    if board.CATEGORIES_PATH:
        categories = read_categories(board.CATEGORIES_PATH, names, "TENSORBOARD.CATEGORIES_PATH")
        groups |= {f"Val/confusion/{category}": classes for category, classes in categories.items()}
    if histogram.SUBSET_PATH:
        bars_of = read_subset(histogram.SUBSET_PATH, names, "TENSORBOARD.HISTOGRAM.SUBSET_PATH")
    width, height = (PIXELS_PER_INCH * size for size in histogram.FIGSIZE)
    return ClassPictures(
        matrix=matrix.ENABLE,
        groups=groups,
        side=PIXELS_PER_INCH * min(matrix.FIGSIZE),
        top=histogram.TOPK if histogram.ENABLE else 0,
        bars_of=bars_of,
        bars_size=(width, height),
    )


def present_validation(
    cfg: CfgNode, board: RunLog, scores: Tensor, labels: Tensor, listed: Sequence[str] | None, step: int
) -> None:
    """Writes the pictures that the keys TENSORBOARD ask for at a validation: scores (n, K), labels (n,). Nothing where
    videos have several labels."""
    wanted = cfg.TENSORBOARD.CONFUSION_MATRIX.ENABLE or cfg.TENSORBOARD.HISTOGRAM.ENABLE
    if not board.has_board or not wanted or labels.ndim > 1:
        return
    names, known = names_of_classes(cfg, listed), labels >= 0
    show_classes(board, predicted(scores)[known], labels[known], names, class_pictures(cfg, names), step)


# --------------------------------------------------------------------------------------------------------------- frames
def read_clips(cfg: CfgNode, paths: Sequence[str]) -> list[Tensor | str]:
    """Reads the validation clip of each video, (T, S, S, C) of 0..255 before normalisation; where a video cannot be
    read, the reason instead."""
    source = build_source(cfg)
    dataset = source.dataset(paths, source.window)
    videos = (dataset.clips_of((0, row)) for row in range(len(paths)))
    return [video.reason if isinstance(video, Unreadable) else video.clips[0] for video in videos]


def two_strips(clip: Tensor) -> list[Strip]:
    """Strips of a few frames of a clip (T, H, W, 3): as they are and, where they are dark, brightened."""
    frames = clip.clamp(0, 255).byte()[evenly(len(clip), FRAMES)]
    bright, gamma = lift(frames)
    rows = {"as the network gets it": strip(frames)}
    if is_lifted(gamma):
        rows[f"brightened for people (gamma {gamma:.1f})"] = strip(bright)
    return [Strip(title, jpeg_source(scaled(row, min(HEIGHT, row.height)))) for title, row in rows.items()]


def thumbnail(clip: Tensor) -> str:
    """A few frames of a clip (T, H, W, 3), brightened and small, as a data URL."""
    frames = lift(clip.clamp(0, 255).byte()[evenly(len(clip), THUMBNAIL_FRAMES)])[0]
    row = strip(frames)
    return jpeg_source(scaled(row, min(THUMBNAIL_HEIGHT, row.height)), quality=78)


def read_thumbnails(cfg: CfgNode, paths: Mapping[int, str]) -> dict[int, str]:
    """Thumbnails of videos by row, one clip in memory at a time; those that cannot be read are left out."""
    made = {}
    for row, path in paths.items():
        (clip,) = read_clips(cfg, [path])
        if not isinstance(clip, str):
            made[row] = thumbnail(clip)
    return made


# ----------------------------------------------------------------------------------------------------------------- page
def evaluation_facts(cfg: CfgNode, header: dict) -> list[tuple[str, str]]:
    """The settings of a test that a reader needs to repeat it, as (name, value); settings that were not recorded are
    left out."""
    facts = [
        ("model", header.get("model")),
        ("checkpoint", header.get("checkpoint")),
        ("its hash", header.get("checkpoint_hash")),
        ("not as in the training", header.get("not_of_training")),
        ("of its training", header.get("accepted_changes")),
        ("the stream that it has, of pairs", header.get("modality")),
    ]
    if cfg is not None:
        clips, crops = cfg.TEST.NUM_ENSEMBLE_VIEWS, cfg.TEST.NUM_SPATIAL_CROPS
        size = f"short side {cfg.TEST.SHORT_SIDE or cfg.DATA.TEST_CROP_SIZE}, crop {cfg.DATA.TEST_CROP_SIZE}"
        views = f"{cfg.DATA.NUM_FRAMES} frames x {crops} crops x {clips} clips: {clips * crops} forward passes; {size}"
        facts += [
            ("test set", f"{cfg.TEST.DATASET} in {lists_folder(cfg, alone_in_test(cfg) or 0)}"),
            ("views of a video", views),
        ]
    facts += [(name, header.get(name)) for name in ("command", "commit", "date", "versions")]
    return [(name, str(value)) for name, value in facts if value]


def page_of(
    cfg: CfgNode,
    table: ScoreTable,
    scores: VideoScores,
    clips: dict[int, Tensor | str],
    log: str | Path | None,
    thumbnails: Mapping[int, str] | None = None,
) -> str:
    """HTML text of the report. ``clips``: those of the mistakes to show, by their row in ``scores``; ``thumbnails``:
    of further videos."""
    mistakes = [
        Mistake(row, why=f"No frames: {clip}") if isinstance(clip, str) else Mistake(row, strips=two_strips(clip))
        for row, clip in clips.items()
    ]
    where = "" if cfg is None else f" on {cfg.TEST.DATASET}"
    content = report_content(
        scores,
        title=table.header.get("model", "A model") + where,
        subtitle=f"Test of {len(scores.paths)} videos; of every video: "
        f"{scores.rule.replace('-', ' of the ')} of its views",
        records=read_records(log) if log and Path(log).is_file() else (),
        facts=evaluation_facts(cfg, table.header),
        config="" if cfg is None else dump_cfg(cfg),
        mistakes=mistakes,
        thumbnails={
            **(thumbnails or {}),
            **{row: thumbnail(clip) for row, clip in clips.items() if not isinstance(clip, str)},
        },
        warning="; ".join(table.header[name] for name in ("protocol", "clips_differ") if table.header.get(name)),
    )
    return render(content)


def present_test(
    cfg: CfgNode | None,
    table: ScoreTable,
    path: str | Path,
    *,
    rule: str | None = None,
    training_log: str | Path | None = None,
    num_mistakes: int = NUM_MISTAKES,
    num_thumbnails: int = NUM_THUMBNAILS,
    board: RunLog | None = None,
    step: int = 0,
) -> None:
    """Writes report.html.

    Args:
        cfg: the config of the test; None = not known, the report then shows no frames.
        path: where the page is written.
        rule: how views become a video's score; None = as the test did.
        num_thumbnails: videos that clicked cells of the matrix show.
        training_log: ``metrics.jsonl``; None, or a file that is not there = no curves.
        board: log that also gets the confusion matrix and the clips of the worst mistakes, for TensorBoard, at
            ``step``.

    Raises:
        PictureError: the page cannot be written. ScoreError: the rule is not known. LogError: the log is no log.
    """
    scores = ensemble_views(table, rule or table.header.get("rule") or "sum-logits").labelled()
    rows = confident_mistakes(scores, num_mistakes)
    paths = [scores.paths[row] for row in rows]
    read: Sequence[Tensor | str] = ["the score table has no config"] * len(rows)
    if cfg is not None:
        read = read_clips(cfg, paths)
    clips = dict(zip(rows, read, strict=True))
    small: dict[int, str] = {}
    if cfg is not None:
        wanted = [row for row in thumbnail_rows(scores, num_thumbnails) if row not in clips]
        small = read_thumbnails(cfg, {row: scores.paths[row] for row in wanted})
    text = page_of(cfg, table, scores, clips, training_log, small)
    try:
        write_whole(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise PictureError(f"report '{path}' cannot be written: {error.strerror or error}") from error
    if board is not None and board.has_board:
        show_confusion(board, scores, step)
        readable = [clip for clip in clips.values() if not isinstance(clip, str)]
        show_clips(board, "Test/most confident mistakes", readable[:NUM_BOARD_CLIPS], step)
