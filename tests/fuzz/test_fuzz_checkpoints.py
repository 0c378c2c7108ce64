"""Damaged checkpoints, and whole ones with something odd inside: read, or refused in one line; never half taken."""

import copy
import io
import random
import zipfile

import pytest
import torch
from fuzzing import SEEDS, examples, tried
from mutations import mutated
from torch import nn

from fragrant.checkpoint import CheckpointError, load_checkpoint, rng_state, save_checkpoint
from fragrant.engine.start import Start
from fragrant.engine.state import states, take_up
from fragrant.models.uniformer import UniFormer
from fragrant.models.weights import WeightsError, load_weights
from fragrant.objectives import Classify
from fragrant.objectives.ema import Ema
from fragrant.optim.step import Stepper


def built():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    objective = Ema(Classify(model), decay=0.9)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    scaler = torch.amp.GradScaler("cpu", enabled=True)
    return model, objective, optimizer, scaler, Stepper(objective, optimizer, scaler=scaler, clip_norm=None)


@pytest.fixture(scope="module")
def state() -> dict:
    """Everything that a run saves, after a step."""
    model, objective, optimizer, scaler, stepper = built()
    stepper.begin(0.1, remaining=1)
    stepper.backward(objective(torch.randn(6, 4), torch.arange(6) % 4).loss, torch.arange(6))
    return {
        "epoch": 0,
        "batch": 1,
        "batches": [2, 6],
        "step": 1,
        **states(model, objective, optimizer),
        "scaler_state": scaler.state_dict(),
        "stepper": stepper.state_dict(),
        "rng": [rng_state()],
        "meter": [{"window": {"loss": [1.0, 6]}, "whole": {"loss": [1.0, 6]}, "seconds": 2.0}],
        "best": {"top1_err": 50.0},
        "cfg": "NUM_GPUS: 0\n",
        "class_names": ["a", "b", "c", "d"],
        "plugins": [],
        "selected_on": "val",
    }


def in_one_line(error: Exception) -> None:
    assert "\n" not in str(error) and len(str(error)) < 1500


def read_or_refused(path) -> dict | None:
    try:
        return load_checkpoint(path)
    except CheckpointError as error:
        in_one_line(error)
        return None


@examples(60, 100_000)
def test_damaged_files(number, state, tmp_path):
    path, contents = tmp_path / "a.pyth", []
    small = {key: state[key] for key in ("epoch", "model_state", "cfg")}
    for zipped in (True, False):
        torch.save(small, path, _use_new_zipfile_serialization=zipped)
        contents.append(path.read_bytes())

    def check(seed: int) -> None:
        rng = random.Random(seed)
        path.write_bytes(mutated(rng.choice(contents), contents, rng))
        read_or_refused(path)

    tried(check, SEEDS, number)


@examples(100, 100_000)
def test_damaged_pickles_in_whole_files(number, state, tmp_path):
    """With the right checksums: somebody meant it."""
    path, whole = tmp_path / "a.pyth", io.BytesIO()
    small = {key: state[key] for key in ("epoch", "model_state", "optimizer_state", "cfg")}
    torch.save(small, whole)
    with zipfile.ZipFile(whole) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in parts if name.endswith("/data.pkl"))

    def check(seed: int) -> None:
        rng = random.Random(seed)
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, mutated(content, [content], rng) if name == pickled else content)
        if found := read_or_refused(path):
            try:
                load_weights(UniFormer(num_classes=3, embed_dim=(8, 8, 16, 16), depth=(1, 1, 1, 1), head_dim=8), found)
            except WeightsError as error:
                in_one_line(error)

    tried(check, SEEDS, number)


ODD = ["x", "", None, -1, 10**30, 1.5, float("nan"), True, [], {}, (), [None], {"a": 1}, {1: "b"}, b"x", 1j]
ODD += [
    torch.zeros(1),
    torch.zeros(0),
    torch.zeros(99, 99),
    torch.zeros(4, 4).double(),
    torch.tensor(3),
    torch.Size([2]),
]
ODD += [torch.zeros(16, dtype=torch.uint8), torch.zeros(4).bool(), torch.zeros(4, 4, dtype=torch.complex64)]


def odd_inside(value, rng: random.Random):
    """A copy with one to three entries replaced, left out or doubled, at any depth."""
    changed = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 3))):
        node = changed
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(node[key], (dict, list)) and node[key] and rng.random() < 0.8:
                node = node[key]
                continue
            way = rng.randrange(4)
            if way == 0:
                del node[key]
            elif way == 1 and isinstance(node, dict):
                node[rng.choice(["odd", 7, key])] = rng.choice(ODD)
            else:
                node[key] = copy.deepcopy(rng.choice(ODD))
            break
    return changed


@examples(80, 50_000)
def test_odd_entries_in_whole_files(number, state, tmp_path):
    """What is taken up can be trained on; what is refused has changed nothing."""
    path = tmp_path / "a.pyth"
    save_checkpoint(path, state)
    clips, labels = torch.randn(6, 4), torch.arange(6) % 4

    def check(seed: int) -> None:
        _, objective, optimizer, scaler, stepper = built()  # nothing of the input before may matter
        torch.save(odd_inside(state, random.Random(seed)), path)
        found = read_or_refused(path)
        if found is None:
            return
        before = copy.deepcopy(objective.state_dict())
        try:
            take_up(Start("", epoch=1, batch=1, state={**found, "path": path}), objective, optimizer, scaler, stepper)
        except CheckpointError as error:
            in_one_line(error)
            assert all(torch.equal(value, before[key]) for key, value in objective.state_dict().items())
            return
        stepper.begin(0.1, remaining=1)
        stepper.backward(objective(clips, labels).loss, torch.arange(6))
        stepper.flush()

    tried(check, SEEDS, number)
