"""Two processes on the CPU train and test as one does, stop together and go on as if nothing had been."""

import contextlib
import os
import re
import signal
from unittest import mock

import numpy as np
import pytest
import torch
from pair import Scenario, run_pair
from test_resume import LONGER, assert_same_end
from tiny import TINY, run_here
from torch import nn

from fragrant.engine.saving import Saver
from fragrant.runtime import build

# Nothing that depends on how a batch is spread: no statistics of a batch, no random layers. SGD: Adam makes steps out
# of rounding errors.
EQUAL = "MODEL.FROZEN_BN True UNIFORMER.DROP_DEPTH_RATE 0 SOLVER.OPTIMIZING_METHOD sgd SOLVER.BASE_LR 0.05".split()
# FSDP2 needs Adam; without the biases of keys, whose gradient is zero but for rounding.
ADAM = [
    *EQUAL,
    *"SOLVER.OPTIMIZING_METHOD adamw SOLVER.BASE_LR 1e-3 UNIFORMER.QKV_BIAS False TRAIN.CHANNELS_LAST False".split(),
]
# The gate alone, by its expected loss, without what a batch's composition decides.
GATE = "MODEL.MODEL_NAME DGAM DGAM.BACKBONE Uniformer DGAM.SELECT expected DGAM.FREEZE [backbone,heads]".split()

# Pre-training without labels; its validation must not depend on the ranks either.
MASKED = "TRAIN.OBJECTIVE masked TEST.ENABLE False PRETRAIN.TUBE_SIZE 8 PRETRAIN.DECODER_WIDTH 16".split()
CONTRAST = "TRAIN.OBJECTIVE contrastive TEST.ENABLE False AUG.NUM_SAMPLE 2 PRETRAIN.PROJECTOR_WIDTH 16".split()
# Two streams and the contrast of all clips of a class, drawn class by class.
TWO_STREAMS = """MODEL.MODEL_NAME DualStream DUAL.BACKBONE Uniformer DUAL.NUM_HEADS 4 DUAL.DROPOUT 0
    MODEL.DROPOUT_RATE 0 LOSS.SUPCON 0.5 LOSS.SUPCON_WIDTH 16 TRAIN.SAMPLER balanced TEST.ENABLE False""".split()
# The same of pairs; the second set is the first: its drawing is not what is tested.
PAIRS = """DUAL.FUSION cross DATA.COLOR_PATH_TO_DATA_DIR {demo} DATA.THERMAL_PATH_TO_DATA_DIR {demo}
    TRAIN.DATASET kinetics TEST.DATASET kinetics""".split()

# Both halves of learning to darken, the first against the network of "equal".
DARKENER = """TRAIN.OBJECTIVE darkener TEST.ENABLE False TRAIN.CHECKPOINT_FILE_PATH {equal} DARKENER.WIDTH 4
    TRAIN.CHECKPOINT_EPOCH_RESET True SOLVER.BASE_LR 1e-3""".split()
DARKENED = "DARKENER.CHECKPOINT {darkener} LOSS.SIMILARITY_WIDTH 16 TEST.ENABLE False".split()


@contextlib.contextmanager
def signal_on_rank_1(rank: int):
    """Rank 1 alone hears of it, in the second epoch after its first batch."""
    original = Saver.between_steps

    def between_steps(self, epoch: int, done: int) -> None:
        if (rank, epoch, done) == (1, 1, 1):
            os.kill(os.getpid(), signal.SIGUSR1)
        original(self, epoch, done)

    with mock.patch.object(Saver, "between_steps", between_steps):
        yield


def spare_parameter(rank: int):
    def with_spare(cfg):
        model = original(cfg)
        model.spare = nn.Parameter(torch.zeros(3))
        return model

    original = build.build_encoder
    return mock.patch.object(build, "build_encoder", with_spare)


def broken_disk(rank: int):
    """Nothing but best.pyth can be written."""
    return mock.patch("fragrant.engine.saving.checkpoint_path", lambda *_: "/dev/null/checkpoint.pyth")


SCENARIOS = {
    "equal": Scenario(EQUAL, slurm=True),
    "accumulated": Scenario([*EQUAL, "TRAIN.ACCUM_STEPS", "2"]),
    "adam": Scenario([*ADAM, "TRAIN.SAVE_EVERY_STEPS", "2"]),
    "fsdp": Scenario([*ADAM, "TRAIN.SHARDING", "fsdp", "TRAIN.SAVE_EVERY_STEPS", "2"]),
    "compressed": Scenario([*EQUAL, "DIST.GRADIENT_COMPRESSION", "bf16", "TEST.ENABLE", "False"]),
    "straight": Scenario(LONGER),
    "stopped": Scenario([*LONGER, "OUTPUT_DIR", "{resumed}"], signal_on_rank_1),
    "resumed": Scenario(LONGER),
    "spare": Scenario(EQUAL, spare_parameter),
    "disk": Scenario([*EQUAL, "TEST.ENABLE", "False"], broken_disk),
    "odd": Scenario([*EQUAL, "TRAIN.BATCH_SIZE", "3"]),
    "averaged": Scenario([*EQUAL, *"TRAIN.EMA.ENABLE True TRAIN.EMA.DECAY 0.5 TEST.ENABLE False".split()]),
    "mixed": Scenario([*EQUAL, *"MIXUP.ENABLE True MIXUP.TYPE svmix TEST.ENABLE False".split()]),
    "gate": Scenario([*EQUAL, *GATE, "TEST.ENABLE", "False"]),
    "masked": Scenario([*EQUAL, *MASKED]),
    "contrast": Scenario([*EQUAL, *CONTRAST]),
    "streams": Scenario([*EQUAL, *TWO_STREAMS]),
    "darkener": Scenario([*EQUAL, *DARKENER]),
    "darkened": Scenario([*EQUAL, *DARKENED]),
    "pairs": Scenario([*EQUAL, *TWO_STREAMS, *PAIRS]),
}


