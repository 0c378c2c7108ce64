"""TRAIN.KEEP_LAST, KEEP_BEST and EARLY_STOP: what is kept, when a training ends, and that no kill loses anything."""

import contextlib
import json
import math
import os
from pathlib import Path
from unittest import mock

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import TINY, run_here

from fragrant import checkpoint
from fragrant.checkpoint import best_path, checkpoint_path, drop_old_epochs, load_checkpoint, load_latest
from fragrant.distributed.signals import StopRequest
from fragrant.engine import training
from fragrant.engine.accuracy import best_so_far
from fragrant.engine.saving import Saver
from fragrant.engine.start import Start
from fragrant.engine.testing import epochs_of
from fragrant.engine.validations import best_first, kept_epochs, merit, since_best, with_validation
from fragrant.logs import RunLog

ERRORS = [50.0, 20.0, 40.0, 20.0, 30.0, 10.0, 25.0]  # of the validations, in percent


# ---------------------------------------------------------------------------------------------------------- validations
@pytest.mark.parametrize(
    "numbers, value",
    [
        ({"loss": 0.5, "top1_err": 1.0}, -0.5),
        ({"map": 12.0}, 12.0),
        ({"top1_err": 12.0, "top5_err": 3.0}, -12.0),
        ({"loss": math.nan}, -math.inf),
    ],
)
def test_merit(numbers, value):
    assert merit(numbers) == value


def test_order_and_patience():
    validations, best = [], {}
    for epoch, error in enumerate(ERRORS):
        numbers = {"top1_err": error, "top5_err": 0.0}
        validations, best = with_validation(validations, epoch, numbers), best_so_far(best, epoch, numbers)
        assert best_first(validations)[0] == best["epoch"]
    assert best_first(validations) == [5, 1, 3, 6, 4, 2, 0] and kept_epochs(validations, 2) == [6, 2]
    assert [since_best(validations[:n]) for n in range(len(ERRORS) + 1)] == [0, 0, 0, 1, 2, 3, 0, 1]
    assert with_validation(validations, 2, {"map": 3.0}) == [[0, -50.0], [1, -20.0], [2, 3.0]]  # repeated by a resume


def test_checkpoints_of_earlier_code_know_the_best_alone():
    best = {"epoch": 3, "top1_err": 20.0, "top5_err": 0.0}
    assert Start("", state={"best": best}).validations == [[3, -20.0]] and Start("").validations == []
    assert Start("", state={"best": best, "validations": [[0, -30.0]]}).validations == [[0, -30.0]]


# ---------------------------------------------------------------------------------------------------------------- files
def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_only_older_epochs_are_deleted(tmp_path):
    for epoch in (1, 2, 3, 4, 9):
        checkpoint_path(tmp_path, epoch).parent.mkdir(exist_ok=True)
        checkpoint_path(tmp_path, epoch).touch()
    checkpoint_path(tmp_path, 1, 5).touch()
    (tmp_path / "checkpoints" / "best.pyth").touch()
    before = names(tmp_path)
    drop_old_epochs(checkpoint_path(tmp_path, 4), 0)
    drop_old_epochs(checkpoint_path(tmp_path, 5), 1)  # is not there
    drop_old_epochs(checkpoint_path(tmp_path, 4, 2), 1)
    assert names(tmp_path) == before
    drop_old_epochs(checkpoint_path(tmp_path, 4), 2, {checkpoint_path(tmp_path, 1).resolve()})
    assert [name for name in before if name not in names(tmp_path)] == ["checkpoint_epoch_00002.pyth"]


class Killed(BaseException):
    pass


@contextlib.contextmanager
def killed_at(step: int):
    """From operation ``step`` on files on, nothing is done any more."""
    count = [0]

    def after(operation):
        def wrapped(*words, **options):
            count[0] += 1
            if count[0] > step:
                raise Killed
            return operation(*words, **options)

        return wrapped

    with mock.patch("os.replace", after(os.replace)), mock.patch.object(Path, "unlink", after(Path.unlink)):
        yield count


