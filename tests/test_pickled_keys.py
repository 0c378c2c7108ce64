"""Pickles whose keys share a hash are refused before anybody reads them; those of checkpoints pass."""

import io
import itertools
import pickle

import pytest
import torch

from fragrant.checkpoint import read_verified
from fragrant.pickled_keys import MOST, check_keys

PRIME = 2**61 - 1  # Python's hash of a whole number is its rest by this
COUNT = MOST + 200
HOSTILE = {
    "whole numbers": {number * PRIME: 0 for number in range(COUNT)},
    "tuples": dict.fromkeys(itertools.islice(itertools.product((-1, -2), repeat=11), COUNT), 0),
    "a set": {"x": {number * PRIME for number in range(COUNT)}},
    "nested": {"model_state": [{"x": {number * PRIME: 0 for number in range(COUNT)}}]},
    "in parts": [{number * PRIME + part: 0 for number in range(300)} for part in range(5)],
}
FINE = {
    "a checkpoint": {"model_state": {f"layer{i}.weight": torch.ones(2) for i in range(40)}, "epoch": 3},
    "an optimiser": {"state": {i: {"step": torch.tensor(1.0), "exp_avg": torch.ones(2)} for i in range(1500)}},
    "few": {number * PRIME: 0 for number in range(50)},
    "large values": {str(number): number * PRIME for number in range(COUNT)},
}


def stored(content: object, path, *, zipped: bool = True) -> str:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return str(path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", HOSTILE)
def test_keys_that_share_a_hash(tmp_path, name, zipped):
    with pytest.raises(pickle.UnpicklingError, match="no texts or numbers of usual size"):
        read_verified(stored(HOSTILE[name], tmp_path / "x.pyth", zipped=zipped))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", FINE)
def test_keys_of_usual_files(tmp_path, name, zipped):
    found = read_verified(stored(FINE[name], tmp_path / "x.pyth", zipped=zipped))
    assert found.keys() == FINE[name].keys()


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol(protocol):
    with pytest.raises(pickle.UnpicklingError, match="no texts or numbers"):
        check_keys(io.BytesIO(pickle.dumps(HOSTILE["whole numbers"], protocol)))
    check_keys(io.BytesIO(pickle.dumps(FINE["few"], protocol)))
    with pytest.raises(pickle.UnpicklingError, match="no texts or numbers"):
        check_keys(io.BytesIO(pickle.dumps(set(HOSTILE["tuples"]), protocol)))


def test_what_is_no_pickle_is_left_to_its_reader():
    for data in (b"", b"hello", pickle.dumps({1: 2})[:-3], b"\x80\x02u."):
        check_keys(io.BytesIO(data))
