"""Builds the trackers that LOG.TRACKERS names; their packages are imported here, and only where they are asked for."""

import importlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from fvcore.common.config import CfgNode

from fragrant.config.defaults import leaves
from fragrant.errors import UserError
from fragrant.trackers import mlflow_run, wandb_run  # noqa: F401 (they register themselves)
from fragrant.trackers.quiet import Quiet
from fragrant.trackers.run_ids import keep_run, read_runs
from fragrant.trackers.tracker import TRACKERS, Begin, Tracker

BOARD = "tensorboard"


def wants_board(cfg: CfgNode) -> bool:
    """Whether TensorBoard's event files are written; not of a part of a test, whose numbers are no result."""
    return (cfg.TENSORBOARD.ENABLE or BOARD in cfg.LOG.TRACKERS) and cfg.TEST.NUM_PARTS == 1


def tracker_classes(cfg: CfgNode) -> dict[str, Callable[[Begin], Tracker]]:
    """The classes of the services by their names, TensorBoard aside; their packages are imported.

    Raises:
        UserError: a service is not known, or its package is not installed.
    """
    classes = {}
    for name in dict.fromkeys(cfg.LOG.TRACKERS):
        if name == BOARD:
            continue
        classes[name] = TRACKERS.get(name)
        try:
            importlib.import_module(getattr(classes[name], "package", "fragrant"))
        except ImportError as error:
            raise UserError(
                f"LOG.TRACKERS [{name}]: the package {error.name or name} is not installed or cannot be imported: "
                f"pip install -e '.[{name}]'"
            ) from error
    return classes


def build_trackers(cfg: CfgNode, *, say: Callable[[str], object], warn: Callable[[str], object]) -> Iterator[Quiet]:
    """Begins the run of every service, each in a thread. A run that resumes goes on in the service's run that
    OUTPUT_DIR/trackers.json names; one that trains anew (TRAIN.AUTO_RESUME False) begins a new one. The parts of a
    test tell nothing: each would overwrite the numbers of the others in the service's run, and its id in that file."""
    if cfg.TEST.NUM_PARTS > 1:
        if cfg.LOG.TRACKERS:
            say(
                "LOG.TRACKERS: a part of a test is no result and is not told; tools/ensemble.py puts the parts together"
            )
        return
    folder = Path(cfg.OUTPUT_DIR)
    anew = cfg.TRAIN.ENABLE and not cfg.TRAIN.AUTO_RESUME
    before = {} if anew else read_runs(folder)
    for name, tracker in tracker_classes(cfg).items():
        begin = Begin(
            folder=folder,
            project=cfg.LOG.PROJECT,
            name=cfg.LOG.RUN_NAME or folder.resolve().name,
            config=leaves(cfg),
            run_id=before.get(name, {}).get("run_id", ""),
        )
        yield Quiet(name, partial(tracker, begin), opened=partial(_opened, name, begin, say), say=say, warn=warn)


def _opened(name: str, begin: Begin, say: Callable[[str], object], tracker: Tracker) -> None:
    keep_run(begin.folder, name, run_id=tracker.run_id, link=tracker.link)
    say(f"{name}: {'goes on in' if begin.run_id else 'this run is'} {tracker.link or tracker.run_id}")
