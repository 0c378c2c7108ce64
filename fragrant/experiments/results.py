"""What one run of an experiment has come to, read from its folder: validation, test, time."""

import json
from pathlib import Path
from typing import NamedTuple

from fragrant.experiments.build import Goal
from fragrant.experiments.plan import Run
from fragrant.files import read_plain
from fragrant.report.curves import Curve, LogError
from fragrant.report.run_reading import Figure, read_log, reading


class Result(NamedTuple):
    """What a run has come to.

    Attributes:
        validation: of the weights that are tested: the last epoch's, or the best one's; None = none yet.
        trained: the last epoch has been trained and validated.
        scores: the score table of its test; None = not tested.
        test: top-1 or mAP of it, in percent.
        failed: why it cannot be trained; "" = it can.
        seconds: of training, validation and the last test.
    """

    run: Run
    validation: Figure | None
    curve: Curve
    trained: bool
    scores: Path | None
    test: float | None
    failed: str
    seconds: float

    @property
    def state(self) -> str:
        if self.failed:
            return "failed"
        if self.scores:
            return "tested"
        return "trained" if self.trained else ("begun" if self.curve.epochs or self.seconds else "missing")


def failure_mark(out: Path, run: Run) -> Path:
    return out / "stages" / f"{run.name}.failed"


def read_result(out: Path, run: Run, goal: Goal) -> Result:
    """Reads what is there; a run that has not begun has nothing.

    Raises:
        LogError: its ``metrics.jsonl`` is none.
    """
    found = reading(run.folder, read_log(run.folder), [])
    trained, scores = found.is_trained(goal.epochs), run.folder / "scores.npz"
    tested = trained and scores.is_file()
    return Result(
        run=run,
        validation=found.best if goal.best else found.last,
        curve=Curve([float(one.epoch) for one in found.validations], [one.value for one in found.validations]),
        trained=trained,
        scores=scores if tested else None,
        test=found.test.value if tested and found.test else None,
        failed=_read_text(failure_mark(out, run)),
        seconds=found.seconds,
    )


def _read_text(path: Path) -> str:
    try:
        return str(json.loads(read_plain(path))["why"])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LogError(f"{path} cannot be read: {error}; delete it to try that run again") from error
