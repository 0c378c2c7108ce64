"""The test of a run: scores of every view on disk, and all that follows from them."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from fvcore.common.config import CfgNode

from fragrant.checkpoint import checkpoint_hash, checkpoint_path
from fragrant.config import changed, dump_cfg
from fragrant.config.compare import note_on_clips, note_on_training
from fragrant.data import build_loader, build_records
from fragrant.data.build import enhancement_name, fold_of, stream_of
from fragrant.data.lists.records import RecordList
from fragrant.data.loader import ClipLoader
from fragrant.data.views import result_file_name, views_label
from fragrant.distributed import any_rank, from_main, gather_objects, is_main
from fragrant.engine.accuracy import evaluation_report
from fragrant.engine.adaptation.build import adapt_to_list, adaptation_notes, adaptive
from fragrant.engine.announce import compare_class_names, evaluation_lines
from fragrant.engine.build import GUESSED, Job, build_job_model, note_of_test, part_of, score
from fragrant.engine.outputs import Outputs
from fragrant.engine.results import run_facts, save_pickles, save_results
from fragrant.engine.skipped import SkipReport
from fragrant.errors import RunStopped
from fragrant.files import refuse_as_output
from fragrant.logs import duration
from fragrant.metrics import in_words_not_finite
from fragrant.models.backbone import Backbone
from fragrant.objectives import part_to_test
from fragrant.report.build import present_test
from fragrant.report.curves import LogError
from fragrant.runtime.build import model_on_device
from fragrant.runtime.evaluate import Scored
from fragrant.runtime.weights import load_for_test, weights_for_test
from fragrant.scores import ScoreTable, describe_summary, ensemble_views, grid_views, summarise


def test(job: Job, *, finished: int | None = None) -> None:
    """Multi-view test: scores of every view on disk, accuracies from them.

    Args:
        finished: epochs of the training before it; None = SOLVER.MAX_EPOCH, or there was none.

    Raises:
        RunStopped: videos cannot be read, and TEST.ALLOW_MISSING is False, or some have NaN or infinite scores;
            all that there is is written.
    """
    cfg, log = job.cfg, job.log
    with job.stop.at_once():
        weights = from_main(partial(weights_of_the_test, cfg, finished))
        from_main(partial(check_outputs, cfg))
        counts = clip_counts(cfg)
        loader = build_loader(cfg, "test", clip_counts=counts)
        model = build_job_model(job)
        state = announce_test(job, model, loader, weights)
    state, weights = adapt_to_list(job, model, state, weights)
    began = time.perf_counter()
    protocol = protocol_of(cfg, state, loader.dataset.records)
    alone = loader.num_views if cfg.TEST.ADAPT != "none" else None  # all views of a video together
    scored = score(job, adaptive(job, model, weights), loader, title="test", clips_per_forward=alone)
    missing = SkipReport(log, loader).report("test", device=job.device)
    names = loader.class_names or state.get("class_names")
    choices = {"choices": {name: list(values) for name, values in model.choices.items()}} if model.choices else {}
    choices |= ({"fold": fold} if (fold := fold_of(cfg)) else {}) | stream_of(cfg)
    header = choices | protocol | of_weights(cfg, state, weights)
    seconds, faults, epoch = time.perf_counter() - began, [], epochs_of(state)
    for one, part in by_clip_count(job, scored, counts):
        table = score_table(one, loader, part, weights, class_names=names, more_header=header)
        beside = one.cfg.TEST.NUM_ENSEMBLE_VIEWS != counts[-1]
        faults += report_test(one, table, protocol, seconds, epoch=epoch, beside=beside)
    if missing and not cfg.TEST.ALLOW_MISSING:
        faults.append(
            f"{len(missing)} of {len(loader.dataset.records)} test videos cannot be read and have no scores: "
            f"{', '.join(missing[:10])}{', ...' if len(missing) > 10 else ''}; those of the others are written; "
            "TEST.ALLOW_MISSING True accepts that"
        )
    if faults:
        raise RunStopped("; ".join(faults))


def clip_counts(cfg: CfgNode) -> list[int]:
    """The numbers of clips of a test, rising: those of TEST.NUM_TEMPORAL_CLIPS, else TEST.NUM_ENSEMBLE_VIEWS."""
    return sorted(set(cfg.TEST.NUM_TEMPORAL_CLIPS)) or [cfg.TEST.NUM_ENSEMBLE_VIEWS]


def by_clip_count(job: Job, scored: Scored, counts: Sequence[int]) -> Iterator[tuple[Job, Scored]]:
    """The scores of each number of clips, as a test of its own has them: all were scored together, views that several
    have once."""
    crops, first = job.cfg.TEST.NUM_SPATIAL_CROPS, 0
    for count in counts:
        views = slice(first, first + count * crops)
        own = {"TEST.NUM_ENSEMBLE_VIEWS": count, "TEST.NUM_TEMPORAL_CLIPS": []}
        choices = {name: taken[:, views] for name, taken in scored.choices.items()}
        yield (
            job._replace(cfg=changed(job.cfg, own)),
            scored._replace(logits=scored.logits[:, views], choices=choices),
        )
        first = views.stop


def beside_name(clips: int, crops: int) -> str:
    """Name of the files of fewer clips than a test has."""
    return f"scores_{clips}x{crops}"


def adapt(job: Job) -> None:
    """A run that neither trains nor tests: measures the BatchNorm statistics of BN.ADAPT_LIST and writes the network.

    Raises:
        UserError: see ``weights_of_the_test`` and ``adapt_to_list``.
    """
    weights = from_main(partial(weights_of_the_test, job.cfg))
    model = build_job_model(job)
    report, state = load_for_test(model, weights, **how_to_load(job.cfg))
    job.log.say(f"Adapting {weights}: {report.summary()}")
    report.tell(job.log.say, job.log.warn, trains=False)
    adapt_to_list(job, model, state, weights)


def protocol_of(cfg: CfgNode, state: dict, records: RecordList) -> dict[str, str]:
    """What to say of the numbers of these videos, {"protocol": "optimistic: ..."}; {} where there is nothing."""
    test, guessed = [record.path for record in records], len(records.soft)
    notes = [note_of_test(cfg, state, test), *adaptation_notes(cfg, state, test)]
    notes += [GUESSED.format(guessed, len(test))] if guessed else []
    text = "; ".join(filter(None, notes))
    return {"protocol": text} if text else {}


def check_test(cfg: CfgNode, trained_classes: Sequence[str] | None) -> None:
    """All that the test after a training reads and writes, looked at before: its list, class names, weights, files.

    Args:
        trained_classes: what the training list calls the classes.

    Raises:
        UserError: something is missing, cannot be read or written, or does not fit.
    """
    names = build_records(cfg, "test").class_names
    compare_class_names(trained_classes, names, "the training list")
    from_main(partial(check_outputs, cfg))
    if not cfg.TEST.CHECKPOINT_FILE_PATH:
        return
    path = weights_of_the_test(cfg)
    with torch.random.fork_rng(devices=[]):
        model = model_on_device(cfg, torch.device("cpu"), channels_last=False, compiled=False)
    _, state = load_for_test(model, path, **how_to_load(cfg))
    compare_class_names(state.get("class_names"), names, path)


def check_outputs(cfg: CfgNode) -> None:
    """Raises UserError where a file of the test could not be written."""
    tables = ["scores", *(beside_name(count, cfg.TEST.NUM_SPATIAL_CROPS) for count in clip_counts(cfg)[:-1])]
    kinds = ("npz", "json", "csv")
    names = ["report.html", *(f"{table}.{kind}" for table in tables for kind in kinds), cfg.TEST.SAVE_RESULTS_PATH]
    for name in filter(None, names):
        refuse_as_output(Path(cfg.OUTPUT_DIR, name))


def epochs_of(state: dict) -> int:
    """Finished epochs of the weights, at which the numbers of their test stand in curves; 0 where the file does not say
    it."""
    last = state.get("epoch")
    return last + 1 if type(last) is int else 0


def how_to_load(cfg: CfgNode) -> dict:
    patterns = tuple(cfg.TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN)
    return dict(part=part_to_test(cfg), clear_patterns=patterns, allow_partial=cfg.TEST.ALLOW_PARTIAL_LOAD)


def of_weights(cfg: CfgNode, state: dict, weights: str) -> dict:
    """What a reader has to know about the weights, for the header of the scores; only what there is to say."""
    changes = state.get("accepted_changes") or ()
    facts = {
        "not_of_training": note_on_training(cfg, state.get("cfg"), where=weights),
        "clips_differ": note_on_clips(cfg, state.get("cfg"), where=weights),
        "accepted_changes": f"config changed in the training: {'; '.join(changes)}" if changes else "",
    }
    return {name: text for name, text in facts.items() if text}


def weights_of_the_test(cfg: CfgNode, finished: int | None = None) -> str:
    """See ``weights_for_test``; where this run has started anew beside the checkpoints of another, its own."""
    own = checkpoint_path(cfg.OUTPUT_DIR, finished or cfg.SOLVER.MAX_EPOCH)
    named = cfg.TEST.CHECKPOINT_FILE_PATH or cfg.TEST.TEST_BEST
    if cfg.TRAIN.ENABLE and not cfg.TRAIN.AUTO_RESUME and not named and own.is_file():
        return str(own)
    return weights_for_test(
        output_dir=cfg.OUTPUT_DIR,
        checkpoint=cfg.TEST.CHECKPOINT_FILE_PATH,
        best=cfg.TEST.TEST_BEST,
        train_checkpoint=cfg.TRAIN.CHECKPOINT_FILE_PATH,
    )


def announce_test(job: Job, model: Backbone, loader: ClipLoader, weights: str) -> dict:
    """Loads the weights and says everything that decides which number comes out; the content of the checkpoint."""
    cfg = job.cfg
    report, state = load_for_test(model, weights, **how_to_load(cfg))
    lines = evaluation_lines(
        weights,
        report,
        num_videos=len(loader.dataset.records),
        frames=cfg.DATA.NUM_FRAMES,
        crops=cfg.TEST.NUM_SPATIAL_CROPS,
        clips=clip_counts(cfg)[-1],
        fewer=clip_counts(cfg)[:-1],
        short_side=cfg.TEST.SHORT_SIDE or cfg.DATA.TEST_CROP_SIZE,
        crop_size=cfg.DATA.TEST_CROP_SIZE,
        method=cfg.DATA.ENSEMBLE_METHOD,
        space=cfg.TEST.ENSEMBLE_SPACE,
        classes=compare_class_names(state.get("class_names"), loader.class_names, weights),
    )
    for line in lines:
        job.log.say(line)
    if alone := stream_of(cfg):
        job.log.say(f"of pairs the {alone['modality']} stream alone (TEST.MODALITY)")
    report.tell(job.log.say, job.log.warn, trains=False)
    for name, note in of_weights(cfg, state, weights).items():
        if name != "not_of_training":
            job.log.warn(note)
    return state


def report_test(
    job: Job, table: ScoreTable, protocol: dict[str, str], seconds: float, *, epoch: int, beside: bool = False
) -> list[str]:
    """Reports the numbers of a test: on disk, on the console, in the log, as a page.

    Args:
        epoch: of the weights, see ``epochs_of``.
        beside: they are of fewer clips than the test has: their files are named after them, and they have no page.

    What is wrong with them, a line each: videos that have NaN or infinite scores, of known class or not; files that
    could not be written."""
    cfg, log, out = job.cfg, job.log, Path(job.cfg.OUTPUT_DIR)
    scores = ensemble_views(table, table.header["rule"])
    summary = summarise(scores) | protocol
    outputs = Outputs(log)
    part = part_of(cfg)
    views = (cfg.TEST.NUM_ENSEMBLE_VIEWS, cfg.TEST.NUM_SPATIAL_CROPS)
    if is_main():
        name = beside_name(*views) if beside else "scores"
        save_results(outputs, out, table, scores, summary, name=f"{name}.{part}" if part else name)
    if is_main() and not part:
        name = result_file_name(cfg.DATA.NUM_FRAMES, cfg.DATA.TEST_CROP_SIZE, *views)
        slowfast_name = "" if beside else cfg.TEST.SAVE_RESULTS_PATH
        save_pickles(outputs, out, scores, uniformer_name=name, slowfast_name=slowfast_name)
    lost = [path for path, is_lost in zip(scores.paths, scores.not_finite.tolist(), strict=True) if is_lost]
    fault = f"{in_words_not_finite(len(lost))}, of {len(table)}: {', '.join(lost[:10])}" if lost else ""
    if lost:
        fault += f"{', ...' if len(lost) > 10 else ''}; the weights, or the numbers of TEST.PRECISION, are too large"
        log.warn(fault)
    tell_numbers(job, summary, protocol, len(table), seconds, epoch=epoch, beside=beside)
    if is_main() and not part and summary["videos"] and not beside:  # of parts: tools/report.py, of all together
        outputs.write("report.html", partial(write_page, job, table, epoch))
    unwritten = outputs.missing()
    if any_rank(bool(unwritten)):
        unwritten = next(filter(None, gather_objects(unwritten)))
    return [line for line in (fault, unwritten) if line]


def tell_numbers(
    job: Job,
    summary: dict,
    protocol: dict[str, str],
    num_videos: int,
    seconds: float,
    *,
    epoch: int,
    beside: bool = False,
) -> None:
    """The numbers on the console, in the log and for TensorBoard; of videos without labels there are none."""
    test, log = job.cfg.TEST, job.log
    more: dict[str, object] = {"videos": num_videos, "seconds": seconds}
    more |= {name: value for name, value in (("epoch", epoch), ("part", part_of(job.cfg))) if value}
    more |= {"views": views_label(job.cfg.DATA.NUM_FRAMES, test.NUM_SPATIAL_CROPS, test.NUM_ENSEMBLE_VIEWS)}
    if not summary["videos"]:
        log.say(f"no labels, no report: the test list names no classes; {num_videos} videos have scores")
        log.record({"split": "test_final", **protocol}, more=more | {"labelled": 0})
        return
    for line in describe_summary(summary):
        if not line.startswith(("top-", "mAP ")):  # these come last
            log.say(line)
    told = evaluation_report(summary)
    title = f"Test ({protocol['protocol']})" if protocol else "Test"
    title += f", {test.NUM_ENSEMBLE_VIEWS} clips x {test.NUM_SPATIAL_CROPS} crops" if beside else ""
    log.say(f"{title}: {told.text}, in {duration(seconds)}")
    log.record({"split": "test_final", **told.stats, **protocol}, more=told.numbers | more)
    if not beside:
        log.scalars(told.scalars, epoch)
        log.result({**told.numbers, **more, **protocol})


def write_page(job: Job, table: ScoreTable, epoch: int) -> None:
    """report.html, without curves where the log of the training is none."""
    out = Path(job.cfg.OUTPUT_DIR)
    write = partial(present_test, job.cfg, table, out / "report.html", board=job.log, step=epoch)
    try:
        write(training_log=out / "metrics.jsonl")
    except LogError as error:
        job.log.warn(f"the report has no training curves: {error}")
        write()


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
    views = grid_views(clips, crops, enhancement_name(cfg))
    return ScoreTable.whole(paths, scored.labels, scored.logits, views, **more)
