"""Scores an unlabelled list as a test does, and writes the surest videos with soft targets, to train on."""

import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from fvcore.common.config import CfgNode

from fragrant.checkpoint import checkpoint_hash
from fragrant.config.streams import MODALITIES, lists_folder, tests_pairs
from fragrant.data.build import loader_of
from fragrant.data.datasets.build import VideoSet, unlabelled_list
from fragrant.data.lists.pseudo import LIST, SEEN, about_path, unique
from fragrant.data.lists.records import RecordList
from fragrant.data.lists.shared import shared_videos
from fragrant.data.lists.soft_rows import soft_text
from fragrant.data.loader import ClipLoader
from fragrant.distributed import from_main
from fragrant.engine.adaptation.build import adapt_to_list, adaptive
from fragrant.engine.build import Job, build_job_model, score
from fragrant.engine.skipped import SkipReport
from fragrant.engine.testing import announce_test, score_table, weights_of_the_test
from fragrant.errors import RunStopped, UserError
from fragrant.files import save_file, whole_path
from fragrant.metrics import in_words_not_finite
from fragrant.remote import row_path
from fragrant.runtime.evaluate import Scored
from fragrant.scores import ScoreTable, VideoScores, ensemble_views, save_table
from fragrant.scores.pseudo_labels import PseudoLabels, Rule, check_rule, describe, pseudo_labels


def label_list(job: Job, *, path: str, rule: Rule) -> None:
    """Writes OUTPUT_DIR/pseudo.csv, ``path,p0,...,pK-1`` of the videos that pass the rule, and beside it what they are
    made of; all scores are in scores.npz. The list itself is not touched, labels in it are not read. Of pairs each
    stream gets such a list in a folder of its name, color and thermal, row by row.

    Args:
        path: the list, see ``unlabelled_list``.

    Raises:
        UserError: the list or the checkpoint is not there or wrong, or the rule does not fit.
        RunStopped: no video passes the rule; the scores are written.
    """
    cfg, log = job.cfg, job.log
    if cfg.DATA.MULTI_LABEL:
        raise UserError("DATA.MULTI_LABEL True: pseudo-labels are of one class for each video; allowed: False")
    check_rule(rule, cfg.MODEL.NUM_CLASSES)
    _keep_the_list(cfg, path)
    with job.stop.at_once():
        weights = from_main(partial(weights_of_the_test, cfg))
        records, labelled = unlabelled_list(cfg, path)
        loader = loader_of(cfg, VideoSet(records, None), "test")
        model = build_job_model(job)
        state = announce_test(job, model, loader, weights)
    log.say(f"{records!r}: " + (f"the labels of {labelled} of its rows are not read" if labelled else "no labels"))
    state, weights = adapt_to_list(job, model, state, weights)
    alone = loader.num_views if cfg.TEST.ADAPT != "none" else None  # all views of a video together
    scored = score(job, adaptive(job, model, weights), loader, title="labelling", clips_per_forward=alone)
    SkipReport(log, loader).report("labelling", device=job.device)
    table = score_table(job, loader, scored, weights, class_names=state.get("class_names"), more_header={})
    scores = ensemble_views(table, table.header["rule"])
    found = pseudo_labels(scores.probs, rule)
    streams = _scored_videos(loader, scored)
    seen = unique([*(whole_path(video) for videos in streams.values() for video in videos), *_met(state)])
    about = _about(table, _names(job, scores), found, rule, seen)
    from_main(partial(_write, job, table, scores, found, about, streams))
    _tell(job, scores, found, rule, streams)


def _scored_videos(loader: ClipLoader, scored: Scored) -> dict[str, list[str]]:
    """Folder in OUTPUT_DIR -> the videos in the order of their scores: "" alone, or one of each stream of pairs."""
    records, ids = cast(RecordList, loader.dataset.records), scored.ids.tolist()
    first = [records[at].path for at in ids]
    if not records.paired:
        return {"": first}
    others = [cast(str, records.partner(at)) for at in ids]
    return dict(zip(MODALITIES, (first, others), strict=True))


def _keep_the_list(cfg: CfgNode, path: str) -> None:
    """Raises UserError where a file that is written would take the place of a list that is read."""
    read = {"": path}
    if tests_pairs(cfg):
        read = {name: os.path.join(lists_folder(cfg, at), path) for at, name in enumerate(MODALITIES)}
    for folder, given in read.items():
        for name in (LIST, "classes.txt"):
            if shared_videos([str(Path(cfg.OUTPUT_DIR, folder, name))], [given]):
                raise UserError(
                    f"--list {given} is itself {name} of --out {cfg.OUTPUT_DIR}, which is written: give another --out"
                )


def _met(state: dict) -> list[str]:
    """The clips without labels that the weights of a checkpoint have met before."""
    return [path for name in ("adapted_on", "pseudo_labelled") for path in state.get(name) or ()]


def _names(job: Job, scores: VideoScores) -> Sequence[str]:
    return scores.class_names or [f"class {number}" for number in range(job.cfg.MODEL.NUM_CLASSES)]


def _about(
    table: ScoreTable, names: Sequence[str], found: PseudoLabels, rule: Rule, seen: Sequence[str]
) -> dict[str, Any]:
    """What the labels are made of, as ``pseudo.about.json`` has it."""
    return {
        "checkpoint": table.header["checkpoint"],
        "checkpoint_hash": checkpoint_hash(table.header["checkpoint"]),
        "rule": str(rule),
        "classes": [{"class": name, **of._asdict()} for name, of in zip(names, found.classes, strict=True)],
        SEEN: list(seen),
    }


def _write(
    job: Job,
    table: ScoreTable,
    scores: VideoScores,
    found: PseudoLabels,
    about: dict[str, Any],
    streams: dict[str, list[str]],
) -> None:
    out = Path(job.cfg.OUTPUT_DIR)
    save_table(out / "scores.npz", table)
    for folder, videos in streams.items():
        path = out / folder / LIST
        # what it is made of first: a list without it would be taken for its own clips alone
        save_file(Path(about_path(str(path))), json.dumps(about, indent=1), UserError)
        if scores.class_names:
            save_file(path.with_name("classes.txt"), "".join(f"{name}\n" for name in scores.class_names), UserError)
        kept = [row_path(videos[row], job.cfg.DATA.PATH_PREFIX) for row in found.rows]
        save_file(path, soft_text(kept, found.targets.tolist(), len(_names(job, scores))), UserError)


def _tell(job: Job, scores: VideoScores, found: PseudoLabels, rule: Rule, streams: dict[str, list[str]]) -> None:
    log, names = job.log, _names(job, scores)
    for line in describe(found, names):
        log.say(line)
    if found.lost:
        log.warn(f"{in_words_not_finite(found.lost)} are not kept")
    if missing := [name for name, of in zip(names, found.classes, strict=True) if not of.kept]:
        log.warn(f"no pseudo-label of {', '.join(missing)}: training on them would forget what is not met elsewhere")
    out = Path(job.cfg.OUTPUT_DIR)
    paths = " and ".join(str(out / folder / LIST) for folder in streams)
    if not found.rows:
        verb = "has" if len(streams) == 1 else "have"
        raise RunStopped(f"no video passes the rule ({rule}), {paths} {verb} no rows; allowed: a lower one")
    what = "videos" if len(streams) == 1 else "pairs"
    log.say(
        f"{len(found.rows)} of {len(scores.paths)} {what} are in {paths}, with probabilities as targets ({rule}); "
        f"train with DATA.EXTRA_TRAIN_LIST {out / LIST}; numbers on any of the {len(scores.paths)} are transductive"
    )