def toy_training(folder: Path) -> None:
    """Saves every other epoch, validates every epoch: as ``training.train`` does, without a network."""
    state: dict = {"best": {}, "validations": []}

    def state_of(finished: int, done: int) -> dict:
        return {"epoch": finished - 1, "model_state": {"w": torch.tensor(finished)}, "optimizer_state": {}, **state}

    def validate(epoch: int) -> None:
        numbers = {"top1_err": ERRORS[epoch], "top5_err": 0.0}
        now = best_so_far(state["best"], epoch, numbers)
        if now["epoch"] == epoch:
            saver.keep_best(epoch + 1, now)
        validations = with_validation(state["validations"], epoch, numbers)
        saver.keep_epoch(epoch + 1, {"epoch": epoch, **numbers}, validations)
        state.update(best=now, validations=validations)

    with RunLog() as log:
        saver = Saver(
            str(folder),
            log=log,
            stop=StopRequest(),
            state_of=state_of,
            every_steps=0,
            accum_steps=1,
            num_batches=1,
            keep_last=1,
            keep_best=2,
        )
        start = 0
        with mock.patch.dict(checkpoint.ENTRIES, optimizer_state=(lambda value: True, "")):
            if latest := load_latest(folder):
                start = latest.state["epoch"] + 1
                state.update(best=latest.state["best"], validations=latest.state["validations"])
                validate(start - 1)
        for epoch in range(start, len(ERRORS)):
            saver.after_epoch(epoch, due=epoch % 2 == 1 or epoch + 1 == len(ERRORS), last=epoch + 1 == len(ERRORS))
            validate(epoch)
        saver.finish(len(ERRORS), state["validations"])


def test_a_kill_at_any_moment_loses_nothing(tmp_path):
    """After every kill there is a checkpoint to go on from once there was one, and the weights of the best epochs that
    it knows of; the resumed run ends with the same files."""
    with killed_at(10**6) as count:
        toy_training(tmp_path / "straight")
    wanted = names(tmp_path / "straight")
    assert wanted == ["best.pyth", "best_epoch_00002.pyth", "best_epoch_00006.pyth", "checkpoint_epoch_00007.pyth"]
    assert count[0] > 12
    for step in range(count[0]):
        folder = tmp_path / str(step)
        with killed_at(step), pytest.raises(Killed):
            toy_training(folder)
        saved = sorted((folder / "checkpoints").glob("checkpoint_epoch_*.pyth"))
        if saved:
            state = load_checkpoint(saved[-1])
            kept = {int(path.stem[-5:]) for path in (folder / "checkpoints").glob("best_epoch_*.pyth")}
            assert set(kept_epochs(state["validations"], 2)) <= kept, step
        toy_training(folder)
        assert names(folder) == wanted, step
        for name in wanted:
            ours, theirs = (load_checkpoint(place / "checkpoints" / name) for place in (folder, tmp_path / "straight"))
            assert ours["model_state"] == theirs["model_state"] and ours["best"] == theirs["best"], (step, name)


