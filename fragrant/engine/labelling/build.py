"""Scores an unlabelled list as a test does, and writes the surest videos with soft targets, to train on."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from fragrant.checkpoint import checkpoint_hash
from fragrant.data.build import loader_of
from fragrant.data.datasets.build import VideoSet, unlabelled_list
from fragrant.data.lists.pseudo import LIST, SEEN, about_path, unique
from fragrant.data.lists.shared import shared_videos
from fragrant.data.lists.soft_rows import soft_text
from fragrant.distributed import from_main
from fragrant.engine.adaptation.build import adapt_to_list, adaptive
from fragrant.engine.build import Job, build_job_model, score
from fragrant.engine.skipped import SkipReport
from fragrant.engine.testing import announce_test, score_table, weights_of_the_test
from fragrant.errors import RunStopped, UserError
from fragrant.files import save_file, whole_path
from fragrant.metrics import in_words_not_finite
from fragrant.remote import row_path
from fragrant.scores import ScoreTable, VideoScores, ensemble_views, save_table
from fragrant.scores.pseudo_labels import PseudoLabels, Rule, check_rule, describe, pseudo_labels


def label_list(job: Job, *, path: str, rule: Rule) -> None:
    """Writes OUTPUT_DIR/pseudo.csv, ``path,p0,...,pK-1`` of the videos that pass the rule, and beside it what they are
    made of; all scores are in scores.npz. The list itself is not touched, labels in it are not read.

    Args:
        path: the list, relative to DATA.PATH_TO_DATA_DIR.

    Raises:
        UserError: the list or the checkpoint is not there or wrong, or the rule does not fit.
        RunStopped: no video passes the rule; the scores are written.
    """
    cfg, log = job.cfg, job.log
    if cfg.DATA.MULTI_LABEL:
        raise UserError("DATA.MULTI_LABEL True: pseudo-labels are of one class for each video; allowed: False")
    check_rule(rule, cfg.MODEL.NUM_CLASSES)
    _keep_the_list(cfg.OUTPUT_DIR, path)
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
    seen = unique([*map(whole_path, table.paths), *_met(state)])
    from_main(partial(_write, job, table, scores, found, rule, seen))
    _tell(job, scores, found, rule)


def _keep_the_list(out: str, path: str) -> None:
    """Raises UserError where a file that is written would take the place of the list that is read."""
    for name in (LIST, "classes.txt"):
        if shared_videos([str(Path(out, name))], [path]):
            raise UserError(f"--list {path} is itself {name} of --out {out}, which is written: give another --out")


def _met(state: dict) -> list[str]:
    """The clips without labels that the weights of a checkpoint have met before."""
    return [path for name in ("adapted_on", "pseudo_labelled") for path in state.get(name) or ()]


def _names(job: Job, scores: VideoScores) -> Sequence[str]:
    return scores.class_names or [f"class {number}" for number in range(job.cfg.MODEL.NUM_CLASSES)]


def _write(
    job: Job, table: ScoreTable, scores: VideoScores, found: PseudoLabels, rule: Rule, seen: Sequence[str]
) -> None:
    out = Path(job.cfg.OUTPUT_DIR)
    save_table(out / "scores.npz", table)
    names = _names(job, scores)
    about = {
        "checkpoint": table.header["checkpoint"],
        "checkpoint_hash": checkpoint_hash(table.header["checkpoint"]),
        "rule": str(rule),
        "classes": [{"class": name, **of._asdict()} for name, of in zip(names, found.classes, strict=True)],
        SEEN: list(seen),
    }
    paths = [row_path(scores.paths[row], job.cfg.DATA.PATH_PREFIX) for row in found.rows]
    # what it is made of first: a list without it would be taken for its own clips alone
    save_file(Path(about_path(str(out / LIST))), json.dumps(about, indent=1), UserError)
    if scores.class_names:
        save_file(out / "classes.txt", "".join(f"{name}\n" for name in scores.class_names), UserError)
    save_file(out / LIST, soft_text(paths, found.targets.tolist(), len(names)), UserError)


def _tell(job: Job, scores: VideoScores, found: PseudoLabels, rule: Rule) -> None:
    log, names = job.log, _names(job, scores)
    for line in describe(found, names):
        log.say(line)
    if found.lost:
        log.warn(f"{in_words_not_finite(found.lost)} are not kept")
    if missing := [name for name, of in zip(names, found.classes, strict=True) if not of.kept]:
        log.warn(f"no pseudo-label of {', '.join(missing)}: training on them would forget what is not met elsewhere")
    path = Path(job.cfg.OUTPUT_DIR, LIST)
    if not found.rows:
        raise RunStopped(f"no video passes the rule ({rule}), {path} has no rows; allowed: a lower one")
    log.say(
        f"{len(found.rows)} of {len(scores.paths)} videos are in {path}, with probabilities as targets ({rule}); train "
        f"with DATA.EXTRA_TRAIN_LIST {path}; numbers on any of the {len(scores.paths)} are transductive"
    )
