"""A score table that is damaged, or that somebody has made by hand: read as it was, or refused in one line."""

import os
import random

import numpy as np
import pytest
import torch

from fragrant.errors import UserError
from fragrant.metrics import ScoreError
from fragrant.scores import ScoreTable, grid_views, load_table, save_table


@pytest.fixture
def table(tmp_path):
    paths = [f"v{number}" for number in range(18)]
    logits = torch.randn(18, 6, 6, generator=torch.Generator().manual_seed(0))
    whole = ScoreTable.whole(paths, torch.arange(18) % 6, logits, grid_views(2, 3), header={"rule": "sum-logits"})
    save_table(tmp_path / "scores.npz", whole)
    return tmp_path / "scores.npz", whole


def read_or_refused(path, whole) -> bool:
    """True where it was read, and then it is as it was."""
    try:
        found = load_table(path)
    except ScoreError as error:
        assert "\n" not in str(error)
        return False
    assert torch.equal(found.logits, whole.logits) and torch.equal(found.labels, whole.labels)
    assert found.paths == whole.paths and found.views == whole.views and found.header == whole.header
    return True


def flips(path, whole, seeds):
    content = path.read_bytes()
    for seed in seeds:
        draw, damaged = random.Random(seed), bytearray(content)
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        yield read_or_refused(path, whole)


def test_one_flipped_bit(table):
    found = list(flips(*table, range(150)))
    assert found.count(False) > 100  # most bytes are numbers


@pytest.mark.slow
def test_any_flipped_bit(table):
    assert list(flips(*table, range(150, 6000)))


def test_half_a_file(table):
    path, whole = table
    content = path.read_bytes()
    for length in range(0, len(content), len(content) // 60):
        path.write_bytes(content[:length])
        assert not read_or_refused(path, whole)


HAND_MADE = {
    "header": [np.array("[1, 2]"), np.array("{"), np.array(3), np.array("[" * 50_000)],
    "paths": [np.arange(18), np.array(["v"] * 17), np.zeros((18, 2))],
    "labels": [np.zeros(18), np.zeros((18, 2, 2), int), np.array(["0"] * 18)],
    "logits": [np.zeros(18), np.zeros((18, 6, 6), int), np.zeros((18, 6, 6), complex), np.array("x")],
    "present": [np.ones(18, bool), np.ones((18, 6))],
    "clip": [np.array(["0"] * 6), np.zeros(5, int)],
    "crop": [np.zeros(6)],
    "choice_gamma": [np.zeros(3), np.array(["x"])],
    "class_names": [np.array(["a"])],
}


@pytest.mark.parametrize("name, number", [(name, n) for name, values in HAND_MADE.items() for n in range(len(values))])
def test_columns_of_another_kind(table, name, number):
    path, _ = table
    with np.load(path) as file:
        columns = {key: file[key] for key in file.files}
    np.savez(path, **{**columns, name: HAND_MADE[name][number]})
    with pytest.raises(ScoreError):
        load_table(path)


@pytest.mark.parametrize(
    "header", ['{"rule": 3}', '{"rule": []}', '{"num_videos": "x"}', '{"config": 7}', '{"choices": 1}']
)
def test_a_header_of_another_kind(table, header):
    path, _ = table
    with np.load(path) as file:
        columns = {key: file[key] for key in file.files}
    np.savez(path, **{**columns, "header": np.array(header)})
    with pytest.raises(ScoreError):
        load_table(path)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_nothing_is_waited_for(tmp_path, make):
    make(tmp_path / "scores.npz")
    with pytest.raises(UserError, match="scores.npz' cannot be read: "):
        load_table(tmp_path / "scores.npz")