# ----------------------------------------------------------------------------------------------------------------- a run
@pytest.fixture(scope="module")
def early(tmp_path_factory):
    """A training whose validation never gets better: it stops after its third epoch."""
    folder = tmp_path_factory.mktemp("early")
    words = [
        *TINY,
        "SOLVER.MAX_EPOCH",
        "6",
        "SOLVER.BASE_LR",
        "1e-9",
        "TRAIN.EARLY_STOP",
        "2",
        "TEST.TEST_BEST",
        "True",
    ]
    words += ["TRAIN.CHECKPOINT_PERIOD", "2", "TRAIN.KEEP_LAST", "1", "TRAIN.KEEP_BEST", "1"]
    words += ["DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "LOG.TRACKERS", "[tensorboard]"]
    done = run_here(*words, "OUTPUT_DIR", folder / "out")
    assert done.returncode == 0, done.stderr
    return folder, words, done


def epoch_of_the_test(out: Path) -> int:
    """Where the numbers of the test and its pictures stand in TensorBoard, which the log says, too."""
    events = EventAccumulator(str(out / "runs-demo"))
    events.Reload()
    steps = {event.step for event in [*events.Scalars("Test/Top1_acc"), *events.Images("Test/confusion")]}
    steps.add(json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["epoch"])
    (step,) = steps
    return step


def test_epochs_of_weights():
    assert [epochs_of(state) for state in ({"epoch": 4}, {"epoch": -1}, {}, {"epoch": "4"})] == [5, 0, 0, 0]


def test_an_early_end_is_said_saved_and_tested(early):
    folder, words, done = early
    assert (
        "Stopped early after epoch 3 of 6: 2 validations in a row (TRAIN.EARLY_STOP) not better than that of epoch 1; "
        "tested is the best, epoch 1 (TEST.TEST_BEST True)" in done.stdout
    )
    assert names(folder / "out") == ["best.pyth", "best_epoch_00001.pyth", "checkpoint_epoch_00003.pyth"]
    records = [json.loads(line) for line in (folder / "out" / "metrics.jsonl").read_text().splitlines()]
    (end,) = (record for record in records if record.get("_type") == "early_stop")
    assert end == {"_type": "early_stop", "epoch": "3/6", "best_epoch": 1, "patience": 2}
    assert json.loads((folder / "out" / "scores.json").read_text())["header"]["checkpoint"].endswith("best.pyth")
    assert epoch_of_the_test(folder / "out") == 1
    again = run_here(*words, "OUTPUT_DIR", folder / "out", "TEST.ENABLE", "False")
    assert again.returncode == 0 and "Stopped early after epoch 3 of 6" in again.stdout, again.stderr
    assert names(folder / "out")[-1] == "checkpoint_epoch_00003.pyth"


@pytest.mark.parametrize("moment", ["in epoch 3", "before the end is saved"])
def test_killed_and_resumed_it_ends_the_same(early, tmp_path, moment):
    folder, words, _ = early
    words = [*words, "OUTPUT_DIR", str(tmp_path / "out"), "TEST.ENABLE", "False"]
    before, name = training.train_one_epoch, "train_one_epoch" if moment == "in epoch 3" else "end_early"

    def killed(*parts, epoch=2, **options):
        if epoch == 2:
            raise Killed
        before(*parts, epoch=epoch, **options)

    with mock.patch.object(training, name, killed), contextlib.suppress(Killed):
        run_here(*words)
    assert names(tmp_path / "out")[-1] == "checkpoint_epoch_00002.pyth"
    done = run_here(*words)
    assert "2 of 6 epochs are done" in done.stdout and "Stopped early after epoch 3 of 6" in done.stdout, done.stderr
    assert names(tmp_path / "out") == names(folder / "out")
    ours, theirs = (load_checkpoint(checkpoint_path(place, 3)) for place in (tmp_path / "out", folder / "out"))
    for key in ("model_state", "best", "validations", "step"):
        same = (
            all(torch.equal(value, theirs[key][name]) for name, value in ours[key].items())
            if key == "model_state"
            else (ours[key] == theirs[key])
        )
        assert same, key
    assert best_path(tmp_path / "out").exists()


def test_a_training_from_the_start_tests_its_own_end(early, tmp_path):
    """TRAIN.AUTO_RESUME False beside a later checkpoint of another run."""
    _, words, _ = early
    out = tmp_path / "out"
    checkpoint_path(out, 5).parent.mkdir(parents=True)
    checkpoint_path(out, 5).write_bytes(b"of another run")
    done = run_here(*words, "OUTPUT_DIR", out, "TRAIN.AUTO_RESUME", "False", "TEST.TEST_BEST", "False")
    assert done.returncode == 0, done.stderr
    assert "tested is the last, epoch 3" in done.stdout and names(out)[-1] == "checkpoint_epoch_00005.pyth"
    assert json.loads((out / "scores.json").read_text())["header"]["checkpoint"].endswith("checkpoint_epoch_00003.pyth")
    assert epoch_of_the_test(out) == 3
