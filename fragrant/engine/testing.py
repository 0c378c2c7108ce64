"""The test of a run: scores of every view on disk, and all that follows from them."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from fvcore.common.config import CfgNode

from fragrant.checkpoint import checkpoint_hash
from fragrant.config import changed, dump_cfg
from fragrant.data import build_loader
from fragrant.data.loader import ClipLoader
from fragrant.data.transforms.gamma import middle_gamma
from fragrant.data.views import result_file_name, views_label
from fragrant.distributed import from_main, is_main
from fragrant.engine.accuracy import evaluation_report
from fragrant.engine.announce import compare_class_names, evaluation_lines
from fragrant.engine.build import OPTIMISTIC, Job, build_job_model, score
from fragrant.engine.results import run_facts, save_pickles, save_results
from fragrant.engine.skipped import SkipReport
from fragrant.errors import RunStopped
from fragrant.logs import duration
from fragrant.models.backbone import Backbone
from fragrant.objectives import part_to_test
from fragrant.report.build import present_test
from fragrant.runtime.evaluate import Scored
from fragrant.runtime.weights import load_for_test, weights_for_test
from fragrant.scores import ScoreTable, describe_summary, ensemble_views, grid_views, summarise


def test(job: Job) -> None:
    """Multi-view test: scores of every view on disk, accuracies from them.

    Raises:
        RunStopped: videos cannot be read, and TEST.ALLOW_MISSING is False; the scores of the others are written.
    """
    cfg, log = job.cfg, job.log
    weights = from_main(partial(weights_of_the_test, cfg))
    loader = build_loader(cfg, "test")
    model = build_job_model(job)
    state = announce_test(job, model, loader, weights)
    began = time.perf_counter()
    protocol = {"protocol": OPTIMISTIC} if "test" in (cfg.TEST.SELECT_ON, state.get("selected_on")) else {}
    scored = score(job, model, loader, title="test")
    missing = SkipReport(log, loader).report("test", device=job.device)
    names = loader.class_names or state.get("class_names")
    choices = {"choices": {name: list(values) for name, values in model.choices.items()}} if model.choices else {}
    table = score_table(job, loader, scored, weights, class_names=names, more_header=choices | protocol)
    seconds = time.perf_counter() - began
    report_test(job, table, protocol, seconds)
    if missing and not cfg.TEST.ALLOW_MISSING:
        raise RunStopped(
            f"{len(missing)} of {len(loader.dataset.records)} test videos cannot be read and have no scores: "
            f"{', '.join(missing[:10])}{', ...' if len(missing) > 10 else ''}; those of the others are written; "
            "TEST.ALLOW_MISSING True accepts that"
        )


def weights_of_the_test(cfg: CfgNode) -> str:
    return weights_for_test(
        output_dir=cfg.OUTPUT_DIR,
        checkpoint=cfg.TEST.CHECKPOINT_FILE_PATH,
        best=cfg.TEST.TEST_BEST,
        train_checkpoint=cfg.TRAIN.CHECKPOINT_FILE_PATH,
    )


def announce_test(job: Job, model: Backbone, loader: ClipLoader, weights: str) -> dict:
    """Loads the weights and says everything that decides which number comes out; the content of the checkpoint."""
    cfg = job.cfg
    patterns = tuple(cfg.TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN)
    fit = dict(part=part_to_test(cfg), clear_patterns=patterns, allow_partial=cfg.TEST.ALLOW_PARTIAL_LOAD)
    report, state = load_for_test(model, weights, **fit)
    lines = evaluation_lines(
        weights,
        report,
        num_videos=len(loader.dataset.records),
        frames=cfg.DATA.NUM_FRAMES,
        crops=cfg.TEST.NUM_SPATIAL_CROPS,
        clips=cfg.TEST.NUM_ENSEMBLE_VIEWS,
        short_side=cfg.TEST.SHORT_SIDE or cfg.DATA.TEST_CROP_SIZE,
        crop_size=cfg.DATA.TEST_CROP_SIZE,
        method=cfg.DATA.ENSEMBLE_METHOD,
        space=cfg.TEST.ENSEMBLE_SPACE,
        classes=compare_class_names(state.get("class_names"), loader.class_names, weights),
    )
    for line in lines:
        job.log.say(line)
    return state


def report_test(job: Job, table: ScoreTable, protocol: dict[str, str], seconds: float) -> None:
    """Reports the numbers of a test: on disk, on the console, in the log, as a page."""
    cfg, log, out = job.cfg, job.log, Path(job.cfg.OUTPUT_DIR)
    scores = ensemble_views(table, table.header["rule"])
    summary = summarise(scores) | protocol
    whole = cfg.TEST.NUM_PARTS == 1
    if is_main():
        part = "" if whole else f".{cfg.TEST.PART}-of-{cfg.TEST.NUM_PARTS}"
        save_results(out, table, scores, summary, name=f"scores{part}")
    if is_main() and whole:
        views = (cfg.TEST.NUM_ENSEMBLE_VIEWS, cfg.TEST.NUM_SPATIAL_CROPS)
        name = result_file_name(cfg.DATA.NUM_FRAMES, cfg.DATA.TEST_CROP_SIZE, *views)
        save_pickles(out, scores, uniformer_name=name, slowfast_name=cfg.TEST.SAVE_RESULTS_PATH)
    for line in describe_summary(summary):
        if not line.startswith(("top-", "mAP ")):  # these come last
            log.say(line)
    told = evaluation_report(summary)
    title = f"Test ({OPTIMISTIC})" if protocol else "Test"
    log.say(f"{title}: {told.text}, in {duration(seconds)}")
    log.record(
        {"split": "test_final", **told.stats, **protocol},
        more=told.numbers | {"videos": len(table), "seconds": seconds},
    )
    log.scalars(told.scalars, cfg.SOLVER.MAX_EPOCH)
    if is_main() and whole:  # of parts: tools/report.py, when they are put together
        page = dict(training_log=out / "metrics.jsonl", board=log, step=cfg.SOLVER.MAX_EPOCH)
        present_test(cfg, table, out / "report.html", **page)


def score_table(
    job: Job, loader, scored: Scored, weights: str, *, class_names: Sequence[str] | None, more_header: dict
) -> ScoreTable:
    """Score table of a test, with the settings in its header that tell later what was tested."""
    cfg = changed(job.cfg, {"TEST.PART": 0, "TEST.NUM_PARTS": 1})  # a part says of what it is a part
    share, num_videos = loader.share
    clips, crops = cfg.TEST.NUM_ENSEMBLE_VIEWS, cfg.TEST.NUM_SPATIAL_CROPS
    header = {
        "checkpoint": str(weights),
        "checkpoint_hash": checkpoint_hash(weights),
        "config": dump_cfg(cfg),
        "frames": views_label(cfg.DATA.NUM_FRAMES, crops, clips),
        "model": cfg.MODEL.MODEL_NAME,
        "num_videos": num_videos,
        "rule": f"{cfg.DATA.ENSEMBLE_METHOD}-{cfg.TEST.ENSEMBLE_SPACE}",
        **more_header,
        **run_facts(),
    }
    ids = torch.tensor(share)[scored.ids]
    more = {
        "ids": ids,
        "luma": scored.luma,
        "choices": scored.choices,
        "class_names": tuple(class_names or ()) or None,
        "header": header,
    }
    paths = [loader.dataset.records[i].path for i in scored.ids.tolist()]
    return ScoreTable.whole(paths, scored.labels, scored.logits, grid_views(clips, crops, enhancement(cfg)), **more)


def enhancement(cfg: CfgNode) -> str:
    """Name of the enhancement of a test's views, ``"clahe gamma=3"``: views of another enhancement are other views."""
    data = cfg.DATA
    words = [data.ENHANCE] if data.ENHANCE != "none" else []
    if data.GAMMA and data.GAMMA_IN in ("both", "test"):
        words.append(f"gamma={middle_gamma(data.GAMMA):g}")
    return " ".join(words)