def filled(folder, pairs: list[str]) -> list[str]:
    """The words of a command with the paths of other runs in the folder."""
    files = {name: folder / name / "checkpoints" / "checkpoint_epoch_00002.pyth" for name in ("equal", "darkener")}
    return [word.format(resumed=folder / "resumed", demo=folder / "demo", **files) for word in pairs]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The folder of the runs, and what both ranks said in each."""
    folder = tmp_path_factory.mktemp("pair")
    scenarios = []
    for name, scenario in SCENARIOS.items():
        where = ["DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(folder / name)]
        scenarios.append(scenario._replace(pairs=[*TINY, *where, *filled(folder, scenario.pairs)]))
    return folder, dict(zip(SCENARIOS, run_pair(scenarios, folder), strict=True))


@pytest.fixture(scope="module")
def alone(pair):
    """The same with one process."""
    folder, _ = pair
    names = (
        "equal",
        "accumulated",
        "adam",
        "averaged",
        "masked",
        "contrast",
        "streams",
        "darkener",
        "darkened",
        "pairs",
    )
    for name in names:
        out, words = folder / f"alone_{name}", filled(folder, SCENARIOS[name].pairs)
        done = run_here(*TINY, *words, "DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(out))
        assert done.returncode == 0, done.stderr
    return folder


def weights(out, part: str = "model_state") -> dict[str, torch.Tensor]:
    return torch.load(out / "checkpoints" / "checkpoint_epoch_00002.pyth", weights_only=True)[part]


def largest_difference(one, other, part: str = "model_state") -> float:
    one, other = weights(one, part), weights(other, part)
    assert one.keys() == other.keys()
    return max((one[name].double() - other[name].double()).abs().max().item() for name in one)


CASES = [("equal", "equal", 1e-6), ("accumulated", "accumulated", 1e-6), ("adam", "adam", 1e-5), ("fsdp", "adam", 1e-5)]


@pytest.mark.parametrize("name, single, tolerance", CASES)
def test_the_weights_are_those_of_one_process(pair, alone, name, single, tolerance):
    folder, done = pair
    assert [rank.returncode for rank in done[name]] == [0, 0], [rank.stderr for rank in done[name]]
    assert largest_difference(folder / name, folder / f"alone_{single}") < tolerance
    assert largest_difference(folder / "equal", folder / "accumulated") > 1e-4  # they do differ


def test_an_average_of_the_weights_is_that_of_one_process(pair, alone):
    folder, done = pair
    assert [rank.returncode for rank in done["averaged"]] == [0, 0], done["averaged"][0].stderr
    assert largest_difference(folder / "averaged", folder / "alone_averaged", "objective_state") < 1e-6
    assert any(name.startswith("averaged.") for name in weights(folder / "averaged", "objective_state"))


@pytest.mark.parametrize("name, part", [("masked", "decoder."), ("contrast", "projector.")])
def test_pre_training_is_that_of_one_process(pair, alone, name, part):
    """The same batch gives the same masks, and the same clips to tell apart, on any number of ranks."""
    folder, done = pair
    assert [rank.returncode for rank in done[name]] == [0, 0], [rank.stderr for rank in done[name]]
    assert any(key.startswith(part) for key in weights(folder / name, "objective_state"))
    for state in ("model_state", "objective_state"):
        assert largest_difference(folder / name, folder / f"alone_{name}", state) < 1e-5
    losses = [re.findall(r'"loss": (\d+\.\d+)', line) for run in (name, f"alone_{name}") for line in val(folder / run)]
    assert len(losses) == 4 and losses[:2] == losses[2:]


@pytest.mark.parametrize("name", ["streams", "darkener", "darkened", "pairs"])
def test_other_objectives_are_those_of_one_process(pair, alone, name):
    """Two streams with their contrast, and pairs; the draws of a darkener, which follow from the videos."""
    folder, done = pair
    assert [rank.returncode for rank in done[name]] == [0, 0], [rank.stderr for rank in done[name]]
    for state in ("model_state", "objective_state"):
        assert largest_difference(folder / name, folder / f"alone_{name}", state) < 1e-5


def val(out) -> list[str]:
    return records(out, "val_epoch")


@pytest.mark.parametrize(
    "name, part, moves", [("mixed", "objective_state", "mixer."), ("gate", "model_state", "experts.gating.linear")]
)
def test_objectives_with_parts_of_their_own_train(pair, name, part, moves):
    folder, done = pair
    assert [rank.returncode for rank in done[name]] == [0, 0], [rank.stderr for rank in done[name]]
    state = weights(folder / name, part)
    assert any(key.startswith(moves) for key in state) and all(value.isfinite().all() for value in state.values())


def test_the_score_tables_are_those_of_one_process(pair, alone):
    folder, _ = pair
    for two, one in (("equal", "alone_equal"), ("fsdp", "alone_adam")):
        two, one = (np.load(folder / name / "scores.npz") for name in (two, one))
        assert two["paths"].tolist() == one["paths"].tolist() and two["labels"].tolist() == one["labels"].tolist()
        assert len(one["labels"]) == 6 and np.abs(two["logits"] - one["logits"]).max() < 1e-4


def records(out, kind: str) -> list[str]:
    """The log lines of a kind without what depends on time."""
    lines = [line for line in (out / "stdout.log").read_text().splitlines() if f'"_type": "{kind}"' in line]
    return [re.sub(r'"(dt\w*|eta|RAM|gpu_mem|time_diff)": [^,}]*', "", line.split("json_stats")[1]) for line in lines]


def test_the_log_speaks_for_both(pair, alone):
    """Loss and accuracy are means over both ranks; only rank 0 writes."""
    folder, done = pair
    for kind, number in (("train_iter", 6), ("train_epoch", 2), ("val_epoch", 2)):
        assert len(records(folder / "equal", kind)) == number
        loss = [
            [float(v) for line in records(folder / name, kind) for v in re.findall(r": (\d+\.\d+)", line)]
            for name in ("equal", "alone_equal")
        ]
        assert loss[0] == pytest.approx(loss[1], abs=2e-5)
    assert done["equal"][1].stdout == "" and "4 clips per step" in done["equal"][0].stdout
    assert "2 processes on 1 machine(s)" in done["equal"][0].stdout


def test_compression_rounds_the_gradients(pair):
    folder, done = pair
    assert [rank.returncode for rank in done["compressed"]] == [0, 0], done["compressed"][0].stderr
    assert 1e-7 < largest_difference(folder / "compressed", folder / "equal") < 1e-2


def test_a_signal_to_one_rank_stops_both_and_resuming_changes_nothing(pair):
    folder, done = pair
    assert [rank.returncode for rank in done["stopped"]] == [0, 0], [rank.stderr for rank in done["stopped"]]
    assert "Stopped by SIGUSR1 after batch 1 of 3 of epoch 2, saved" in done["stopped"][0].stdout
    assert (
        "checkpoint_epoch_00001_batch_00001.pyth: 1 of 4 epochs and 1 batches of the next are done"
        in done["resumed"][0].stdout
    )
    assert_same_end(folder / "straight", folder / "resumed")
    for kind in ("train_iter", "train_epoch", "val_epoch"):
        assert records(folder / "straight", kind) == records(folder / "resumed", kind)


def test_another_number_of_processes_goes_on(pair):
    """Sharded by two, resumed by one in the middle of an epoch."""
    folder, _ = pair
    out = folder / "fewer"
    (out / "checkpoints").mkdir(parents=True)
    name = "checkpoint_epoch_00001_batch_00001.pyth"
    (out / "checkpoints" / name).write_bytes((folder / "fsdp" / "checkpoints" / name).read_bytes())
    words = [*TINY, *ADAM, "DATA.PATH_TO_DATA_DIR", str(folder / "demo"), "OUTPUT_DIR", str(out)]
    other_batch = run_here(*words, "TRAIN.BATCH_SIZE", "2")
    assert other_batch.returncode == 2 and "in the middle of an epoch of 3 batches of 4 videos" in other_batch.stderr
    done = run_here(*words)
    assert done.returncode == 0, done.stderr
    assert "2 processes before, 1 now: the result is as good, but not the same bit for bit" in done.stdout
    assert largest_difference(out, folder / "adam") < 1e-5


def test_parameters_without_gradient_are_named(pair):
    for rank in pair[1]["spare"]:
        assert rank.returncode == 1
        assert (
            rank.stderr.startswith("stopped: 1 parameters got no gradient in the first step")
            and "model.spare" in rank.stderr
        )


def test_a_full_disk_does_not_end_the_run(pair):
    folder, done = pair
    said = done["disk"][0].stdout
    assert said.count("NOT SAVED: cannot write checkpoint") == 2 and '"epoch": "2/2"' in said
    assert [rank.returncode for rank in done["disk"]] == [
        1,
        1,
    ] and "the end of the training could not be saved" in done["disk"][0].stderr


def test_a_batch_that_cannot_be_shared(pair):
    for rank in pair[1]["odd"]:
        assert rank.returncode == 2 and "TRAIN.BATCH_SIZE 3 must be a multiple of the 2 processes" in rank.stderr
